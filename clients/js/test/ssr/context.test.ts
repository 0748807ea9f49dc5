// The state of one rendered page.
import { describe, expect, it, vi } from "vitest";
import { EmbeddedRealityServer } from "../../src/embedded/index.ts";
import { createSSRContext, deserializeRealityState } from "../../src/ssr/index.ts";

describe("createSSRContext", () => {
  it("collects keys, and asks for them together", async () => {
    const server = new EmbeddedRealityServer();
    const asked = vi.spyOn(server, "handleSync");
    const context = createSSRContext({ server, keys: ["posts"] });
    context.register("user:1", "posts");
    expect(context.keys).toEqual(["posts", "user:1"]);
    expect(context.state).toBeUndefined();
    const state = await context.prefetch();
    expect(Object.keys(state.nodes)).toEqual(["posts", "user:1"]);
    expect(context.state).toBe(state);
    expect(await context.prefetch()).toBe(state);
    expect(asked).toHaveBeenCalledOnce();
  });

  it("asks later for what is registered later, and keeps the first position (I1)", async () => {
    const server = new EmbeddedRealityServer();
    const context = createSSRContext({ server, keys: ["posts"] });
    const first = await context.prefetch();
    await server.invalidate("posts", "user:1");
    context.register("user:1");
    const both = await context.prefetch();
    expect(both.cursor).toBe(first.cursor);
    expect(both.nodes.posts).toEqual(first.nodes.posts);
    expect(both.nodes["user:1"]?.version).toBeGreaterThan(0);
    const known = { posts: Number(both.nodes.posts?.version) };
    const request = { known, clientId: "c", mode: "native", hint: "mount" } as const;
    const answer = await server.handleSync({ ...request, cursor: String(both.cursor) });
    expect(Object.keys(answer.changed)).toEqual(["posts"]);
  });

  it("is of one request: two contexts share nothing", async () => {
    const server = new EmbeddedRealityServer();
    const [one, other] = [createSSRContext({ server }), createSSRContext({ server })];
    one.register("secret:1");
    await one.prefetch();
    expect(other.keys).toEqual([]);
    expect(other.state).toBeUndefined();
  });

  it("without keys has a state without nodes", async () => {
    const context = createSSRContext({ server: new EmbeddedRealityServer() });
    expect((await context.prefetch()).nodes).toEqual({});
    expect(context.script()).toContain('"nodes":{}');
  });

  it("writes an element that nothing in it can end", async () => {
    const key = '</script><img src=x onerror="alert(1)">';
    const context = createSSRContext({
      server: new EmbeddedRealityServer(),
      keys: [key, "__proto__"],
    });
    await context.prefetch();
    const html = context.script({ id: 'a"b', nonce: "n<1>" });
    const [, attributes, text] = /^<script ([^>]*)>([^<]*)<\/script>$/.exec(html) ?? [];
    expect(attributes).toBe('type="application/json" id="a&#34;b" nonce="n&#60;1&#62;"');
    expect(deserializeRealityState(text ?? "")).toEqual(context.state);
  });

  it("has no element before it was prefetched", () => {
    const context = createSSRContext({ server: new EmbeddedRealityServer() });
    expect(() => context.script()).toThrow(/await context.prefetch\(\)/);
  });
});
