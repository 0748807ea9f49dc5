// Asks one server over HTTP: deadlines, limits, and every way it can fail as one kind of error. With the
// first answer, or failure, `failover.ts` is loaded, which knows of the other servers.

import { RealityError } from "../core/errors.ts";
import { readSyncResponse, readVersions, type SyncRequest } from "../core/messages.ts";
import { place, SHARED } from "../core/place.ts";
import type { ServerStatus } from "../core/servers.ts";
import { baseUrl } from "../core/urls.ts";
import type { Failover } from "./failover.ts";
import type { RealityOptions, RealityTransport } from "./types.ts";

// The largest answer: 10,000 keys of 512 bytes each, all changed, and some room.
const ANSWER_CHARS_MAX = 8 * 1024 * 1024;
const RETRY_AFTER_MS_MAX = 300_000;

/** One question, to whichever server. */
export interface Asking<Answer> {
  readonly path: string;
  readonly body: unknown;
  readonly read: (value: unknown) => Answer;
  readonly signal: AbortSignal;
  readonly waitMs?: number;
  /** A credential, which is sent to none but the servers that the client was given. */
  readonly token?: string | undefined;
}

/** An answer, who gave it, how long that took, and how long it wants to be left alone. */
export interface Asked<Answer> {
  readonly answer: Answer;
  readonly url: string;
  readonly tookMs: number;
  readonly retryAfterMs: number;
}

/**
 * Finds the transport for these settings, each time anew: an embedded server may be made after the client.
 *
 * @throws TypeError a server's URL is none.
 */
export function transportOf(settings: RealityOptions): () => RealityTransport {
  const { executionMode, transport, servers = globalThis.location?.origin ?? [] } = settings;
  if (transport) return () => transport;
  const http = new HttpTransport([servers].flat() as string[], settings);
  const isRemote = executionMode === "client" || executionMode === "server-external";
  return () => ((!isRemote && place[SHARED]) || http) as RealityTransport;
}

/** The transport of HTTP. Its options are those of the client with the same names. */
export class HttpTransport implements RealityTransport {
  readonly #urls: readonly string[];
  readonly #settings: RealityOptions;
  readonly #begunAt: number[] = [];
  #failover: Failover | undefined;

  /** @throws TypeError a URL is none. */
  constructor(servers: readonly string[], options: RealityOptions = {}) {
    this.#settings = options;
    this.#urls = servers.map(baseUrl);
  }

  async sync(request: SyncRequest, { signal }: { readonly signal: AbortSignal }) {
    const { answer, url, retryAfterMs } = await this.#ask({
      path: "/sync",
      body: request,
      read: readSyncResponse,
      signal,
      waitMs: request.wait ?? 0,
    });
    // Once it is there, it is there also when nothing can be loaded any more.
    const learn = (failover?: Failover) => failover?.learn(answer.mesh.peers, url, retryAfterMs);
    void this.#loadFailover().then(learn);
    return { ...answer, retryAfterMs };
  }

  async invalidate(keys: readonly string[]): Promise<Record<string, number>> {
    const { token = "" } = this.#settings;
    // A retry may touch them twice: harmless.
    const { answer } = await this.#ask({
      path: "/invalidate",
      body: { keys },
      read: readVersions,
      signal: new AbortController().signal,
      token,
    });
    return answer;
  }

  /** What is known of each server; nothing before the first answer. */
  getServerStatus(): ServerStatus[] {
    return this.#failover?.status() ?? [];
  }

  forgetFailures(): void {
    this.#failover?.forgetFailures();
  }

  async #ask<Answer>(asking: Asking<Answer>): Promise<Asked<Answer>> {
    const askOne = (url: string) => this.#askOne(url, asking);
    if (this.#failover) return this.#failover.ask(askOne, asking);
    const [url] = this.#urls;
    if (!url) throw new RealityError("no_server", "pass `servers`");
    try {
      return await askOne(url);
    } catch (error) {
      const failover = await this.#loadFailover();
      asking.signal.throwIfAborted();
      if (!failover) throw error;
      return failover.ask(askOne, asking, [url, error as RealityError]);
    }
  }

  async #loadFailover(): Promise<Failover | undefined> {
    try {
      const { Failover } = await import("./later.ts");
      this.#failover ??= new Failover(this.#urls, this.#settings, this.#begunAt);
    } catch {
      // Without it there is the first server, and the next try.
    }
    return this.#failover;
  }

  /** @throws RealityError however it failed. */
  async #askOne<Answer>(url: string, asking: Asking<Answer>): Promise<Asked<Answer>> {
    if (this.#failover) await this.#failover.turn(url, asking.signal);
    else this.#begunAt.push(performance.now());
    const { timeout = 10_000, fetch = globalThis.fetch } = this.#settings;
    const { signal, waitMs = 0 } = asking;
    const begunAt = performance.now();
    const ending = new AbortController();
    const giveUp = () => ending.abort();
    const clock = setTimeout(giveUp, timeout + waitMs);
    signal.addEventListener("abort", giveUp);
    if (signal.aborted) giveUp();
    try {
      const response = await fetch(url + asking.path, this.#sending(asking, ending.signal));
      const retryAfterMs = readRetryAfter(response.headers.get("retry-after") ?? "");
      const body = readBody(await response.text());
      if (!response.ok) throw refusal(url, response.status, body, retryAfterMs);
      return { answer: asking.read(body), url, tookMs: performance.now() - begunAt, retryAfterMs };
    } catch (error) {
      if (error instanceof RealityError) throw error;
      const isLate = ending.signal.aborted;
      const reason = isLate ? `no answer in ${timeout + waitMs} ms` : String(error);
      throw new RealityError("server_unavailable", `${url}: ${reason}`, { cause: error });
    } finally {
      clearTimeout(clock);
      signal.removeEventListener("abort", giveUp);
    }
  }

  #sending({ token, body }: Asking<unknown>, signal: AbortSignal): RequestInit {
    const { headers, credentials } = this.#settings;
    const authorization = token && { authorization: `Bearer ${token}` };
    return {
      method: "POST",
      headers: { ...headers, ...authorization, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal,
      cache: "no-store",
      credentials,
    } as RequestInit;
  }
}

/** JSON, or undefined for what is none. */
function readBody(text: string): unknown {
  try {
    return text.length > ANSWER_CHARS_MAX ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refusal(url: string, status: number, body: unknown, retryAfterMs: number): RealityError {
  const { code, error } = (body ?? {}) as { code?: unknown; error?: unknown };
  const isOurs = typeof code === "string";
  const text = isOurs ? error : "no Reality server: check the URL";
  const details = { status, retryAfterMs };
  return new RealityError(isOurs ? code : "remote_error", `${url}: ${status}, ${text}`, details);
}

/** `Retry-After`, a number of seconds or a date (RFC 9110 section 10.2.3), in milliseconds. */
function readRetryAfter(value: string): number {
  const ms = /^\d+$/.test(value) ? +value * 1_000 : Date.parse(value) - Date.now();
  return Math.min(Math.max(0, ms || 0), RETRY_AFTER_MS_MAX);
}
