// What a server rendered, or another client knew, taken over.
import { describe, expect, it } from "vitest";
import { dehydrate, hydrate } from "../../src/client/hydration.ts";
import { Audience, inVirtualTime, newClient, passing, Server, Source, settled } from "./support.ts";

inVirtualTime();

/** A server, and what it knew when it rendered a page of `posts`. */
async function rendered(data: unknown = "first") {
  const server = new Server();
  await server.invalidate("posts");
  const { known, cursor } = await server.hydration(["posts"]);
  const source = new Source<unknown>(data);
  return { server, source, cursor, version: known.posts as number };
}

describe("hydration with a cursor", () => {
  it("makes keys fresh at once: no flash, no fetch, and no change is missed (I1)", async () => {
    const { server, source, cursor, version } = await rendered();
    const client = newClient({ transport: server });
    hydrate(client, { cursor, nodes: { posts: { version, data: "first" } } });
    expect(client.getState("posts")).toMatchObject({ data: "first", status: "idle" });
    const audience = new Audience();
    client.subscribe("posts", audience.callback, source);
    await passing(10_000);
    expect(audience.told.map((each) => [each.data, each.status])).toEqual([["first", "idle"]]);
    expect(source.calls).toBe(0);
    expect(server.requests[0]).toMatchObject({ cursor, known: { posts: version } });
    source.data = "second";
    await server.invalidate("posts");
    await passing(10);
    expect(audience.last).toMatchObject({ data: "second", status: "idle" });
  });

  it("makes them be fetched once if they were touched since (I1)", async () => {
    const { server, source, cursor, version } = await rendered();
    source.data = "second";
    await server.invalidate("posts");
    const client = newClient({ transport: server });
    hydrate(client, { cursor, nodes: { posts: { version, data: "first" } } });
    client.subscribe("posts", () => {}, source);
    await passing(10_000);
    expect(client.getState("posts")).toMatchObject({ data: "second", status: "idle" });
    expect(source.calls).toBe(1);
  });

  it("does so too with initialData of the version that was hydrated", async () => {
    const { server, source, cursor, version } = await rendered();
    const client = newClient({ transport: server });
    hydrate(client, { cursor, nodes: { posts: { version } } });
    client.subscribe("posts", () => {}, { fetcher: source.fetcher, initialData: "first" });
    expect(client.getState("posts")).toMatchObject({ data: "first", status: "idle" });
    await passing(10_000);
    expect(source.calls).toBe(0);
  });

  it("leaves what was stale to be fetched", async () => {
    const { server, source, cursor, version } = await rendered();
    const client = newClient({ transport: server });
    hydrate(client, { cursor, nodes: { posts: { version, data: "old", isStale: true } } });
    client.subscribe("posts", () => {}, source);
    expect(client.getState("posts")).toMatchObject({ data: "old", isStale: true });
    await passing(10_000);
    expect(client.getState("posts")?.data).toBe("first");
    expect(source.calls).toBe(1);
  });

  it("of a server that another one has replaced makes all be fetched (I1)", async () => {
    const { source, cursor, version } = await rendered();
    const client = newClient({ transport: new Server({ serverId: "other" }) });
    hydrate(client, { cursor, nodes: { posts: { version, data: "old" } } });
    client.subscribe("posts", () => {}, source);
    await passing(10_000);
    expect(client.getState("posts")).toMatchObject({ data: "first", status: "idle" });
  });
});

describe("hydration without a cursor", () => {
  it.each(["hydrate", "initialKnown"])(
    "proves nothing: all is fetched once (I1), by %s",
    async (how) => {
      const { server, source, version } = await rendered();
      const initialKnown = how === "initialKnown" ? { posts: version } : undefined;
      const client = newClient({ transport: server, initialKnown });
      if (how === "hydrate") hydrate(client, { nodes: { posts: { version, data: "old" } } });
      client.subscribe("posts", () => {}, { fetcher: source.fetcher, initialData: "old" });
      await passing(10_000);
      expect(server.requests[0]).toMatchObject({ cursor: "", known: { posts: version } });
      expect(client.getState("posts")).toMatchObject({ data: "first", status: "idle" });
      expect(source.calls).toBe(1);
    },
  );
});

describe("initialData", () => {
  it("of a version that nobody knows is shown, and fetched", async () => {
    const { server, source } = await rendered();
    const client = newClient({ transport: server });
    client.subscribe("posts", () => {}, { fetcher: source.fetcher, initialData: "old" });
    expect(client.getState("posts")).toMatchObject({ data: "old", isStale: true });
    await passing(1_000);
    expect(client.getState("posts")?.data).toBe("first");
  });
});

describe("dehydration", () => {
  it("gives what another client goes on from without a fetch", async () => {
    const { client, server, source } = await settled();
    const states = JSON.parse(JSON.stringify(dehydrate(client)));
    const other = newClient({ transport: server });
    for (const each of states) hydrate(other, each);
    other.subscribe("posts", () => {}, source);
    await passing(10_000);
    expect(other.getState("posts")).toMatchObject({ data: "first", status: "idle" });
    expect(source.calls).toBe(1);
  });

  it("says what is due, so that it comes back stale (I1)", async () => {
    const { client, server, source } = await settled();
    source.delayMs = 1_000;
    source.data = "second";
    await server.invalidate("posts");
    await passing(100); // under way
    const states = dehydrate(client);
    expect(states[0]?.nodes.posts).toMatchObject({ data: "first", isStale: true });
    source.delayMs = 0;
    const other = newClient({ transport: server });
    for (const each of states) hydrate(other, each);
    other.subscribe("posts", () => {}, source);
    await passing(10_000);
    expect(other.getState("posts")).toMatchObject({ data: "second", status: "idle" });
  });

  it("keeps pending mutations out, and keys that objects have", async () => {
    const { client, server } = await settled();
    client.subscribe("__proto__", () => {}, new Source("p"));
    await passing(300);
    const options = { optimisticUpdate: () => "not yet" };
    client.mutate("posts", 1, () => new Promise(() => {}), options).catch(() => {});
    await passing(1);
    expect(client.getState("posts")?.data).toBe("not yet");
    const [state] = JSON.parse(JSON.stringify(dehydrate(client)));
    expect(state.nodes.posts.data).toBe("first");
    const other = newClient({ transport: server });
    hydrate(other, state);
    expect(other.getState("__proto__")).toMatchObject({ data: "p", status: "idle" });
  });
});

it("hydration of a key that is held changes nothing of it", async () => {
  const { client } = await settled();
  const state = client.getState("posts");
  hydrate(client, { cursor: "1;0;x~1=9", nodes: { posts: { version: 1, data: "other" } } });
  expect(client.getState("posts")).toBe(state);
});

it("hydration with a key that is none is refused", () => {
  const client = newClient({ transport: new Server() });
  expect(() => hydrate(client, { nodes: { "": { version: 1 } } })).toThrow(/key/);
});
