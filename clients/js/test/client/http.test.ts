// Over real sockets and in real time: what only a real server and a real `fetch` can show.
import { createServer, type Server as HttpServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, expect, it, vi } from "vitest";
import { RealityClient } from "../../src/client/client.ts";
import { EmbeddedRealityServer } from "../../src/embedded/index.ts";
import { Source } from "./support.ts";

type Answer = (body: string, response: ServerResponse, path: string) => void;

const closers: (() => void)[] = [];
afterEach(() => {
  for (const each of closers.splice(0)) each();
});

async function listening(answer: Answer) {
  const http: HttpServer = createServer(async (request, response) => {
    try {
      answer(await text(request), response, request.url ?? "");
    } catch {
      response.destroy(); // given up while it was read
    }
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    http.closeAllConnections();
    http.close();
  });
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

function clientOf(url: string, timeout = 10_000) {
  const client = new RealityClient({ servers: url, timeout, maxRetries: 1, retryBaseDelay: 10 });
  closers.unshift(() => client.destroy());
  const source = new Source("first");
  client.subscribe("posts", () => {}, source);
  return { client, source };
}

/** Answers as a Reality server; the sockets tell when a held request was given up. */
function real(server: EmbeddedRealityServer): Answer {
  return async (body, response, path) => {
    const ending = new AbortController();
    response.on("close", () => ending.abort());
    try {
      expect(path).toBe("/reality/sync");
      const answer = await server.handleSync(JSON.parse(body), { signal: ending.signal });
      response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
    } catch {
      response.destroy();
    }
  };
}

const shown = (client: RealityClient) => client.getState("posts");
const soon = (check: () => void) => vi.waitFor(check, { timeout: 5_000, interval: 5 });

it("a change arrives through a held request, and the request ends with the client", async () => {
  const server = new EmbeddedRealityServer();
  const { client, source } = clientOf(await listening(real(server)));
  await soon(() => expect(shown(client)).toMatchObject({ data: "first", status: "idle" }));
  await soon(() => expect(server.stats().waiters).toBe(1));
  source.data = "second";
  await server.invalidate("posts");
  await soon(() => expect(shown(client)).toMatchObject({ data: "second", status: "idle" }));
  await soon(() => expect(server.stats().waiters).toBe(1));
  client.destroy();
  await soon(() => expect(server.stats().waiters).toBe(0));
});

it("a server that is silent, cuts its answers or hangs up is an error, and recovery is automatic", async () => {
  const server = new EmbeddedRealityServer();
  const faults: Answer[] = [
    () => {},
    (_, response) => response.writeHead(200, { "content-length": "1000" }).write('{"changed":'),
    (_, response) => response.destroy(),
    (_, response) => response.writeHead(500).end("<html>"),
  ];
  let answer = faults[0] as Answer;
  const url = await listening((...args) => answer(...args));
  for (const fault of faults) {
    answer = fault;
    const { client } = clientOf(url, 100);
    await soon(() => expect(shown(client)).toMatchObject({ data: "first", status: "error" }));
    expect(shown(client)?.error?.message).toContain(url);
    answer = real(server);
    await soon(() => expect(shown(client)).toMatchObject({ status: "idle", error: null }));
    client.destroy();
  }
});
