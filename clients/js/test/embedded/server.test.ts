// The embedded server: what it answers, what it holds and for how long, and what it refuses.
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SyncRequest } from "../../src/core/messages.ts";
import { EmbeddedRealityServer } from "../../src/embedded/server.ts";

const NOW = 1_767_225_600_000;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
});

afterEach(() => {
  vi.useRealTimers();
});

function asking(known: Record<string, number>, more: Partial<SyncRequest> = {}): SyncRequest {
  return { known, clientId: "c", mode: "native", hint: "mount", ...more };
}

/** A server, and a request of a client that knows all that there is of `keys`. */
async function upToDate(keys: readonly string[], limits: Record<string, number> = {}) {
  const server = new EmbeddedRealityServer({ serverId: "ssr", ...limits });
  const { known, cursor } = await server.hydration(keys);
  const hold = (more: Partial<SyncRequest> = {}) =>
    asking(known, { cursor, wait: 10_000, ...more });
  return { server, hold };
}

describe("a sync", () => {
  it("tells the versions of keys that were never reported, and where the client now is", async () => {
    const server = new EmbeddedRealityServer({ serverId: "ssr" });
    const response = await server.handleSync(asking({ posts: 0 }));
    expect(response).toEqual({
      changed: { posts: { version: NOW + 1, hash: "" } },
      mesh: { peers: {}, serverVersion: NOW },
      serverTime: NOW,
      cursor: expect.stringMatching(/^1;0;ssr~[0-9a-f]{16}=0$/),
    });
  });

  it("tells of a touch once (I1, I2)", async () => {
    const { server, hold } = await upToDate(["posts", "users"]);
    const { posts } = await server.invalidate("posts");
    const told = await server.handleSync(hold());
    expect(told.changed).toEqual({ posts: { version: posts, hash: "" } });
    const known = { ...hold().known, posts: posts as number };
    const again = await server.handleSync(asking(known, { cursor: told.cursor as string }));
    expect(again.changed).toEqual({});
  });

  it.each(["", "nonsense", "1;0", "1;0;other~1=5", `1;0;s~1=${"0".repeat(17_000)}1`])(
    "with the cursor %s has every key and `reset`",
    async (cursor) => {
      const { server, hold } = await upToDate(["posts", "users"]);
      const response = await server.handleSync(hold({ cursor }));
      expect(response.reset).toBe(true);
      expect(Object.keys(response.changed)).toEqual(["posts", "users"]);
    },
  );

  it("takes names that objects have by themselves for keys", async () => {
    const server = new EmbeddedRealityServer();
    const known = JSON.parse('{"__proto__": 0, "constructor": 0, "7": 0}');
    const { changed } = await server.handleSync(asking(known));
    expect(Object.keys(changed).sort()).toEqual(["7", "__proto__", "constructor"]);
    expect(Object.keys(await server.invalidate("__proto__"))).toEqual(["__proto__"]);
  });
});

describe("a held sync", () => {
  it.each([["posts"], ["a:b"], ["a:*"], ["*"]])("is answered when %s is touched", async (name) => {
    const { server, hold } = await upToDate(["posts", "a:b"]);
    const held = server.handleSync(hold());
    expect(server.stats().waiters).toBe(1);
    await server.invalidate("other", "a", "posts:*");
    expect(server.stats().waiters).toBe(1);
    await server.invalidate(name);
    expect(Object.keys((await held).changed).length).toBeGreaterThan(0);
    expect(server.stats()).toMatchObject({ waiters: 0, woken: 1, syncs: 1, invalidations: 2 });
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is answered with nothing when its time is over", async () => {
    const { server, hold } = await upToDate(["posts"]);
    const held = server.handleSync(hold());
    await vi.advanceTimersByTimeAsync(9_999);
    expect(server.stats().waiters).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect((await held).changed).toEqual({});
    expect(server.stats().waiters).toBe(0);
  });

  it("is held no longer than the server's limit, less a random tenth", async () => {
    const { server, hold } = await upToDate(["posts"]);
    const held = server.handleSync(hold({ wait: 2 ** 40 }));
    await vi.advanceTimersByTimeAsync(22_499);
    expect(server.stats().waiters).toBe(1);
    await vi.advanceTimersByTimeAsync(2_501);
    expect((await held).changed).toEqual({});
  });

  it("ends when its signal is aborted, with the signal's reason", async () => {
    const { server, hold } = await upToDate(["posts"]);
    const leaving = new AbortController();
    const held = server.handleSync(hold(), { signal: leaving.signal });
    leaving.abort(new Error("gone"));
    await expect(held).rejects.toThrow("gone");
    expect(server.stats().waiters).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    await expect(server.handleSync(hold(), { signal: leaving.signal })).rejects.toThrow("gone");
  });

  it("is answered when the server is closed, after which it answers none", async () => {
    const { server, hold } = await upToDate(["posts"]);
    const held = server.handleSync(hold());
    server.close();
    expect((await held).changed).toEqual({});
    await expect(server.handleSync(hold())).rejects.toMatchObject({
      code: "not_ready",
      status: 503,
    });
  });

  it("is not held where something is new, or without `wait`", async () => {
    const { server, hold } = await upToDate(["posts"]);
    await server.handleSync(hold({ wait: 0 }));
    await server.handleSync(hold({ known: { posts: 0 } }));
    await server.handleSync(hold({ cursor: "" }));
    expect(server.stats()).toMatchObject({ waiters: 0, syncs: 3 });
  });

  it("is told to spread its refetch where one touch wakes many", async () => {
    const { server, hold } = await upToDate(["posts"], { refetchesPerS: 2 });
    const held = [1, 2, 3].map(() => server.handleSync(hold()));
    await server.invalidate("posts");
    for (const each of held) expect((await each).spreadMs).toBe(1_500);
  });
});

describe("a limit", () => {
  it("of held syncs refuses one more, and still tells news (I6)", async () => {
    const { server, hold } = await upToDate(["posts"], { waitersMax: 1 });
    const held = server.handleSync(hold());
    const refused = { code: "too_many_waiters", status: 503 };
    await expect(server.handleSync(hold({ clientId: "d" }))).rejects.toMatchObject(refused);
    expect((await server.handleSync(hold({ known: { posts: 0 } }))).changed).toHaveProperty(
      "posts",
    );
    server.close();
    await held;
  });

  it("of held syncs of one client refuses one more of it", async () => {
    const { server, hold } = await upToDate(["posts"], { waitersPerClientMax: 1 });
    const held = [server.handleSync(hold()), server.handleSync(hold({ clientId: "d" }))];
    const refused = { code: "too_many_waiters_of_client", status: 429 };
    await expect(server.handleSync(hold())).rejects.toMatchObject(refused);
    await server.invalidate("posts");
    await Promise.all(held);
    expect(server.stats().waiters).toBe(0);
  });

  it("of names that held syncs wait for counts patterns above them", async () => {
    const { server, hold } = await upToDate(["a:b"], { waitedNamesMax: 5 });
    const held = server.handleSync(hold()); // a:b, a:*, *
    const refused = { code: "too_many_waiters", status: 503 };
    await expect(server.handleSync(hold())).rejects.toMatchObject(refused);
    server.close();
    await held;
  });

  it("of keys refuses requests, and draws no more from what never ends", async () => {
    const { server } = await upToDate([], { keysMax: 2 });
    const refused = { code: "too_many_keys", status: 422 };
    await expect(server.handleSync(asking({ a: 0, b: 0, c: 0 }))).rejects.toMatchObject(refused);
    const endless = (function* () {
      for (;;) yield "a";
    })();
    await expect(server.invalidateMany(endless)).rejects.toMatchObject(refused);
    expect(server.stats().invalidations).toBe(0);
  });

  it("of nodes makes it forget all, so that nothing is missed and no version falls (I1, I4)", async () => {
    const { server, hold } = await upToDate(["a", "b"], { nodesMax: 2 });
    const held = server.handleSync(hold());
    const before = await server.invalidate("x", "y");
    const { origin } = server.stats();
    const after = await server.invalidate("x", "y", "z");
    expect(server.stats()).toMatchObject({ nodes: 0, waiters: 0 });
    expect(server.stats().origin).not.toBe(origin);
    expect((await held).reset).toBe(true);
    for (const key of ["x", "y"]) expect(after[key]).toBeGreaterThan(before[key] as number);
  });

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])("cannot be %d", (keysMax) => {
    expect(() => new EmbeddedRealityServer({ keysMax })).toThrow(RangeError);
  });
});

describe("the application", () => {
  it("invalidates names one by one or in lists, as one batch, and gets the keys' versions", async () => {
    const server = new EmbeddedRealityServer();
    const version = NOW + 2;
    expect(await server.invalidate("a", ["b", "c:*"])).toEqual({ a: version, b: version });
    expect(await server.invalidateMany(new Set(["a"]))).toEqual({ a: version + 1 });
    expect(await server.invalidate()).toEqual({});
    expect(server.stats().invalidations).toBe(2);
  });

  it("touches nothing where one of the names is malformed", async () => {
    const server = new EmbeddedRealityServer();
    await expect(server.invalidate("good", "bad\n")).rejects.toMatchObject({ code: "invalid_key" });
    await expect(server.invalidate("good", 7 as never)).rejects.toMatchObject({
      code: "invalid_key",
    });
    expect(server.stats().invalidations).toBe(0);
  });

  it("tells hashes and deletions, and reads nodes", async () => {
    const server = new EmbeddedRealityServer();
    expect(await server.getNode("posts")).toBeNull();
    const updated = { key: "posts", version: NOW + 2, hash: "h", updatedAt: NOW };
    expect(await server.updateNode("posts", "h")).toEqual(updated);
    expect(await server.getNode("posts")).toEqual(updated);
    await server.deleteNode("posts");
    const { changed } = await server.handleSync(asking({ posts: 0 }));
    expect(changed).toEqual({ posts: { version: NOW + 3, hash: "", deleted: true } });
  });

  it.each(["", "h".repeat(257), "a\nb", 7 as never])("cannot give the hash %j", async (hash) => {
    const refused = { code: "invalid_request", status: 400 };
    await expect(new EmbeddedRealityServer().updateNode("k", hash)).rejects.toMatchObject(refused);
  });

  it("gets what a page starts from, and misses nothing from there on (I1)", async () => {
    const server = new EmbeddedRealityServer();
    const { known, cursor, serverTime } = await server.hydration(["posts", "chat:7"]);
    expect({ known, serverTime }).toEqual({
      known: { posts: NOW + 1, "chat:7": NOW + 1 },
      serverTime: NOW,
    });
    expect((await server.handleSync(asking(known, { cursor }))).changed).toEqual({});
    await server.invalidate("chat:*");
    const { changed } = await server.handleSync(asking(known, { cursor }));
    expect(Object.keys(changed)).toEqual(["chat:7"]);
    await expect(server.hydration(["chat:*"])).rejects.toMatchObject({ code: "invalid_key" });
  });

  it.each(["", "a b", "é", "x".repeat(65), 7 as never])("cannot name a server %j", (serverId) => {
    expect(() => new EmbeddedRealityServer({ serverId })).toThrow(RangeError);
  });
});

describe("a malformed request", () => {
  it("is refused, whatever it is, with the name of what is wrong", async () => {
    const server = new EmbeddedRealityServer();
    const member = fc.constantFrom(
      "known",
      "clientId",
      "mode",
      "hint",
      "timestamp",
      "wait",
      "cursor",
    );
    const wrong = fc.constantFrom(null, true, -1, 1.5, {}.toString, ["a"], Symbol("a"));
    await fc.assert(
      fc.asyncProperty(member, wrong, async (name, value) => {
        const request = { ...asking({ a: 1 }), [name]: value } as SyncRequest;
        const refusal = server.handleSync(request);
        await expect(refusal).rejects.toMatchObject({ code: "invalid_request", status: 400 });
        await expect(refusal).rejects.toThrow(`\`${name}\``);
      }),
    );
  });

  it.each([undefined, null, 7, "known", [], {}])("is refused: %j", async (request) => {
    const refusal = new EmbeddedRealityServer().handleSync(request as unknown as SyncRequest);
    await expect(refusal).rejects.toMatchObject({ code: "invalid_request" });
  });

  it.each([-1, 1.5, 2 ** 52, Number.NaN, "5", null])("is refused: version %s", async (version) => {
    const refusal = new EmbeddedRealityServer().handleSync(asking({ posts: version as number }));
    await expect(refusal).rejects.toThrow('`known["posts"]`');
  });

  it("is refused where a key is a pattern", async () => {
    const refusal = new EmbeddedRealityServer().handleSync(asking({ "posts:*": 0 }));
    await expect(refusal).rejects.toMatchObject({ code: "invalid_key" });
  });
});
