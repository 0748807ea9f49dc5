// The `fetch` of a page whose servers the tests write: what is asked is recorded with its time, and
// answers may be anything.

import { expect } from "vitest";
import type { RealityOptions, SyncRequest } from "../../src/client/types.ts";
import { RealityError } from "../../src/core/errors.ts";
import type { EmbeddedRealityServer } from "../../src/embedded/index.ts";
import { newClient, passing, Room, Source } from "./support.ts";

/** One request that arrived. */
export interface Arrival {
  readonly url: string;
  readonly at: number;
  readonly body: SyncRequest & { readonly keys?: string[] };
  readonly headers: Headers;
  readonly init: RequestInit;
}

type Reply = Response | undefined | Promise<Response>;

/** Answers a request; one that it answers with undefined is never answered. */
export type Handler = (arrival: Arrival) => Reply;

export class Web {
  readonly arrivals: Arrival[] = [];
  handler: Handler;

  constructor(handler: Handler) {
    this.handler = handler;
  }

  readonly fetch = (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const arrival = {
      url: String(input),
      at: performance.now(),
      body: JSON.parse(String(init.body)),
      headers: new Headers(init.headers),
      init,
    };
    return new Promise((resolve, reject) => {
      const { signal } = init;
      if (signal?.aborted) throw signal.reason;
      signal?.addEventListener("abort", () => reject(signal.reason));
      this.arrivals.push(arrival);
      const reply = this.handler(arrival);
      if (reply !== undefined) Promise.resolve(reply).then(resolve, reject);
    });
  };

  /** The URLs asked, in order. */
  get urls(): string[] {
    return this.arrivals.map((each) => each.url);
  }

  /** The most requests that began within any half second. */
  get busiest(): number {
    const times = this.arrivals.map((each) => each.at);
    return Math.max(
      0,
      ...times.map((at) => times.filter((one) => one >= at && one < at + 500).length),
    );
  }
}

/** A JSON answer. */
export function json(body: unknown, init: ResponseInit = {}): Response {
  return new Response(JSON.stringify(body), {
    ...init,
    headers: { "content-type": "application/json", ...init.headers },
  });
}

/** An error as of a Reality server. */
export function problem(
  status: number,
  code: string,
  headers: Record<string, string> = {},
): Response {
  const text = `the text of ${code}`;
  return json({ title: "T", status, detail: text, code, error: text }, { status, headers });
}

/** Answers as a Reality server at a URL does. */
export function served(server: EmbeddedRealityServer): Handler {
  return async ({ url, body, init }) => {
    try {
      if (url.endsWith("/invalidate")) {
        const versions = await server.invalidate(body.keys ?? []);
        return json({ invalidated: body.keys, versions });
      }
      const context = init.signal ? { signal: init.signal } : {};
      return json(await server.handleSync(body, context));
    } catch (error) {
      if (error instanceof RealityError) return problem(error.status || 400, error.code);
      throw error;
    }
  };
}

/** A client of `http://a`, as `handler` has it, that is subscribed to `posts`. */
export async function visiting(handler: Handler, options: RealityOptions = {}) {
  const web = new Web(handler);
  const room = new Room();
  const source = new Source<unknown>("first");
  const client = newClient({
    servers: "http://a",
    fetch: web.fetch,
    environment: room,
    executionMode: "client",
    ...options,
  });
  client.subscribe("posts", () => {}, source);
  await passing(200);
  expect(client.getState("posts")).toMatchObject({ data: "first" });
  return { web, room, source, client };
}
