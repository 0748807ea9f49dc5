// Subscribers: what they are told, when, and that they do not get into each other's way.
import { describe, expect, it, vi } from "vitest";
import { RealityError } from "../../src/core/errors.ts";
import {
  Audience,
  inVirtualTime,
  newClient,
  passing,
  Script,
  Server,
  Source,
  settled,
} from "./support.ts";

inVirtualTime();

describe("a subscriber", () => {
  it("is told the present state soon, and not at once", async () => {
    const { client, source } = await settled();
    const late = new Audience();
    client.subscribe("posts", late.callback, source);
    expect(late.told).toEqual([]);
    await passing(0);
    expect(late.told).toEqual([client.getState("posts")]);
  });

  it("is told snapshots: what it was told does not change later", async () => {
    const { audience, server, source } = await settled();
    const copies = structuredClone(audience.told);
    source.data = "second";
    await server.invalidate("posts");
    await passing(10);
    expect(audience.told.slice(0, copies.length)).toEqual(copies);
    expect(audience.last).not.toBe(audience.told[0]);
  });

  it("is told no more once it has unsubscribed, not even what was on its way", async () => {
    const { client, leave, audience, source, server } = await settled();
    const short = new Audience();
    client.subscribe("posts", short.callback, source)();
    const { length } = audience.told;
    source.data = "second";
    await server.invalidate("posts");
    leave();
    leave();
    await passing(100);
    expect(short.told).toEqual([]);
    expect(audience.told).toHaveLength(length);
  });

  it("that throws is reported, and does not keep the others from being told", async () => {
    const thrown: unknown[] = [];
    const record = (error: unknown) => thrown.push(error);
    const others = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection");
    process.on("unhandledRejection", record);
    try {
      const client = newClient({ transport: new Server(), live: false });
      const audience = new Audience();
      const source = new Source("data");
      client.subscribe(
        "posts",
        () => {
          throw new Error("mine");
        },
        source,
      );
      client.subscribe("posts", audience.callback, source);
      await passing(1_000);
      expect(audience.last).toMatchObject({ data: "data", status: "idle" });
      expect(thrown.length).toBeGreaterThan(0);
      expect(thrown).toEqual(thrown.map(() => new Error("mine")));
    } finally {
      process.off("unhandledRejection", record);
      for (const each of others) process.on("unhandledRejection", each);
    }
  });

  it("may unsubscribe itself and others while it is told", async () => {
    const client = newClient({ transport: new Server(), live: false });
    const other = new Audience();
    const leaves = [
      client.subscribe("posts", () => leaves.forEach((leave) => void leave())),
      client.subscribe("posts", other.callback),
    ];
    await passing(1_000);
    expect(other.told).toEqual([]);
    expect(client.getStats().subscribers).toBe(0);
  });

  it("may be the same function twice", async () => {
    const client = newClient({ transport: new Server(), live: false });
    const audience = new Audience();
    const leave = client.subscribe("posts", audience.callback);
    client.subscribe("posts", audience.callback);
    leave();
    await passing(1_000);
    expect(client.getStats().subscribers).toBe(1);
    expect(audience.last.status).toBe("idle");
  });

  it("without a fetcher learns of changes by their metadata", async () => {
    const server = new Server();
    const client = newClient({ transport: server });
    const audience = new Audience();
    client.subscribe("posts", audience.callback);
    await passing(200);
    const { version } = audience.last.meta ?? { version: 0 };
    await server.invalidate("posts");
    await passing(10);
    expect(audience.last).toMatchObject({ status: "idle", data: undefined });
    expect(audience.last.meta?.version).toBe(version + 1);
  });
});

describe("a state", () => {
  it("is undefined for a key that nobody has subscribed to", () => {
    expect(newClient({ transport: new Script() }).getState("posts")).toBeUndefined();
  });

  it("is the same object until something changes", async () => {
    const { client, room, server } = await settled();
    const state = client.getState("posts");
    room.focus();
    await passing(1_000);
    expect(server.requests.length).toBeGreaterThan(2);
    expect(client.getState("posts")).toBe(state);
  });

  it("tells of a deletion", async () => {
    const { client, server } = await settled();
    await server.deleteNode("posts");
    await passing(10);
    expect(client.getState("posts")?.meta).toMatchObject({ deleted: true });
  });
});

describe("a thousand keys", () => {
  it("of which one changes: exactly one subscriber is called, and one key fetched", async () => {
    const server = new Server();
    const client = newClient({ transport: server, maxFetches: 1_000 });
    const source = new Source("first");
    const audiences = Array.from({ length: 1_000 }, () => new Audience());
    for (const [at, { callback }] of audiences.entries())
      client.subscribe(`key:${at}`, callback, source);
    await passing(200);
    expect(client.getStats()).toMatchObject({ keys: 1_000, subscribers: 1_000 });
    const calls = source.calls;
    for (const each of audiences) each.told.length = 0;
    source.data = "second";
    vi.useRealTimers();
    const begun = performance.now();
    await server.invalidate("key:7");
    await vi.waitFor(() => expect(audiences[7]?.last?.data).toBe("second"), {
      interval: 1,
      timeout: 8_000,
    });
    console.debug(`of 1,000 keys one changed: ${(performance.now() - begun).toFixed(2)} ms in all`);
    expect(audiences.flatMap((each, at) => (each.told.length > 0 ? [at] : []))).toEqual([7]);
    expect(source.calls).toBe(calls + 1);
  });
});

describe("a key", () => {
  it.each(["", "a\nb", "posts:*", "*", "k".repeat(513)])("that is %j is refused", (key) => {
    const client = newClient({ transport: new Script() });
    expect(() => client.subscribe(key, () => {})).toThrow(RealityError);
    expect(() => client.realtime(key).subscribe(() => {})).toThrow(RealityError);
  });

  it("that is unmounted and mounted again soon is neither asked for nor fetched again", async () => {
    const { client, leave, source, server, audience } = await settled();
    const asked = server.requests.length;
    leave();
    await passing(3_000);
    client.subscribe("posts", audience.callback, source);
    await passing(3_000);
    expect(source.calls).toBe(1);
    expect(server.requests).toHaveLength(asked);
  });

  it("that nobody wants any more is asked for no more, and for what was missed when somebody comes back (I1)", async () => {
    const { client, leave, source, server } = await settled();
    leave();
    await passing(60_000);
    expect(server.underWay).toBe(0);
    const asked = server.requests.length;
    await server.invalidate("posts");
    source.data = "second";
    await passing(60_000);
    expect(server.requests).toHaveLength(asked);
    const late = new Audience();
    client.subscribe("posts", late.callback, source);
    expect(client.getState("posts")).toMatchObject({ data: "first" });
    await passing(500);
    expect(late.last).toMatchObject({ data: "second", status: "idle" });
    expect(source.calls).toBe(2);
  });

  it("that nobody wanted while the cursor moved on is fetched when somebody comes back (I1)", async () => {
    const script = new Script();
    const [one, other] = [new Source("one"), new Source("other")];
    const client = newClient({ transport: script });
    client.subscribe("one", () => {}, one);
    const leave = client.subscribe("other", () => {}, other);
    await passing(10);
    script.last.answer({ one: { version: 5 }, other: { version: 5 } }, { cursor: "c1" });
    await passing(10);
    leave();
    await passing(6_000);
    script.last.answer({ one: { version: 6 } }, { cursor: "c2" });
    await passing(10);
    script.last.answer({ one: { version: 7 } }, { cursor: "c3" });
    await passing(10);
    expect(client.getState("other")).toMatchObject({ data: "other", isStale: true });
    client.subscribe("other", () => {}, other);
    await passing(10);
    script.last.answer({}, { cursor: "c4" }); // the server sees nothing after c3
    await passing(10);
    expect(other.calls).toBe(2);
    expect(client.getState("other")).toMatchObject({ data: "other", status: "idle" });
  });

  it("that was touched while it lingered is fetched when somebody comes back", async () => {
    const { client, leave, source, server, audience } = await settled();
    leave();
    await passing(1_000);
    await server.invalidate("posts");
    source.data = "second";
    await passing(1_000);
    expect(source.calls).toBe(1);
    client.subscribe("posts", audience.callback, source);
    await passing(10);
    expect(client.getState("posts")).toMatchObject({ data: "second", status: "idle" });
  });

  it.each(["__proto__", "constructor", "toString", "hasOwnProperty"])(
    "may be called %s",
    async (key) => {
      const server = new Server();
      const source = new Source("first");
      const client = newClient({ transport: server });
      client.subscribe(key, () => {}, source);
      await passing(10);
      expect(client.getState(key)).toMatchObject({ key, data: "first", status: "idle" });
      source.data = "second";
      await client.invalidate(key);
      await passing(10);
      expect(client.getState(key)?.data).toBe("second");
      source.data = "third";
      await server.invalidate(key);
      await passing(10);
      expect(client.getState(key)?.data).toBe("third");
      const known = server.requests.map((each) => Object.entries(each.known));
      expect(known.every(([entry]) => entry?.[0] === key && Number.isInteger(entry[1]))).toBe(true);
    },
  );
});

describe("realtime", () => {
  it("is a key together with its options", async () => {
    const server = new Server();
    const source = new Source(["a"]);
    const client = newClient({ transport: server });
    const posts = client.realtime<string[]>("posts", { fallback: [], fetcher: source.fetcher });
    expect(posts.key).toBe("posts");
    expect(posts.getState()).toBeUndefined();
    const audience = new Audience<string[]>();
    const leave = posts.subscribe(audience.callback);
    await passing(10);
    expect(audience.told[0]).toMatchObject({ data: [], isLoading: true });
    expect(posts.getState()?.data).toEqual(["a"]);
    await server.invalidate("posts");
    expect(await posts.sync()).toEqual(["posts"]);
    leave();
    expect(client.getStats().subscribers).toBe(0);
  });
});
