// The embedded server over HTTP: routes, refusals, and `conformance/vectors/codec.json`.
import { describe, expect, it } from "vitest";
import { EmbeddedRealityServer } from "../../src/embedded/server.ts";
import { spelled, type Vector, vectors } from "../vectors.ts";

const SYNC = { known: { posts: 0 }, clientId: "c", mode: "native", hint: "mount" };
const TOKEN = { authorization: "Bearer secret" };

function serving(limits: Record<string, number> = {}) {
  const server = new EmbeddedRealityServer({ serverId: "ssr", ...limits });
  const handler = server.getFetchHandler("/reality", { token: "secret" });
  const ask = (path: string, init: RequestInit = {}) => {
    return handler(new Request(`http://localhost${path}`, init));
  };
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) => {
    const text =
      typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
    return ask(path, { method: "POST", headers, body: text as BodyInit });
  };
  return { server, ask, post };
}

describe("a route", () => {
  it("answers syncs, never to be stored", async () => {
    const { server, post } = serving();
    const response = await post("/reality/sync", SYNC);
    expect(response.status).toBe(200);
    expect(response.headers.get("cache-control")).toBe("no-store");
    const direct = await server.handleSync(SYNC as never);
    expect(await response.json()).toEqual({ ...direct, serverTime: expect.any(Number) });
  });

  it("takes invalidations with the token", async () => {
    const { server, post } = serving();
    const response = await post("/reality/invalidate", { keys: ["posts", "a:*"] }, TOKEN);
    const { version } = (await server.getNode("posts")) as { version: number };
    expect(await response.json()).toEqual({
      invalidated: ["posts", "a:*"],
      versions: { posts: version },
    });
  });

  it("tells that it is well", async () => {
    const response = await serving().ask("/reality/health");
    expect(await response.json()).toMatchObject({ status: "healthy", serverId: "ssr" });
  });

  it("ends a held sync when the asker leaves", async () => {
    const { server, ask } = serving();
    const { known, cursor } = await server.hydration(["posts"]);
    const leaving = new AbortController();
    const body = JSON.stringify({ ...SYNC, known, cursor, wait: 10_000 });
    const held = ask("/reality/sync", { method: "POST", body, signal: leaving.signal });
    await expect.poll(() => server.stats().waiters).toBe(1);
    leaving.abort();
    await held;
    expect(server.stats().waiters).toBe(0);
  });
});

describe("a refusal", () => {
  async function refused(asked: Promise<Response>): Promise<[number, string]> {
    const response = await asked;
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    const { status, code, detail, error } = (await response.json()) as Vector;
    expect(status).toBe(response.status);
    expect(error).toBe(detail);
    return [response.status, code];
  }

  it.each([
    ["no token", {}],
    ["another token", { authorization: "Bearer secreT" }],
    ["the start of the token", { authorization: "Bearer secre" }],
    ["more than the token", { authorization: "Bearer secretsecret" }],
  ])("is what %s gets", async (_, headers) => {
    const { server, post } = serving();
    const asked = post("/reality/invalidate", { keys: ["posts"] }, headers as never);
    expect(await refused(asked)).toEqual([401, "unauthorized"]);
    expect(server.stats().invalidations).toBe(0);
  });

  it("is what invalidations get where there is no token (I7)", async () => {
    const handler = new EmbeddedRealityServer().getFetchHandler("/");
    const request = new Request("http://localhost/invalidate", { method: "POST", body: "{}" });
    expect(await refused(handler(request))).toEqual([403, "invalidation_disabled"]);
  });

  it.each([
    ["GET", "/reality/sync", 405, "method_not_allowed"],
    ["GET", "/reality/none", 404, "not_found"],
    ["GET", "/reality", 404, "not_found"],
    ["GET", "/realityhealth", 404, "not_found"],
    ["GET", "/health", 404, "not_found"],
  ])("is what %s %s gets", async (method, path, status, code) => {
    expect(await refused(serving().ask(path, { method }))).toEqual([status, code]);
  });

  it("is what a body gets that is too long, or names that are malformed", async () => {
    const { post } = serving({ bodyBytesMax: 1_000, keysMax: 1 });
    const sync = (known: unknown) => refused(post("/reality/sync", { ...SYNC, known }));
    expect(await sync({ ["k".repeat(1_000)]: 0 })).toEqual([413, "body_too_large"]);
    expect(await sync({ ["k".repeat(513)]: 0 })).toEqual([422, "key_too_long"]);
    expect(await sync({ "": 0 })).toEqual([400, "invalid_key"]);
    expect(await sync({ a: 0, b: 0 })).toEqual([422, "too_many_keys"]);
  });

  // What JavaScript cannot tell from a good body: it has one kind of number, and keeps the last member.
  const unseen = [
    "version whole but written as a fraction",
    "version with an exponent",
    "version minus zero as a fraction",
    "a key twice, the first time with a wrong version",
  ];
  const requests = (vectors("codec").requests as Vector[]).filter(({ message, about }) => {
    return message === "sync" && !unseen.includes(about);
  });

  it.each(requests.filter(({ code }) => code))(
    "is what a client gets for $about",
    async (vector) => {
      const { hex } = vector.body;
      const body = hex ? Uint8Array.from(Buffer.from(hex, "hex")) : spelled(vector.body);
      const [status] = await refused(serving().post("/reality/sync", body));
      expect(status).toBe(400);
    },
  );

  it.each(requests.filter(({ code }) => !code))(
    "is not what a client gets for $about",
    async (vector) => {
      const response = await serving().post("/reality/sync", spelled(vector.body));
      const isMalformedKey = vector.about === "a key is checked later, not by the codec";
      expect(response.status).toBe(isMalformedKey ? 400 : 200);
    },
  );
});
