// More keys than one request may carry.
import { describe, expect, it, vi } from "vitest";
import { inVirtualTime, newClient, passing, Server, Source } from "./support.ts";

inVirtualTime();

describe("a client of more than 10,000 keys", () => {
  it("asks for them in parts, each with its own cursor, and misses none (I1)", async () => {
    vi.useRealTimers(); // virtual clocks are slow where there are so many
    const server = new Server();
    const client = newClient({ transport: server });
    const source = new Source("first");
    const keys = Array.from({ length: 10_050 }, (_, at) => `key:${at}`);
    for (const key of keys) client.subscribe(key, () => {}, source);
    await vi.waitFor(() => expect(client.getStats().fetches).toBe(10_050), 20_000);
    await vi.waitFor(() => expect(server.underWay).toBe(2), 20_000);
    const sizes = server.requests.map((each) => Object.keys(each.known).length);
    expect(Math.max(...sizes)).toBe(10_000);
    const asked = server.requests.slice(-2).flatMap((each) => Object.keys(each.known));
    expect(new Set(asked)).toEqual(new Set(keys));
    source.data = "second";
    await server.invalidate("key:0", "key:10049");
    const shown = () => [client.getState("key:0")?.data, client.getState("key:10049")?.data];
    await vi.waitFor(() => expect(shown()).toEqual(["second", "second"]), 20_000);
    expect(source.calls).toBe(10_052);
    expect(await client.syncKeys(["key:0", "key:10049"])).toEqual([]);
  }, 30_000);

  it("asks for long keys in parts that servers take", async () => {
    vi.useRealTimers();
    const server = new Server();
    const client = newClient({ transport: server });
    const bytes = (text: string) => new TextEncoder().encode(text).length;
    for (let at = 0; at < 3_000; at += 1) client.subscribe(`${"é".repeat(250)}${at}`, () => {});
    await vi.waitFor(() => {
      const asked = server.requests.filter((each) => each.wait);
      expect(new Set(asked.flatMap((each) => Object.keys(each.known))).size).toBe(3_000);
    }, 20_000);
    const sizes = server.requests.map((each) => bytes(JSON.stringify(each)));
    expect(Math.max(...sizes)).toBeLessThan(1024 * 1024);
  }, 30_000);
});

it("a client that mounts and unmounts keys for long goes on holding one request (I6)", async () => {
  const server = new Server();
  const client = newClient({ transport: server });
  client.subscribe("posts", () => {});
  for (let round = 0; round < 40; round += 1) {
    const leaves = Array.from({ length: 50 }, (_, at) =>
      client.subscribe(`${"k".repeat(480)}:${round}:${at}`, () => {}),
    );
    await passing(1_000);
    for (const leave of leaves) leave();
    await passing(6_000);
  }
  expect(server.underWay).toBe(1);
  expect(client.getStats().keys).toBe(1);
});
