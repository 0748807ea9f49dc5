// A server within this process: answers syncs, takes invalidations, and holds syncs until something
// changes. It keeps its nodes in memory; the rules are those of the Python server on its memory store.

import { RealityError } from "../core/errors.ts";
import { checkKey, isPattern } from "../core/keys.ts";
import type { ChangedNode, SyncRequest, SyncResponse } from "../core/messages.ts";
import { place, SHARED } from "../core/place.ts";
import { isServerId } from "./cursor.ts";
import { Graph, type Node } from "./graph.ts";
import { type FetchHandlerOptions, fetchHandler } from "./handler.ts";
import { Holding } from "./holding.ts";
import { CURSOR_CHARS_MAX, type EmbeddedLimits, limitsOf } from "./limits.ts";
import { type CheckedSync, checkHash, checkNames, checkSync } from "./requests.ts";
import { concerns } from "./waiters.ts";

// A wait that the server cuts short ends at random within its last tenth, so that clients that came
// together do not come back together.
const WAIT_JITTER = 0.1;

/** What an embedded server can be told; all of it has a default. */
export interface EmbeddedServerOptions
  extends Partial<{ readonly [Name in keyof EmbeddedLimits]: number | undefined }> {
  /** Names the server: 1 to 64 of letters, digits, dot, underscore and dash. */
  readonly serverId?: string | undefined;
}

/** What a page is rendered from: captured before its data is read, it misses nothing. */
export interface Hydration {
  /** The version of each key. */
  readonly known: Record<string, number>;
  readonly cursor: string;
  /** The server's clock, in milliseconds since the epoch. */
  readonly serverTime: number;
}

/** What a server has done so far, and holds. */
export interface EmbeddedServerStats {
  readonly serverId: string;
  /** This run of the server; another once it has forgotten all. */
  readonly origin: string;
  /** Keys and patterns kept. */
  readonly nodes: number;
  /** The local apply position: grows by one with every name touched. */
  readonly position: number;
  /** A number that no key's version exceeds. */
  readonly versionMax: number;
  /** Held syncs. */
  readonly waiters: number;
  /** Syncs answered. */
  readonly syncs: number;
  /** Batches recorded. */
  readonly invalidations: number;
  /** Held syncs that a touch has ended. */
  readonly woken: number;
}

/** Keeps change metadata per key in this process, and tells clients what changed. */
export class EmbeddedRealityServer {
  readonly serverId: string;
  readonly limits: EmbeddedLimits;
  readonly #holding: Holding;
  #graph: Graph | undefined;
  #isClosed = false;
  #syncs = 0;
  #invalidations = 0;
  #woken = 0;

  /** @throws RangeError if a limit is no whole number from 1, or `serverId` is none. */
  constructor({ serverId = "embedded", ...limits }: EmbeddedServerOptions = {}) {
    if (!isServerId(serverId)) {
      throw new RangeError(
        `serverId must be 1 to 64 letters, digits, dots, underscores and dashes, got ${JSON.stringify(serverId)}`,
      );
    }
    this.serverId = serverId;
    this.limits = limitsOf(limits);
    this.#holding = new Holding(this.limits);
  }

  // ---- clients ask -----------------------------------------------------------------------------

  /**
   * Answer a sync, holding it for `request.wait` milliseconds while nothing has changed, but no
   * longer than `waitMsMax`.
   *
   * @throws RealityError `invalid_request`, `invalid_key` and others: the request is malformed or
   *   too large; `too_many_waiters`, `too_many_waiters_of_client`: it would have to be held, and no
   *   more can be; `not_ready`: the server was closed.
   * @throws the signal's reason once it is aborted.
   */
  async handleSync(
    request: SyncRequest,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<SyncResponse> {
    const asked = checkSync(request, this.limits);
    signal?.throwIfAborted();
    if (this.#isClosed) {
      const text = `the embedded server ${this.serverId} was closed: create another`;
      throw new RealityError("not_ready", text, { status: 503 });
    }
    let response = this.#response(asked);
    // Most answers need no ticket; and news is told even where no more syncs can be held.
    if (asked.waitMs > 0 && !isNews(response)) response = await this.#held(asked, signal);
    this.#syncs++;
    return response;
  }

  /** The same as `handleSync`: the server is the transport of clients in its process. */
  sync(
    request: SyncRequest,
    context?: { readonly signal?: AbortSignal | undefined },
  ): Promise<SyncResponse> {
    return this.handleSync(request, context);
  }

  /** The metadata of a key; null if neither it nor a pattern above it was ever touched. */
  async getNode(key: string): Promise<Node | null> {
    return this.#current.node(key);
  }

  /**
   * The versions of keys and the cursor that goes with them, for a page about to be rendered. Take
   * it before the data is read.
   */
  async hydration(keys: Iterable<string>): Promise<Hydration> {
    const known = checkNames([keys], this.limits).map((key) => [key, this.#current.version(key)]);
    const { cursor } = this.#current;
    return { known: Object.fromEntries(known), cursor, serverTime: Date.now() };
  }

  // ---- the application tells -------------------------------------------------------------------

  /**
   * Say that the data of these keys, and of all keys below these patterns, changed. One call is one
   * batch. Call it after the write has been committed. `invalidate("posts", "chat:*")` and
   * `invalidate(["posts", "chat:*"])` are the same.
   *
   * @returns the new version of each key; patterns have none.
   * @throws RealityError `invalid_key`, `key_too_long`, `key_too_deep`, `too_many_keys`: a name is
   *   malformed, or there are too many; none is touched.
   */
  async invalidate(
    ...names: readonly (string | Iterable<string>)[]
  ): Promise<Record<string, number>> {
    const flat = checkNames(names, this.limits);
    if (flat.length > 0) this.#touch(flat);
    const keys = flat.filter((name) => !isPattern(name));
    return Object.fromEntries(keys.map((key) => [key, this.#current.version(key)]));
  }

  /** {@link invalidate} for one list of keys and patterns. */
  async invalidateMany(names: Iterable<string>): Promise<Record<string, number>> {
    return this.invalidate(names);
  }

  /**
   * Say that the data of a key changed and now has this hash. Clients that hold data with the same
   * hash do not fetch it. Where several writers can race, use {@link invalidate}.
   *
   * @throws RealityError `invalid_request`, `invalid_key` and others: the hash or key is malformed.
   */
  async updateNode(key: string, hash: string): Promise<Node> {
    checkHash(hash);
    return this.#touchKey(key, { hash });
  }

  /**
   * Say that the data of a key was deleted. A touch like any other: the record stays.
   *
   * @throws RealityError `invalid_key`, `key_too_long`, `key_too_deep`: the key is malformed.
   */
  async deleteNode(key: string): Promise<Node> {
    return this.#touchKey(key, { deleted: true });
  }

  // ---- life ------------------------------------------------------------------------------------

  /** Answer every held sync now, and no more syncs from here on. It is shared no longer. */
  close(): void {
    this.#isClosed = true;
    this.#holding.wakeAll();
    if (place[SHARED] === this) delete place[SHARED];
  }

  /** What the server has done and holds. */
  stats(): EmbeddedServerStats {
    const graph = this.#current;
    return {
      serverId: this.serverId,
      origin: graph.ownOrigin,
      nodes: graph.size,
      position: graph.position,
      versionMax: graph.versionMax,
      waiters: this.#holding.size,
      syncs: this.#syncs,
      invalidations: this.#invalidations,
      woken: this.#woken,
    };
  }

  /**
   * Serves this server over HTTP, in whatever speaks `Request` and `Response`: `POST /sync`,
   * `POST /invalidate` (with a token) and `GET /health` below `basePath`.
   */
  getFetchHandler(
    basePath = "/reality",
    options: FetchHandlerOptions = {},
  ): (request: Request) => Promise<Response> {
    return fetchHandler(this, basePath, options);
  }

  // ---- inside ----------------------------------------------------------------------------------

  /** What is known; its origin is drawn at the first use, not where a module is merely loaded. */
  get #current(): Graph {
    this.#graph ??= new Graph(this.#drawOrigin(), { register: Date.now() });
    return this.#graph;
  }

  #response({ known, cursor }: CheckedSync, spreadMs = 0): SyncResponse {
    const graph = this.#current;
    // One that is too long is as one that cannot be parsed: `reset`.
    const readable = cursor !== null && cursor.length > CURSOR_CHARS_MAX ? "" : cursor;
    const answer = graph.answer(known, readable);
    const changed = Array.from(answer.changed, ([key, node]) => [key, changedNode(node)]);
    return {
      changed: Object.fromEntries(changed),
      mesh: { peers: {}, serverVersion: graph.position },
      serverTime: Date.now(),
      cursor: answer.cursor,
      ...(answer.reset && { reset: true }),
      ...(spreadMs > 0 && { spreadMs }),
    };
  }

  async #held(asked: CheckedSync, signal: AbortSignal | undefined): Promise<SyncResponse> {
    const ticket = this.#holding.take(asked.clientId, concerns(Object.keys(asked.known)));
    try {
      // Read again: what was touched before the ticket was taken wakes nobody.
      const response = this.#response(asked);
      if (isNews(response)) return response;
      await ticket.wait(this.#waitMs(asked.waitMs), signal);
    } finally {
      this.#holding.giveBack(ticket);
    }
    return this.#response(asked, ticket.spreadMs);
  }

  #waitMs(wishMs: number): number {
    const longestMs = this.limits.waitMsMax;
    return wishMs < longestMs ? wishMs : longestMs * (1 - WAIT_JITTER * Math.random());
  }

  #touchKey(key: string, options: { hash?: string; deleted?: boolean }): Node {
    this.#touch([checkKey(key)], options);
    // A server that was just renewed has forgotten the key, not its version.
    const graph = this.#current;
    return graph.node(key) ?? { key, version: graph.version(key), hash: "", updatedAt: 0 };
  }

  /** Record one batch and wake whom it concerns. */
  #touch(names: readonly string[], options: { hash?: string; deleted?: boolean } = {}): void {
    const graph = this.#current;
    graph.touch(names, { nowMs: Date.now(), ...options });
    this.#invalidations++;
    if (graph.size <= this.limits.nodesMax) {
      this.#woken += this.#holding.wake(names);
      return;
    }
    // It is full: forget all, as another origin, so that no change is ever answered with "no record".
    this.#graph = graph.renewed(this.#drawOrigin(), Date.now());
    this.#woken += this.#holding.wakeAll();
  }

  /** Another for each run: 64 random bits tell them apart. */
  #drawOrigin(): string {
    const bytes = crypto.getRandomValues(new Uint8Array(8));
    const nonce = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return `${this.serverId}~${nonce}`;
  }
}

function isNews(response: SyncResponse): boolean {
  return response.reset === true || Object.keys(response.changed).length > 0;
}

function changedNode({ version, hash, deleted }: Node): ChangedNode {
  return { version, hash, ...(deleted && { deleted }) };
}
