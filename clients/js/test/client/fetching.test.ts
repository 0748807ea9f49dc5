// When data is fetched, how often, and what becomes of it.
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

describe("a report during a fetch", () => {
  it("makes it fetch again, and the late data is not the last (I1)", async () => {
    const { server, source, client } = await settled();
    source.delayMs = 100;
    source.data = "second";
    await server.invalidate("posts");
    await passing(50);
    expect(source.underWay).toBe(1);
    source.data = "third";
    await server.invalidate("posts");
    await passing(60);
    expect(client.getState("posts")).toMatchObject({
      data: "second",
      status: "syncing",
      isStale: true,
    });
    await passing(100);
    expect(client.getState("posts")).toMatchObject({
      data: "third",
      status: "idle",
      isStale: false,
    });
    expect(source).toMatchObject({ calls: 3, mostUnderWay: 1 });
  });

  it("counts once, however many there are", async () => {
    const { server, source, client } = await settled();
    source.delayMs = 1_000;
    for (let times = 0; times < 4; times += 1) {
      await server.invalidate("posts");
      await passing(200);
    }
    source.data = "last";
    await server.invalidate("posts");
    await passing(2_500);
    expect(client.getState("posts")).toMatchObject({ data: "last", status: "idle" });
    expect(source.calls).toBe(3);
  });
});

describe("the first load", () => {
  it.each([0, 100, 149])("fetches once, after an answer that takes %i ms", async (ms) => {
    const script = new Script();
    const source = new Source("data");
    newClient({ transport: script, live: false }).subscribe("posts", () => {}, source);
    await passing(ms);
    expect(source.calls).toBe(0);
    script.last.answer({ posts: { version: 5 } });
    await passing(1_000);
    expect(source.calls).toBe(1);
    expect(source.metas[0]).toMatchObject({ key: "posts", version: 5 });
  });

  it("does so too where the server has never heard of the key", async () => {
    const script = new Script();
    const source = new Source("data");
    newClient({ transport: script, live: false }).subscribe("posts", () => {}, source);
    await passing(0);
    script.last.answer();
    await passing(1_000);
    expect(source).toMatchObject({ calls: 1, metas: [null] });
  });

  it("waits no longer than 150 ms for the answer", async () => {
    const script = new Script();
    const source = new Source("data");
    const client = newClient({ transport: script, live: false });
    client.subscribe("posts", () => {}, source);
    await passing(149);
    expect(source.calls).toBe(0);
    await passing(2);
    expect(source.calls).toBe(1);
    expect(client.getState("posts")).toMatchObject({ data: "data", lastSyncAt: null });
  });
});

describe("a fetcher", () => {
  it.each([
    ["no parameter", () => "data"],
    ["the key", (key: string) => `data of ${key}`],
    ["the key and its metadata", (key: string, meta: unknown) => ({ key, meta })],
  ])("may take %s, and need not be asynchronous", async (_, fetcher) => {
    const client = newClient({ transport: new Server(), live: false });
    client.subscribe("posts", () => {}, { fetcher });
    await passing(10);
    expect(client.getState("posts")).toMatchObject({ status: "idle", data: expect.anything() });
  });

  it("that fails leaves the data, tells why, and is tried again", async () => {
    const { server, source, client } = await settled();
    source.failure = new Error("the API is down");
    await server.invalidate("posts");
    await passing(10);
    const state = client.getState("posts");
    expect(state).toMatchObject({ data: "first", status: "error", isStale: true });
    expect(state?.error?.message).toBe("the API is down");
    await passing(60_000);
    expect(source.calls).toBeGreaterThan(4);
    expect(source.calls).toBeLessThan(30);
    source.failure = undefined;
    source.data = "second";
    await passing(30_000);
    expect(client.getState("posts")).toMatchObject({ data: "second", status: "idle", error: null });
  });

  it.each([
    [
      "synchronously",
      () => {
        throw "words";
      },
    ],
    ["later", () => Promise.reject("words")],
  ])("that throws something else %s is an error with its text", async (_, fetcher) => {
    const client = newClient({ transport: new Server(), live: false });
    client.subscribe("posts", () => {}, { fetcher });
    await passing(10);
    expect(client.getState("posts")?.error).toEqual(new Error("words"));
  });

  it("that takes too long is given up, told so, and tried again", async () => {
    const { server, source, client } = await settled({ fetchTimeout: 500 });
    source.delayMs = 100_000;
    source.data = "second";
    await server.invalidate("posts");
    await passing(600);
    const { error } = client.getState("posts") ?? {};
    expect(error).toMatchObject({
      code: "fetch_timeout",
      message: expect.stringContaining("posts"),
    });
    expect(error).toBeInstanceOf(RealityError);
    expect(source.signals[1]?.aborted).toBe(true);
    source.delayMs = 0;
    await passing(2_000);
    expect(client.getState("posts")).toMatchObject({ data: "second", status: "idle" });
  });

  it("is told to end when nobody waits any more", async () => {
    const { server, source, client, leave } = await settled();
    source.delayMs = 60_000;
    await server.invalidate("posts");
    await passing(10);
    leave();
    await passing(4_000);
    expect(source.signals.at(-1)?.aborted).toBe(false); // somebody may come back
    await passing(1_001);
    expect(source.signals.at(-1)?.aborted).toBe(true);
    expect(client.getState("posts")).toMatchObject({ data: "first", isStale: true });
  });

  it("is told to end when the client is destroyed", async () => {
    const { server, source, client } = await settled();
    source.delayMs = 1_000;
    await server.invalidate("posts");
    await passing(10);
    client.destroy();
    expect(source.signals.at(-1)?.aborted).toBe(true);
  });

  it("runs beside no more than maxFetches", async () => {
    const source = new Source("data");
    source.delayMs = 100;
    const client = newClient({ transport: new Server(), live: false, maxFetches: 3 });
    for (let key = 0; key < 10; key += 1) client.subscribe(`key:${key}`, () => {}, source);
    await passing(1_000);
    expect(source).toMatchObject({ calls: 10, mostUnderWay: 3 });
  });

  it("is the client's where no subscriber has one, from when it is set", async () => {
    const client = newClient({ transport: new Server(), live: false });
    client.subscribe("posts", () => {});
    await passing(500);
    expect(client.getState("posts")).toMatchObject({ data: undefined, status: "idle" });
    client.setDefaultFetcher((key) => `data of ${key}`);
    await passing(10);
    expect(client.getState("posts")?.data).toBe("data of posts");
  });

  it("of the first subscriber that has one is used, then that of the next", async () => {
    const server = new Server();
    const [one, other] = [new Source("one"), new Source("other")];
    const client = newClient({ transport: server });
    client.subscribe("posts", () => {});
    const leave = client.subscribe("posts", () => {}, one);
    client.subscribe("posts", () => {}, other);
    await passing(10);
    expect([one.calls, other.calls]).toEqual([1, 0]);
    leave();
    await server.invalidate("posts");
    await passing(10);
    expect([one.calls, other.calls]).toEqual([1, 1]);
    expect(client.getState("posts")?.data).toBe("other");
  });
});

describe("data that was fetched again", () => {
  it("stays the same object, and nobody is told, if it is equal", async () => {
    const { server, source, audience, client } = await settled();
    source.data = { posts: [{ id: 1 }] };
    await server.invalidate("posts");
    await passing(10);
    const { data } = client.getState("posts") ?? {};
    source.data = { posts: [{ id: 1 }] };
    await server.invalidate("posts");
    await passing(10);
    expect(source.calls).toBe(3);
    expect(client.getState("posts")?.data).toBe(data);
    expect(new Set(audience.told.slice(-2).map((each) => each.data))).toEqual(new Set([data]));
  });
});

describe("an announced hash", () => {
  it("saves the fetch if it is that of the data held, and only then", async () => {
    const { server, source, client } = await settled();
    const { createHash } = await import("../../src/core/hash.ts");
    await server.updateNode("posts", createHash("first"));
    await passing(10);
    expect(source.calls).toBe(1);
    expect(client.getState("posts")).toMatchObject({ data: "first", status: "idle" });
    source.data = "second";
    await server.updateNode("posts", createHash("second"));
    await passing(10);
    expect(source.calls).toBe(2);
    expect(client.getState("posts")?.data).toBe("second");
  });

  it("saves no fetch while another is due or under way", async () => {
    const { server, source, client } = await settled();
    const { createHash } = await import("../../src/core/hash.ts");
    source.delayMs = 100;
    source.data = "second";
    await server.invalidate("posts");
    await passing(50);
    source.data = "first";
    await server.updateNode("posts", createHash("first"));
    await passing(300);
    expect(client.getState("posts")).toMatchObject({ data: "first", status: "idle" });
    expect(source.calls).toBe(3);
  });

  it("of data that has none saves no fetch, and does no harm", async () => {
    const { server, source, client } = await settled();
    source.data = { now: 1n };
    await server.invalidate("posts");
    await passing(10);
    await server.updateNode("posts", "0".repeat(32));
    await passing(10);
    expect(source.calls).toBe(3);
    expect(client.getState("posts")).toMatchObject({ data: { now: 1n }, status: "idle" });
  });
});

it("a subscriber is told of each step of a load", async () => {
  const audience = new Audience();
  const source = new Source("data");
  source.delayMs = 50;
  newClient({ transport: new Server(), live: false }).subscribe("posts", audience.callback, source);
  await passing(1_000);
  const steps = audience.told.map((each) => [each.status, each.isLoading, each.data]);
  expect(steps.at(0)).toEqual(["loading", true, undefined]);
  expect(steps.at(-1)).toEqual(["idle", false, "data"]);
  expect(vi.getTimerCount()).toBe(0);
});
