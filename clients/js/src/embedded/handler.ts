// An embedded server over HTTP, for whatever speaks `Request` and `Response`.

import { RealityError } from "../core/errors.ts";
import type { SyncRequest, SyncResponse } from "../core/messages.ts";
import { invalid } from "./requests.ts";

/** How a server is served. */
export interface FetchHandlerOptions {
  /** The credential for `POST /invalidate`; without one it is off. */
  readonly token?: string | undefined;
}

/** What is served. */
export interface Served {
  readonly serverId: string;
  readonly limits: { readonly bodyBytesMax: number };
  handleSync(request: SyncRequest, options: { signal: AbortSignal }): Promise<SyncResponse>;
  invalidate(names: readonly string[]): Promise<Record<string, number>>;
  stats(): { readonly versionMax: number };
}

type Route = (request: Request) => Promise<unknown>;

/** What answers requests for the paths below `basePath`; all others are 404. */
export function fetchHandler(
  server: Served,
  basePath: string,
  { token }: FetchHandlerOptions,
): (request: Request) => Promise<Response> {
  const body = (request: Request) => readJson(request, server.limits.bodyBytesMax);
  const routes = new Map<string, Route>([
    [
      "POST /sync",
      async (request) => {
        return server.handleSync((await body(request)) as SyncRequest, { signal: request.signal });
      },
    ],
    [
      "POST /invalidate",
      async (request) => {
        checkToken(request, token);
        const { keys } = Object((await body(request)) ?? {}) as { keys?: readonly string[] };
        if (!Array.isArray(keys) || keys.length === 0)
          throw invalid("`keys` must be a list of keys");
        return { invalidated: keys, versions: await server.invalidate(keys) };
      },
    ],
    ["GET /health", async () => health(server)],
  ]);
  const base = basePath.replace(/\/+$/, "");
  return async (request) => {
    const { pathname } = new URL(request.url);
    const path = pathname.startsWith(`${base}/`) ? pathname.slice(base.length) : "";
    const route = routes.get(`${request.method} ${path}`);
    if (route === undefined) return noRoute(routes, path);
    try {
      return answer(200, await route(request), "application/json");
    } catch (error) {
      // Nobody reads this any more; for the log of what is in front it is no failure of the server.
      if (request.signal.aborted) return new Response(null, { status: 499 });
      return problem(error);
    }
  };
}

function health(server: Served) {
  return {
    status: "healthy",
    serverId: server.serverId,
    mesh: { peerCount: 0, healthyPeers: 0 },
    storage: { healthy: true, maxVersion: server.stats().versionMax },
  };
}

/** The JSON of a body that is not too long. */
async function readJson(request: Request, bytesMax: number): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const reader = request.body?.getReader();
  // Counted while it comes, because what the header declares need not be true.
  for (;;) {
    const { value: chunk } = (await reader?.read()) ?? {};
    if (chunk === undefined) break;
    bytes += chunk.length;
    if (bytes > bytesMax) {
      await reader?.cancel();
      const text = `the body is longer than ${bytesMax} bytes`;
      throw new RealityError("body_too_large", text, { status: 413 });
    }
    chunks.push(chunk);
  }
  try {
    return JSON.parse(
      new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(joined(chunks, bytes)),
    );
  } catch (cause) {
    throw new RealityError("malformed_json", "the body is not JSON", { status: 400, cause });
  }
}

function joined(chunks: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

function checkToken(request: Request, token: string | undefined): void {
  if (!token) {
    const text = "this server takes no invalidations over HTTP: give it a token to allow them";
    throw new RealityError("invalidation_disabled", text, { status: 403 });
  }
  const given = request.headers.get("authorization") ?? "";
  if (!isSame(given, `Bearer ${token}`)) {
    const text = "the token is missing or wrong: send `Authorization: Bearer <token>`";
    throw new RealityError("unauthorized", text, { status: 401 });
  }
}

/** Whether two texts are the same, in a time that does not tell where they differ. */
function isSame(given: string, expected: string): boolean {
  let difference = given.length ^ expected.length;
  for (let index = 0; index < given.length; index++) {
    difference |= given.charCodeAt(index) ^ expected.charCodeAt(index % expected.length);
  }
  return difference === 0;
}

function noRoute(routes: ReadonlyMap<string, Route>, path: string): Response {
  const allowed = ["GET", "POST"].find((method) => routes.has(`${method} ${path}`));
  if (allowed === undefined) {
    const text = `there is nothing at ${path || "this path"}`;
    return problem(new RealityError("not_found", text, { status: 404 }));
  }
  const text = `${path} takes ${allowed}`;
  const response = problem(new RealityError("method_not_allowed", text, { status: 405 }));
  response.headers.set("allow", allowed);
  return response;
}

/** An error as RFC 9457 has it; the text of an unforeseen one is not told. */
function problem(error: unknown): Response {
  const isOurs = error instanceof RealityError;
  const code = isOurs ? error.code : "internal_error";
  // Errors about names come from the core, which knows no statuses.
  const ofNames = code === "invalid_key" ? 400 : code.startsWith("key_too_") ? 422 : 500;
  const status = (isOurs && error.status) || ofNames;
  const detail = isOurs ? error.message : "the server failed";
  const members = { title: code.replaceAll("_", " "), status, detail, code, error: detail };
  const response = answer(status, members, "application/problem+json");
  if (status === 429 || status === 503) response.headers.set("retry-after", "1");
  return response;
}

function answer(status: number, body: unknown, type: string): Response {
  const headers = { "content-type": type, "cache-control": "no-store" };
  return new Response(JSON.stringify(body), { status, headers });
}
