// Where metadata comes from: HTTP, the embedded server of this process, or the application's own transport.
import { afterEach, describe, expect, it, vi } from "vitest";
import type { ExecutionMode } from "../../src/client/types.ts";
import {
  createEmbeddedRealityServer,
  type EmbeddedRealityServer,
} from "../../src/embedded/index.ts";
import {
  createReality,
  createRealityClient,
  HttpTransport,
  RealityClient,
} from "../../src/index.ts";
import { inVirtualTime, newClient, passing, Server, Source } from "./support.ts";
import { served, Web } from "./web.ts";

inVirtualTime();

let embedded: EmbeddedRealityServer | undefined;
afterEach(() => {
  embedded?.close();
  embedded = undefined;
  vi.unstubAllGlobals();
});

async function asked(executionMode: ExecutionMode | undefined, servers: string[]) {
  const web = new Web(served(new Server()));
  const client = newClient({ executionMode, servers, fetch: web.fetch });
  const source = new Source("data");
  client.subscribe("posts", () => {}, source);
  await passing(500);
  return { web: web.arrivals.length, embedded: embedded?.stats().syncs ?? 0, client, source };
}

describe("the execution mode", () => {
  it.each(["client", "server-external"] as const)(
    "%s asks over HTTP, whatever else there is",
    async (mode) => {
      embedded = createEmbeddedRealityServer();
      expect(await asked(mode, ["http://a"])).toMatchObject({ web: 2, embedded: 0 });
    },
  );

  it.each(["auto", "ssr-embedded", undefined] as const)(
    "%s asks the embedded server if there is one",
    async (mode) => {
      embedded = createEmbeddedRealityServer();
      const { client, source, ...counts } = await asked(mode, ["http://a"]);
      expect(counts).toMatchObject({ web: 0, embedded: 1 });
      source.data = "second";
      await embedded.invalidate("posts");
      await passing(10);
      expect(client.getState("posts")?.data).toBe("second");
      const version = (await embedded.getNode("posts"))?.version ?? 0;
      expect(await client.invalidate("posts", { remote: true })).toEqual({ posts: version + 1 });
    },
  );

  it.each(["auto", "ssr-embedded"] as const)(
    "%s asks over HTTP if there is none, and finds one made later",
    async (mode) => {
      const { client, ...counts } = await asked(mode, ["http://a"]);
      expect(counts.web).toBe(2);
      embedded = createEmbeddedRealityServer();
      await client.syncAll();
      expect(embedded.stats().syncs).toBe(1);
    },
  );

  it("with nobody to ask is an error that says so, and data is fetched all the same", async () => {
    const { client } = await asked("auto", []);
    expect(client.getState("posts")).toMatchObject({ data: "data", status: "error" });
    expect(client.getState("posts")?.error).toMatchObject({ code: "no_server" });
    await expect(client.syncAll()).rejects.toMatchObject({ code: "no_server" });
  });
});

describe("servers", () => {
  it("are by default that of the page", async () => {
    vi.stubGlobal("location", new URL("https://page.example/a/b?c"));
    const web = new Web(served(new Server()));
    newClient({ fetch: web.fetch }).subscribe("posts", () => {});
    await passing(10);
    expect(web.urls[0]).toBe("https://page.example/reality/sync");
  });

  it("are asked with the page's fetch where none is given", async () => {
    const web = new Web(served(new Server()));
    vi.stubGlobal("fetch", web.fetch);
    newClient({ servers: "http://a/live" }).subscribe("posts", () => {});
    await passing(10);
    expect(web.urls[0]).toBe("http://a/live/sync");
  });

  it.each(["ftp://a", "http://a?x=1", "http://"])("that are %j are refused", (url) => {
    expect(() => new RealityClient({ servers: url })).toThrow(TypeError);
    expect(() => new RealityClient({ servers: ["http://a", url] })).toThrow(TypeError);
    expect(() => new HttpTransport([url])).toThrow(TypeError);
  });
});

describe("a transport of the application's own", () => {
  it("is asked in place of everything else", async () => {
    embedded = createEmbeddedRealityServer();
    const transport = new Server();
    const client = newClient({ transport, servers: "http://a" });
    client.subscribe("posts", () => {});
    await passing(10);
    expect(transport.requests.length).toBeGreaterThan(0);
    expect(embedded.stats().syncs).toBe(0);
    expect(client.getServerStatus()).toEqual([]);
  });

  it("need not be able to invalidate", async () => {
    const transport = { sync: () => Promise.reject(new Error("never")) };
    const client = newClient({ transport });
    expect(await client.invalidate("posts", { remote: true })).toEqual({});
  });

  it("may throw anything, at once too: that is shown, and tried again", async () => {
    const server = new Server();
    let failures = 3;
    const transport = {
      sync: (...args: Parameters<Server["sync"]>) => {
        failures -= 1;
        if (failures >= 0) throw new Error("broken");
        return server.sync(...args);
      },
    };
    const client = newClient({ transport });
    client.subscribe("posts", () => {});
    await passing(10);
    expect(client.getState("posts")?.error?.message).toBe("broken");
    await passing(10_000);
    expect(client.getState("posts")).toMatchObject({ status: "idle", error: null });
  });
});

it("a client is made by any of its names, and does nothing before the first subscription", async () => {
  const listen = vi.fn(() => () => {});
  const web = new Web(served(new Server()));
  const environment = { isVisible: () => true, listen };
  for (const make of [createReality, createRealityClient]) {
    const client = make({
      servers: "http://a",
      fetch: web.fetch,
      environment,
      initialKnown: { posts: 1 },
    });
    expect(client).toBeInstanceOf(RealityClient);
    expect(client.getStats()).toMatchObject({ keys: 0, subscribers: 0, syncs: 0 });
    client.destroy();
  }
  expect(createReality()).toBeInstanceOf(RealityClient);
  await passing(60_000);
  expect([web.arrivals.length, listen.mock.calls.length, vi.getTimerCount()]).toEqual([0, 0, 0]);
});

it("a transport of the application's own works where a page has no host", () => {
  vi.stubGlobal("location", { origin: "null", href: "about:blank" });
  expect(() => newClient({ transport: new Server() })).not.toThrow();
});

describe("an option that no timer can take", () => {
  it.each([
    ["interval", Infinity],
    ["timeout", -1],
    ["wait", Number.NaN],
    ["fetchTimeout", 2 ** 31],
  ])("is refused: %s %d", (name, value) => {
    expect(() => newClient({ [name]: value })).toThrow(`${name} cannot be ${value}`);
  });
});
