// Several servers: which is asked, what is sent to whom, and for how long a server is left alone.
import { describe, expect, it, vi } from "vitest";
import type { RealityOptions } from "../../src/client/types.ts";
import { inVirtualTime, newClient, passing, Server } from "./support.ts";
import { type Handler, json, problem, served, visiting, Web } from "./web.ts";

inVirtualTime();

const down = (): Promise<Response> => Promise.reject(new TypeError("Failed to fetch"));
const hostOf = (url: string) => new URL(url).host;

/** Hands a request to the handler of its host. */
const by =
  (handlers: Record<string, Handler>): Handler =>
  (arrival) =>
    (handlers[hostOf(arrival.url)] ?? down)(arrival);

/** A server that names these peers. */
function naming(server: Server, peers: Record<string, string>): Handler {
  return async ({ body, init }) => {
    const answer = await server.handleSync(body, init.signal ? { signal: init.signal } : {});
    return json({ ...answer, mesh: { peers, serverVersion: 0 } });
  };
}

const LIST = { servers: ["http://a", "http://b"] } satisfies RealityOptions;

describe("a client of several servers", () => {
  it("stays at the first that answers", async () => {
    const server = new Server();
    const { web } = await visiting(served(server), LIST);
    await passing(120_000);
    expect(new Set(web.urls)).toEqual(new Set(["http://a/reality/sync"]));
  });

  it("stays at its server although that names a healthy one (P16)", async () => {
    const server = new Server();
    const { web, source } = await visiting(naming(server, { "http://c": "healthy" }));
    await passing(120_000);
    expect(new Set(web.urls.map(hostOf))).toEqual(new Set(["a"]));
    expect(source.calls).toBe(1);
  });

  it("asks the next at once when one dies, and misses nothing (I1)", async () => {
    const [one, other] = [new Server({ serverId: "a" }), new Server({ serverId: "b" })];
    const { web, source, client } = await visiting(by({ a: served(one), b: served(other) }), LIST);
    await passing(1_000);
    web.handler = by({ b: served(other) });
    source.data = "second";
    await other.invalidate("posts");
    one.close(); // the held request ends
    await passing(5_000);
    expect(client.getState("posts")).toMatchObject({ data: "second", status: "idle" });
    expect(client.getServerStatus()).toMatchObject([
      { url: "http://a/reality", health: "degraded", isConfigured: true },
      { url: "http://b/reality", health: "healthy", failures: 0 },
    ]);
    source.data = "third";
    await other.invalidate("posts");
    await passing(10);
    expect(client.getState("posts")?.data).toBe("third");
  });

  it("does so with its very first request", async () => {
    const server = new Server();
    const { web, client } = await visiting(by({ b: served(server) }), LIST);
    expect(web.urls.slice(0, 2).map(hostOf)).toEqual(["a", "b"]);
    expect(client.getState("posts")).toMatchObject({ status: "idle", error: null });
  });

  it("goes on at a server that it was only told of, unless it is not to", async () => {
    for (const discover of [true, false]) {
      const [one, other] = [new Server({ serverId: "a" }), new Server({ serverId: "c" })];
      const named = naming(one, { "http://c": "healthy" });
      const { web, source, client } = await visiting(by({ a: named, c: served(other) }), {
        discover,
      });
      await passing(1_000);
      web.handler = by({ c: served(other) });
      source.data = "second";
      one.close();
      await passing(60_000);
      expect(web.urls.some((url) => hostOf(url) === "c")).toBe(discover);
      expect(client.getState("posts")?.data).toBe(discover ? "second" : "first");
      expect(client.getServerStatus().map((each) => each.url)).toEqual(
        discover ? ["http://a/reality", "http://c/reality"] : ["http://a/reality"],
      );
      client.destroy();
    }
  });

  it("leaves a server alone that failed three times, and asks it again when the network is back", async () => {
    for (const executionMode of ["client", "auto"] as const) {
      const server = new Server();
      const { web, room, client } = await visiting(served(server), {
        ...LIST,
        executionMode,
        live: false,
        blacklistDuration: 300_000,
      });
      web.handler = by({});
      for (let times = 0; times < 6; times += 1) {
        client.syncAll().catch(() => {});
        await passing(5_000);
      }
      const health = () => client.getServerStatus().map((each) => each.health);
      expect(health()).toEqual(["unhealthy", "unhealthy"]);
      web.handler = served(server);
      room.online();
      await passing(100);
      expect(health()).toContain("healthy");
      expect(health()).not.toContain("unhealthy");
      client.destroy();
    }
  });
});

describe("retries", () => {
  it.each([
    [0, 1],
    [1, 2],
    [3, 4],
  ])("are %i, so that %i requests fail before that is reported", async (maxRetries, count) => {
    const web = new Web(down);
    const errors: Error[] = [];
    const options = { servers: "http://a", fetch: web.fetch, maxRetries, retryBaseDelay: 20_000 };
    const client = newClient({ ...options, executionMode: "client" });
    client.on("error", ({ error }) => errors.push(error));
    vi.spyOn(Math, "random").mockReturnValue(0.1);
    client.subscribe("posts", () => {});
    while (errors.length === 0) await passing(10);
    expect(web.arrivals).toHaveLength(count);
    expect(errors[0]).toMatchObject({ code: "server_unavailable" });
  });

  it("are none where a server refuses for good, and the cause is told", async () => {
    const web = new Web(() => problem(401, "unauthorized"));
    const client = newClient({ servers: "http://a", fetch: web.fetch, executionMode: "client" });
    await expect(client.syncKeys("posts")).rejects.toMatchObject({
      code: "unauthorized",
      status: 401,
    });
    expect(web.arrivals).toHaveLength(1);
  });

  it("are none within the time that a server wants to be left alone, from the first request on (P15)", async () => {
    for (const [status, code] of [
      [503, "not_ready"],
      [429, "too_many_waiters_of_client"],
    ] as const) {
      const { web, client } = await visiting(() => problem(status, code, { "retry-after": "20" }));
      await passing(19_000);
      expect(web.arrivals).toHaveLength(1);
      await passing(25_000);
      expect(web.arrivals.length).toBeGreaterThan(1);
      client.destroy();
    }
  });

  it("take a date for it too", async () => {
    const at = new Date(Date.now() + 30_000).toUTCString();
    const { web } = await visiting(() => problem(503, "not_ready", { "retry-after": at }));
    await passing(27_000);
    expect(web.arrivals).toHaveLength(1);
  });

  it("take a Retry-After that nobody can mean for five minutes", async () => {
    const { web } = await visiting(() => problem(503, "not_ready", { "retry-after": "99999999" }));
    await passing(301_000);
    expect(web.arrivals.length).toBeGreaterThan(1);
  });
});

describe("an answer with Retry-After", () => {
  it("that says what changed is taken in, and nothing is asked sooner (P7, P15)", async () => {
    const server = new Server();
    const handler: Handler = async (arrival) => {
      const response = (await served(server)({
        ...arrival,
        body: { ...arrival.body, wait: 0 },
      })) as Response;
      return json(await response.json(), { headers: { "retry-after": "7" } });
    };
    const { web, source, client } = await visiting(handler);
    source.data = "second";
    await server.invalidate("posts");
    await passing(60_000);
    const times = web.arrivals.map((each) => each.at);
    for (const [number, at] of times.slice(1).entries()) {
      expect(at - Number(times[number])).toBeGreaterThanOrEqual(7_000);
    }
    expect(client.getState("posts")?.data).toBe("second");
  });
});

describe("spreadMs", () => {
  it("spreads the refetches at random over that time, and no longer than a minute", async () => {
    for (const [spreadMs, leastMs, mostMs] of [
      [10_000, 2_000, 10_000],
      [1e9, 10_000, 60_000],
    ] as const) {
      const server = new Server();
      const { web, room, client } = await visiting(served(server), { maxFetches: 500 });
      const times: number[] = [];
      for (let at = 0; at < 100; at += 1) {
        client.subscribe(`key:${at}`, () => {}, { fetcher: () => times.push(performance.now()) });
      }
      await passing(1_000);
      times.length = 0;
      web.handler = async (arrival) => {
        const response = (await served(server)(arrival)) as Response;
        return json({ ...(await response.json()), spreadMs });
      };
      room.focus(); // hold another request
      await passing(100);
      const begunAt = performance.now();
      await server.invalidate("key:*");
      await passing(mostMs + 1_000);
      const delays = times.map((time) => time - begunAt);
      expect(delays).toHaveLength(100);
      expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(leastMs);
      expect(Math.max(...delays)).toBeLessThan(mostMs + 500);
      client.destroy();
    }
  });
});

describe("what is sent", () => {
  it("is the token with invalidations, to servers that the client was given and to no others (P16)", async () => {
    const server = new Server();
    const named = naming(server, { "http://c": "healthy" });
    const invalidate = served(server);
    const all: Handler = (arrival) => (arrival.url.endsWith("/sync") ? named : invalidate)(arrival);
    const { web, client } = await visiting(all, { token: "secret", headers: { "x-app": "1" } });
    await passing(1_000);
    expect(await client.invalidate("posts", { remote: true })).toMatchObject({
      posts: expect.any(Number),
    });
    web.handler = by({ c: all });
    client.invalidate("posts", { remote: true }).catch(() => {});
    await passing(60_000);
    const authorized = web.arrivals.filter((each) => each.headers.has("authorization"));
    expect(new Set(authorized.map((each) => each.url))).toEqual(
      new Set(["http://a/reality/invalidate"]),
    );
    expect(authorized[0]?.headers.get("authorization")).toBe("Bearer secret");
    expect(authorized[0]?.body.keys).toEqual(["posts"]);
    expect(web.arrivals.some((each) => hostOf(each.url) === "c")).toBe(true);
    expect(web.arrivals.every((each) => each.headers.get("x-app") === "1")).toBe(true);
  });

  it("is JSON, uncached, with the credentials that are wanted", async () => {
    for (const credentials of [undefined, "include", "omit"] as const) {
      const { web, client } = await visiting(served(new Server()), { credentials, clientId: "me" });
      const { init, headers, body } = web.arrivals[0] ?? {};
      expect(init).toMatchObject({ method: "POST", cache: "no-store" });
      expect(init?.credentials ?? "same-origin").toBe(credentials ?? "same-origin");
      expect(headers?.get("content-type")).toBe("application/json");
      expect(body).toMatchObject({ clientId: "me", known: { posts: 0 }, hint: "mount" });
      client.destroy();
    }
  });

  it("is a UUID for each client that has no clientId", async () => {
    const { web } = await visiting(served(new Server()));
    expect(web.arrivals[0]?.body.clientId).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
  });
});
