// Asking and telling by hand: syncKeys, syncAll, invalidate.
import { describe, expect, it } from "vitest";
import { inVirtualTime, passing, Source, settled, unreachable } from "./support.ts";

inVirtualTime();

describe("asking by hand", () => {
  it("asks for these keys now, with the hint, and returns what changed", async () => {
    const { server, client, source } = await settled({ live: false });
    client.subscribe("users", () => {});
    await passing(200);
    await server.invalidate("posts", "users");
    source.data = "second";
    expect(await client.syncKeys(["posts", "posts"], "mutation")).toEqual(["posts"]);
    expect(server.requests.at(-1)).toMatchObject({
      hint: "mutation",
      known: { posts: expect.any(Number) },
    });
    expect(Object.keys(server.requests.at(-1)?.known ?? {})).toEqual(["posts"]);
    await passing(10);
    expect(client.getState("posts")?.data).toBe("second");
    expect(await client.syncAll("focus")).toContain("users");
    expect(await client.syncAll()).toEqual([]);
    expect(server.requests.at(-1)?.hint).toBe("interaction");
  });

  it("takes one key as it takes several, and one that is not held", async () => {
    const { server, client } = await settled({ live: false });
    await server.invalidate("other");
    expect(await client.syncKeys("other")).toEqual(["other"]);
    expect(client.getState("other")).toBeUndefined();
    expect(await client.syncKeys([])).toEqual([]);
  });

  it("says why it failed, and leaves everything as it was", async () => {
    const { server, client } = await settled({ live: false });
    const state = client.getState("posts");
    server.failure = unreachable();
    await expect(client.syncAll()).rejects.toMatchObject({ code: "server_unavailable" });
    await expect(client.syncKeys("a\nb")).rejects.toMatchObject({ code: "invalid_key" });
    expect(client.getState("posts")).toBe(state);
  });
});

describe("invalidating by hand", () => {
  it("fetches keys anew, and those below a pattern, without asking a server", async () => {
    const { server, client } = await settled({ live: false });
    const source = new Source("room");
    for (const key of ["chat:1", "chat:1:users", "chat", "chats:1"])
      client.subscribe(key, () => {}, source);
    await passing(200);
    const [calls, asked] = [source.calls, server.requests.length];
    expect(await client.invalidate("chat:*")).toEqual({});
    await passing(10);
    expect(source.calls).toBe(calls + 2);
    await client.invalidate(["*"]);
    await passing(10);
    expect(source.calls).toBe(calls + 6);
    expect(server.requests).toHaveLength(asked);
  });

  it("tells the servers if it is to, and fetches once for both", async () => {
    const { server, client, source } = await settled();
    source.data = "second";
    const versions = await client.invalidate(["posts", "chat:*"], { remote: true });
    expect(versions).toEqual({ posts: (await server.getNode("posts"))?.version });
    await passing(500);
    expect(client.getState("posts")).toMatchObject({ data: "second", status: "idle" });
    expect(source.calls).toBeLessThanOrEqual(3);
  });

  it("refuses names that are none, and touches nothing", async () => {
    const { client, source } = await settled();
    await expect(client.invalidate(["posts", ""])).rejects.toMatchObject({ code: "invalid_key" });
    await passing(10);
    expect(source.calls).toBe(1);
  });
});
