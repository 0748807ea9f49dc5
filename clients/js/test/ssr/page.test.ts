// @vitest-environment jsdom
// What the browser finds in a rendered page.
import { afterEach, describe, expect, it, vi } from "vitest";
import { RealityClient } from "../../src/client/client.ts";
import { EmbeddedRealityServer } from "../../src/embedded/index.ts";
import {
  createRealityTanStackAdapter,
  createSSRContext,
  isHydrated,
  isSSR,
  readRealityState,
} from "../../src/ssr/index.ts";

afterEach(() => {
  vi.unstubAllGlobals();
  document.body.innerHTML = "";
});

async function rendered(keys: string[], id?: string) {
  const context = createSSRContext({ server: new EmbeddedRealityServer(), keys });
  await context.prefetch();
  document.body.innerHTML = context.script({ id });
  return context;
}

describe("readRealityState", () => {
  it("gives what `script` wrote, whatever the keys", async () => {
    const context = await rendered(["posts", "</script><b>", "&lt;", "__proto__", "\u2028"]);
    expect(readRealityState()).toEqual(context.state);
    expect(document.querySelector("b")).toBeNull();
  });

  it("finds an element of another id", async () => {
    const context = await rendered(["posts"], "more state");
    expect(readRealityState()).toBeUndefined();
    expect(readRealityState("more state")).toEqual(context.state);
  });

  it("refuses what is no state", () => {
    document.body.innerHTML = '<script type="application/json" id="reality-state">{}</script>';
    expect(() => readRealityState()).toThrow("this is not a state of Reality");
  });
});

describe("isHydrated", () => {
  it("tells whether the page has a state, and whether a client took it over", async () => {
    const client = new RealityClient({ servers: "http://localhost:1" });
    expect([isHydrated(), isHydrated(client)]).toEqual([false, false]);
    const { state } = await rendered(["posts", "user:1"]);
    expect([isHydrated(), isHydrated(client)]).toEqual([true, false]);
    if (state) createRealityTanStackAdapter().hydrate(client, state);
    expect(isHydrated(client)).toBe(true);
    client.destroy();
  });
});

describe("isSSR", () => {
  it("is false in a page and true without one", () => {
    expect(isSSR()).toBe(false);
    vi.stubGlobal("document", undefined);
    expect(isSSR()).toBe(true);
    expect(readRealityState()).toBeUndefined();
    expect(isHydrated()).toBe(false);
  });
});

describe("an adapter in a page", () => {
  it("asks the server of the page's host", async () => {
    const server = new EmbeddedRealityServer();
    const handler = server.getFetchHandler();
    const fetch: typeof globalThis.fetch = (url, { method = "GET", body = "" } = {}) =>
      handler(new Request(String(url), { method, body: String(body) }));
    const adapter = createRealityTanStackAdapter({ keys: ["posts"], fetch });
    expect((await adapter.prefetch()).cursor).toBeTruthy();
    expect(server.stats().syncs).toBe(1);
  });
});
