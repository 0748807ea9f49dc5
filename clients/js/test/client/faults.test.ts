// Servers and proxies that answer as they should not, or not at all: the cause is shown, data stays,
// recovery is automatic, and nothing is asked in a fast loop.
import { describe, expect, it, vi } from "vitest";
import { inVirtualTime, passing, Server } from "./support.ts";
import { type Handler, json, problem, served, visiting } from "./web.ts";

inVirtualTime();

const MINUTE = 60_000;
const html = (status: number) => new Response("<html>sorry</html>", { status });
const answer = (members: object) =>
  json({ changed: {}, mesh: { peers: {}, serverVersion: 0 }, serverTime: 0, ...members });

const FAULTS: [string, Handler, RegExp][] = [
  ["malformed JSON", () => new Response('{"changed":{'), /not a|no answer|Reality server/],
  ["HTML with 200", () => html(200), /Reality server/],
  ["HTML with 502", () => html(502), /502/],
  ["nothing with 204", () => new Response(null, { status: 204 }), /Reality server/],
  ["a problem with 500", () => problem(500, "internal_error"), /500.*the text of internal_error/],
  ["401", () => problem(401, "unauthorized"), /401.*the text of unauthorized/],
  ["403 of something else", () => json({ message: "no" }, { status: 403 }), /403/],
  ["404 of something else", () => html(404), /404/],
  ["null", () => json(null), /Reality server/],
  ["a list", () => json([]), /Reality server/],
  ["changes that are null", () => answer({ changed: null }), /Reality server/],
  ["a version in words", () => answer({ changed: { posts: { version: "6" } } }), /Reality server/],
  [
    "no network",
    () => Promise.reject(new TypeError("Failed to fetch")),
    /http:\/\/a.*Failed to fetch/,
  ],
  ["silence", () => undefined, /no answer in/],
  ["no entry", () => problem(429, "too_many_waiters_of_client", { "retry-after": "1" }), /429/],
  ["not ready", () => problem(503, "not_ready", { "retry-after": "1" }), /503/],
  ["a redirect into nowhere", () => new Response("", { status: 302 }), /302/],
];

describe("a server whose answers are", () => {
  it.each(FAULTS)(
    "%s from some time on: recovers, and asks in no loop",
    async (_, fault, cause) => {
      const server = new Server();
      const { web, source, client } = await visiting(served(server));
      web.handler = fault;
      await server.invalidate("posts"); // the held request is answered, the next ones are not
      source.data = "second";
      await passing(3 * MINUTE);
      const state = client.getState("posts");
      expect(state).toMatchObject({ data: "second", status: "error", isStale: true });
      expect(state?.error?.message).toMatch(cause);
      expect(web.busiest).toBeLessThanOrEqual(5);
      expect(web.arrivals.length).toBeLessThan(120);
      await server.invalidate("posts");
      source.data = "third";
      web.handler = served(server);
      await passing(2 * MINUTE);
      expect(client.getState("posts")).toMatchObject({
        data: "third",
        status: "idle",
        error: null,
      });
      expect(web.busiest).toBeLessThanOrEqual(5);
    },
  );

  it.each(FAULTS)("%s from the beginning: data is fetched all the same", async (_, fault) => {
    const { web, source, client } = await visiting(fault);
    await passing(2 * MINUTE);
    expect(client.getState("posts")).toMatchObject({ data: "first", status: "error" });
    expect(web.busiest).toBeLessThanOrEqual(5);
    const server = new Server();
    web.handler = served(server);
    await passing(2 * MINUTE);
    expect(client.getState("posts")).toMatchObject({ status: "idle", error: null });
    source.data = "second";
    await server.invalidate("posts");
    await passing(5_000);
    expect(client.getState("posts")?.data).toBe("second");
  });
});

describe("an answer with a strange", () => {
  const strange = [7, "x", "", null, true, [], [1], {}, { a: 1 }, -1, 1e99];
  const members = ["cursor", "reset", "spreadMs", "serverTime", "mesh", "changed"];

  it.each(members)("%s does no lasting harm, and no key is sent what is none", async (member) => {
    const server = new Server();
    for (const value of strange) {
      const visit = await visiting(served(server));
      const { web } = visit;
      web.handler = () => answer({ changed: { posts: { version: 9, hash: "" } }, [member]: value });
      await server.invalidate("posts");
      await passing(5_000);
      expect(web.busiest, JSON.stringify(value)).toBeLessThanOrEqual(5);
      await recovers(visit, server, value);
    }
  });

  it.each(["hash", "deleted", "source"])("%s of a key does no lasting harm", async (member) => {
    const server = new Server();
    for (const value of strange) {
      const visit = await visiting(served(server));
      const { web, client } = visit;
      let version = 10;
      web.handler = () => answer({ changed: { posts: { version: version++, [member]: value } } });
      await server.invalidate("posts");
      await passing(5_000);
      expect(typeof (client.getState("posts")?.meta?.hash ?? "")).toBe("string");
      expect(typeof (client.getState("posts")?.meta?.deleted ?? false)).toBe("boolean");
      await recovers(visit, server, value);
    }
  });

  it("peer is ignored", async () => {
    const peers = {
      "": "healthy",
      "ftp://b": "healthy",
      "http://c": 7,
      __proto__: "x",
      "http://d": "constructor",
    };
    const { client } = await visiting(() => answer({ mesh: { peers, serverVersion: 0 } }));
    await passing(5_000);
    const known = ["healthy", "degraded", "unhealthy", "unknown"];
    for (const each of client.getServerStatus()) expect(known).toContain(each.health);
    expect(client.getState("posts")).toMatchObject({ status: "idle" });
  });
});

describe("a server that forgets everything again and again", () => {
  it("is asked, and makes data be fetched, less and less often", async () => {
    const { web, source, client } = await visiting(served(new Server()));
    web.handler = (arrival) =>
      served(new Server({ serverId: `s${Math.random()}`.slice(0, 9) }))(arrival);
    client.syncAll().catch(() => {});
    await passing(MINUTE);
    const early = web.arrivals.length;
    await passing(4 * MINUTE);
    expect(web.busiest).toBeLessThanOrEqual(5);
    expect(web.arrivals.length - early).toBeLessThan(4 * 5);
    expect(source.calls).toBeLessThan(30);
    expect(client.getState("posts")?.data).toBe("first");
    const server = new Server();
    web.handler = served(server);
    source.data = "second";
    await passing(MINUTE);
    expect(client.getState("posts")).toMatchObject({ data: "second", status: "idle" });
  });

  it("answers with news in a loop: is asked in bursts with pauses", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    let version = 1;
    const { web } = await visiting(() =>
      answer({ changed: { posts: { version: version++ } }, cursor: "c" }),
    );
    await passing(MINUTE);
    expect(web.busiest).toBeLessThanOrEqual(5);
    expect(web.arrivals.length).toBeLessThanOrEqual(10 * 60);
    expect(warn).toHaveBeenCalled();
  });

  it("does not hold: is asked less and less often", async () => {
    const { web } = await visiting(() => answer({ cursor: "c" }));
    await passing(10 * MINUTE);
    expect(web.busiest).toBeLessThanOrEqual(5);
    expect(web.arrivals.length).toBeLessThan(120);
  });
});

describe("a clock that jumps", () => {
  it.each([-86_400_000, 86_400_000, -3_600_000 * 24 * 365 * 40])(
    "by %i ms is not noticed",
    async (jumpMs) => {
      const server = new Server();
      const { web, source, client } = await visiting(served(server));
      vi.setSystemTime(Date.now() + jumpMs);
      const asked = web.arrivals.length;
      await passing(5 * MINUTE);
      expect(web.arrivals.length - asked).toBeLessThan(20);
      expect(source.calls).toBe(1);
      source.data = "second";
      await server.invalidate("posts");
      await passing(10);
      expect(client.getState("posts")).toMatchObject({ data: "second", status: "idle" });
    },
  );
});

describe("replies out of order", () => {
  it("never leave older data (I1)", async () => {
    const server = new Server();
    const { web, source, client } = await visiting(served(server), { live: false });
    let delayMs = 5_000;
    web.handler = async (arrival) => {
      const response = served(server)(arrival);
      const ms = delayMs;
      delayMs -= 1_000;
      await new Promise((resolve) => setTimeout(resolve, ms));
      return (await response) as Response;
    };
    for (const data of ["2", "3", "4", "5"]) {
      source.data = data;
      await server.invalidate("posts");
      client.syncAll().catch(() => {});
      await passing(100);
    }
    await passing(10_000);
    client.syncAll().catch(() => {});
    await passing(10_000);
    expect(client.getState("posts")).toMatchObject({ data: "5", status: "idle" });
  });
});

/** All is well again: what was strange did no harm that lasts, and the client ends. */
async function recovers(
  { web, source, client }: Awaited<ReturnType<typeof visiting>>,
  server: Server,
  value: unknown,
): Promise<void> {
  web.handler = served(server);
  source.data = "second";
  await server.invalidate("posts");
  await passing(2 * MINUTE);
  const { data, status } = client.getState("posts") ?? {};
  expect({ value, data, status }).toEqual({ value, data: "second", status: "idle" });
  client.destroy();
}
