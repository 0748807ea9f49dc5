// What a client tells of its work, and that it ends when it is destroyed.
import { describe, expect, it, vi } from "vitest";
import type { RealityEvents } from "../../src/client/types.ts";
import {
  inVirtualTime,
  newClient,
  passing,
  Script,
  Server,
  Source,
  settled,
  unreachable,
} from "./support.ts";

inVirtualTime();

const NAMES = ["change", "sync", "fetch", "error"] as const;

describe("events", () => {
  it("tell of every change, sync, fetch and failure", async () => {
    const { client, server, source } = await settled();
    const events: [string, unknown][] = [];
    for (const name of NAMES) client.on(name, (event) => events.push([name, event]));
    await server.invalidate("posts");
    await passing(10);
    const meta = client.getState("posts")?.meta;
    expect(events.slice(0, 2)).toMatchObject([
      ["change", { key: "posts", meta, reset: false }],
      ["sync", { keys: 1, changed: 1, hint: "idle", waitMs: 25_000, reset: false }],
    ]);
    expect(events[1]?.[1]).toHaveProperty("tookMs", expect.any(Number));
    expect(events).toContainEqual(["fetch", { key: "posts", tookMs: expect.any(Number) }]);
    source.failure = new Error("down");
    await client.invalidate("posts");
    await passing(10);
    expect(events.at(-1)).toEqual(["error", { key: "posts", error: source.failure }]);
    server.failure = unreachable();
    await server.invalidate("posts");
    await passing(10);
    expect(
      events.map(([name, event]) => [name, (event as { error?: Error }).error]),
    ).toContainEqual(["error", server.failure]);
  });

  it("are told no more once that is ended, and to each listener", async () => {
    const { client } = await settled();
    const [one, other] = [vi.fn(), vi.fn()];
    const end = client.on("sync", one);
    client.on("sync", other);
    await client.syncAll();
    end();
    end();
    await client.syncAll();
    expect([one.mock.calls.length, other.mock.calls.length]).toEqual([1, 2]);
  });

  it.each(NAMES)("whose listener throws stop nothing: %s", async (name) => {
    const others = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection");
    process.on("unhandledRejection", () => {});
    try {
      const server = new Server();
      const source = new Source("first");
      const client = newClient({ transport: server });
      client.on(name, () => {
        throw new Error("mine");
      });
      server.failure = unreachable();
      source.failure = new Error("down");
      client.subscribe("posts", () => {}, source);
      await passing(5_000);
      server.failure = source.failure = undefined;
      await passing(60_000);
      source.data = "second";
      await server.invalidate("posts");
      await passing(60_000);
      expect(client.getState("posts")).toMatchObject({
        data: "second",
        status: "idle",
        error: null,
      });
    } finally {
      process.removeAllListeners("unhandledRejection");
      for (const each of others) process.on("unhandledRejection", each);
    }
  });

  it("are written to the console with debug", async () => {
    const debug = vi.spyOn(console, "debug").mockImplementation(() => {});
    await settled({ debug: true });
    expect(debug).toHaveBeenCalledWith(
      "reality:",
      "fetch",
      expect.objectContaining({ key: "posts" }),
    );
    debug.mockClear();
    await settled();
    expect(debug).not.toHaveBeenCalled();
  });
});

describe("statistics", () => {
  it("count what was done, and what is held", async () => {
    const { client, server, source } = await settled();
    client.subscribe("posts", () => {});
    expect(client.getStats()).toEqual({
      keys: 1,
      subscribers: 2,
      syncs: 1,
      changes: 1,
      fetches: 1,
      errors: 0,
    });
    await server.invalidate("posts");
    source.failure = new Error("down");
    await passing(10);
    expect(client.getStats()).toMatchObject({ syncs: 2, changes: 2, fetches: 1, errors: 1 });
  });
});

describe("a client that was destroyed", () => {
  it("asks, fetches, listens and tells no more, and has no clock", async () => {
    const { client, server, source, audience, room } = await settled();
    const listener = vi.fn();
    for (const name of NAMES) client.on(name as keyof RealityEvents, listener);
    source.delayMs = 100;
    await server.invalidate("posts");
    await passing(50);
    const counts = () => [
      server.requests.length,
      source.calls,
      audience.told.length,
      listener.mock.calls.length,
    ];
    const before = counts();
    client.destroy();
    client.destroy();
    room.focus();
    await passing(600_000);
    expect(counts()).toEqual(before);
    expect([server.underWay, room.listeners]).toEqual([0, 0]);
    server.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("refuses everything but to be looked at", async () => {
    const { client, leave } = await settled();
    client.destroy();
    leave();
    const closed = { code: "closed" };
    expect(() => client.subscribe("posts", () => {})).toThrow(expect.objectContaining(closed));
    await expect(client.syncKeys("posts")).rejects.toMatchObject(closed);
    await expect(client.invalidate("posts")).rejects.toMatchObject(closed);
    await expect(client.mutate("posts", 1, () => 1)).rejects.toMatchObject(closed);
    expect(client.getState("posts")?.data).toBe("first");
    expect(client.getStats().subscribers).toBe(0);
  });

  it("tells nothing of an answer that comes later", async () => {
    const script = new Script();
    const client = newClient({ transport: script, live: false });
    const told = vi.fn();
    for (const name of NAMES) client.on(name as keyof RealityEvents, told);
    client.subscribe("posts", told);
    await passing(10);
    const asking = client.syncAll().catch(() => []);
    await passing(10);
    told.mockClear();
    client.destroy();
    for (const each of script.questions) each.answer({ posts: { version: 7 } });
    await asking;
    await passing(1_000);
    expect(told).not.toHaveBeenCalled();
  });

  it("gives up what was asked by hand", async () => {
    const script = new Script();
    const client = newClient({ transport: script, live: false });
    client.subscribe("posts", () => {});
    await passing(10);
    const asking = client.syncAll();
    asking.catch(() => {});
    await passing(10);
    client.destroy();
    expect(script.questions.map((each) => each.signal.aborted)).toEqual([true, true]);
    await expect(asking).rejects.toThrow();
  });

  it("ends a mutation that was under way without asking for anything", async () => {
    const { client, source } = await settled();
    let succeed: (value: string) => void = () => {};
    const mutator = () =>
      new Promise<string>((resolve) => {
        succeed = resolve;
      });
    const mutation = client.mutate("posts", 1, mutator, { optimisticUpdate: () => "shown" });
    await passing(10);
    client.destroy();
    succeed("done");
    expect(await mutation).toBe("done");
    await passing(1_000);
    expect(source.calls).toBe(1);
  });
});
