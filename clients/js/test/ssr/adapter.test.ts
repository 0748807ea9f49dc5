// The adapter that prepares rendered pages.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { RealityClient } from "../../src/client/client.ts";
import type { SyncRequest, SyncResponse } from "../../src/client/types.ts";
import {
  createEmbeddedRealityServer,
  EmbeddedRealityServer,
  sharedEmbeddedServer,
} from "../../src/embedded/index.ts";
import {
  createRealityTanStackAdapter,
  deserializeRealityState,
  serializeRealityState,
  TanStackRealityAdapter,
} from "../../src/ssr/index.ts";

const SHARED = Symbol.for("reality-sync.embedded");
const shared = () => (globalThis as Record<symbol, EmbeddedRealityServer | undefined>)[SHARED];
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  shared()?.close();
});

/** A Reality server over HTTP; its URL. */
async function serve(reality: EmbeddedRealityServer, token?: string): Promise<string> {
  const handler = reality.getFetchHandler("/reality", { token });
  const server = createServer(async (request, response) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk as Uint8Array);
    const { method = "GET", headers, url } = request;
    const body = Buffer.concat(chunks).toString();
    const { authorization = "" } = headers;
    const asked = new Request(`http://site${url}`, { method, body, headers: { authorization } });
    const answer = await handler(asked);
    response.writeHead(answer.status).end(await answer.text());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => new Promise((resolve) => server.close(resolve).closeAllConnections()));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/reality`;
}

/** A browser's client of that server, and what it asked. */
function browserOf(server: EmbeddedRealityServer) {
  const requests: SyncRequest[] = [];
  const client = new RealityClient({
    transport: {
      sync: (request, context) => {
        requests.push(request);
        return server.handleSync(request, context);
      },
    },
  });
  closers.push(() => client.destroy());
  return { client, requests };
}

describe("prefetch", () => {
  it("gives the position and the version of each key, by one sync that knows nothing", async () => {
    const server = new EmbeddedRealityServer();
    await server.updateNode("posts", "aa");
    await server.deleteNode("gone");
    const asked = vi.spyOn(server, "handleSync");
    const adapter = createRealityTanStackAdapter({ keys: ["posts", "gone", "__proto__"], server });
    expect(adapter).toBeInstanceOf(TanStackRealityAdapter);
    const state = await adapter.prefetch();
    expect(asked).toHaveBeenCalledOnce();
    expect(asked.mock.calls[0]?.[0]).toMatchObject({ known: { posts: 0, gone: 0 }, hint: "mount" });
    expect(asked.mock.calls[0]?.[0].wait).toBeUndefined();
    expect(state.cursor).toEqual(expect.any(String));
    expect(Object.keys(state.nodes)).toEqual(["posts", "gone", "__proto__"]);
    const { version } = (await server.getNode("posts")) ?? {};
    expect(state.nodes.posts).toEqual({
      version,
      hash: "aa",
      updatedAt: expect.any(Number),
      deleted: false,
    });
    expect(state.nodes.gone).toMatchObject({ deleted: true, hash: "" });
  });

  it("asks for other keys where it is given some", async () => {
    const adapter = createRealityTanStackAdapter({
      keys: ["posts"],
      server: new EmbeddedRealityServer(),
    });
    expect(Object.keys((await adapter.prefetch(["user:1"])).nodes)).toEqual(["user:1"]);
  });

  it("gives version 0 to what the server has never heard of", async () => {
    const syncHandler = async (): Promise<SyncResponse> => ({
      changed: {},
      mesh: { peers: {}, serverVersion: 0 },
      serverTime: 1,
      cursor: "c",
    });
    const state = await createRealityTanStackAdapter({ keys: ["a"], syncHandler }).prefetch();
    expect(state).toEqual({
      cursor: "c",
      nodes: { a: { version: 0, hash: "", updatedAt: 1, deleted: false } },
    });
  });

  it("refuses malformed keys, and answers of no Reality server", async () => {
    const server = new EmbeddedRealityServer();
    const adapter = createRealityTanStackAdapter({ server });
    await expect(adapter.prefetch(["posts:*"])).rejects.toMatchObject({ name: "RealityError" });
    const syncHandler = async () => "<html>" as unknown as SyncResponse;
    const other = createRealityTanStackAdapter({ keys: ["a"], syncHandler });
    await expect(other.prefetch()).rejects.toMatchObject({ code: "protocol_error" });
  });

  it("can be given up", async () => {
    const adapter = createRealityTanStackAdapter({
      keys: ["a"],
      server: new EmbeddedRealityServer(),
    });
    const signal = AbortSignal.abort(new Error("the visitor has left"));
    await expect(adapter.prefetch(undefined, { signal })).rejects.toThrow("the visitor has left");
  });
});

describe("a page that was rendered", () => {
  it("is not fetched again where nothing changed, and waits (I2)", async () => {
    const server = new EmbeddedRealityServer();
    await server.invalidate("posts");
    const adapter = createRealityTanStackAdapter({ keys: ["posts"], server });
    const state = deserializeRealityState(serializeRealityState(await adapter.prefetch()));
    const { client, requests } = browserOf(server);
    adapter.hydrate(client, state);
    const fetcher = vi.fn(() => ["fetched"]);
    const seen: unknown[] = [];
    client.subscribe("posts", ({ data }) => seen.push(data), {
      fetcher,
      initialData: ["rendered"],
    });
    await vi.waitFor(() => expect(server.stats().waiters).toBe(1));
    expect(requests[0]?.cursor).toBe(state.cursor);
    expect(fetcher).not.toHaveBeenCalled();
    expect(seen.at(-1)).toEqual(["rendered"]);
    await server.invalidate("posts");
    await vi.waitFor(() => expect(seen.at(-1)).toEqual(["fetched"]));
    expect(fetcher).toHaveBeenCalledOnce();
  });

  it("is fetched again if its data changed while it was read (I1)", async () => {
    const server = new EmbeddedRealityServer();
    const adapter = createRealityTanStackAdapter({ keys: ["posts"], server });
    const state = await adapter.prefetch();
    const rendered = ["old"]; // read after `prefetch`, and before this change:
    await server.invalidate("posts");
    const { client } = browserOf(server);
    adapter.hydrate(client, state);
    const fetcher = vi.fn(() => ["new"]);
    client.subscribe("posts", () => {}, { fetcher, initialData: rendered });
    await vi.waitFor(() => expect(client.getState("posts")?.data).toEqual(["new"]));
  });

  it("goes on in another client with `dehydrate`", async () => {
    const server = new EmbeddedRealityServer();
    const adapter = createRealityTanStackAdapter({ server });
    const first = browserOf(server).client;
    first.subscribe("posts", () => {}, { fetcher: () => ["fetched"] });
    await vi.waitFor(() => expect(server.stats().waiters).toBe(1));
    await vi.waitFor(() => expect(first.getState("posts")?.status).toBe("idle"));
    const [state] = adapter.dehydrate(first);
    expect(state?.nodes.posts?.data).toEqual(["fetched"]);
    const second = browserOf(server).client;
    if (state) adapter.hydrate(second, state);
    expect(second.getState("posts")).toMatchObject({ data: ["fetched"] });
  });
});

describe("which server is asked", () => {
  it("is the shared one of the process, whenever it was made", async () => {
    const adapter = createRealityTanStackAdapter({ keys: ["posts"] });
    const server = createEmbeddedRealityServer({ serverId: "ssr" });
    const before = await adapter.prefetch();
    const versions = await adapter.invalidate(["posts"]);
    expect(versions.posts).toBe(Number(before.nodes.posts?.version) + 1);
    expect(server.stats().invalidations).toBe(1);
  });

  it("is one made under its `serverId`, and shared, where there is none", async () => {
    const adapter = createRealityTanStackAdapter({ keys: ["posts"], serverId: "tanstack-ssr" });
    expect(shared()).toBeUndefined();
    await adapter.prefetch();
    expect(sharedEmbeddedServer().serverId).toBe("tanstack-ssr");
    await adapter.invalidate("posts");
    expect(sharedEmbeddedServer().stats().invalidations).toBe(1);
  });

  it("is named in the error where there is none", async () => {
    const adapter = createRealityTanStackAdapter({ keys: ["posts"] });
    const error = {
      code: "no_server",
      message: expect.stringContaining("createEmbeddedRealityServer"),
    };
    await expect(adapter.prefetch()).rejects.toMatchObject(error);
    await expect(adapter.invalidate("posts")).rejects.toMatchObject(error);
  });

  it("is the one at `servers`, with its token for invalidations", async () => {
    const elsewhere = new EmbeddedRealityServer();
    const servers = await serve(elsewhere, "secret");
    createEmbeddedRealityServer();
    const adapter = createRealityTanStackAdapter({ keys: ["posts"], servers, token: "secret" });
    const state = await adapter.prefetch();
    await adapter.invalidate(["posts", "chat:*"]);
    expect(elsewhere.stats()).toMatchObject({ syncs: 1, invalidations: 1 });
    expect((await adapter.prefetch()).nodes.posts?.version).toBeGreaterThan(
      Number(state.nodes.posts?.version),
    );
  });

  it("is the one that `syncHandler` asks, which cannot be told", async () => {
    const elsewhere = new EmbeddedRealityServer();
    const url = await serve(elsewhere);
    const syncHandler = async (request: SyncRequest) => {
      const answer = await fetch(`${url}/sync`, { method: "POST", body: JSON.stringify(request) });
      return answer.json() as Promise<SyncResponse>;
    };
    const adapter = createRealityTanStackAdapter({ keys: ["posts"], syncHandler });
    expect((await adapter.prefetch()).cursor).toBeTruthy();
    expect(elsewhere.stats().syncs).toBe(1);
    await expect(adapter.invalidate("posts")).rejects.toThrow(/`syncHandler` only asks/);
  });
});
