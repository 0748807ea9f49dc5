// Keys that are asked for together: at most one request under way, one cursor, one pace.
//
// The decisions are those of `core/polling.ts`; this is where they meet timers and promises. An answer is
// taken in within one step, versions, dirty marks and cursor together, so that a request that fails or is
// given up leaves everything as it was before.
//
// A key whose last subscriber goes is asked for a little longer, so that one who comes back at once finds it
// fresh. After that it is only remembered, and stale as soon as the cursor moves on without it.

import { asError, RealityError } from "../core/errors.ts";
import type { Hint, SyncRequest, SyncResponse } from "../core/messages.ts";
import { type Polling, type PollingEvent, poll } from "../core/polling.ts";
import type { Pace } from "./pace.ts";
import { LINGER_MS, type Resource } from "./resource.ts";
import { backoffMs, type Surroundings, WAIT_MS } from "./surroundings.ts";
import type { RealityNodeMeta } from "./types.ts";

// A request may carry so many keys, and so many bytes of them, and stay below a server's default body limit:
// each key also costs its version, quotes and separators, and a UTF-16 unit at most three bytes.
const KEYS_MAX = 10_000;
const BYTES_MAX = 900_000;
const ENTRY_BYTES = 24;
const REMEMBERED_MAX = 500;
// After a reset refetches are spread over this time; no server may spread them over a longer one than that.
const RESET_SPREAD_MS = 2_000;
const SPREAD_MS_MAX = 60_000;
// Between answers, as long as nothing paces them.
const UNPACED_MS = 1_000;

/** An answer, and how long the server that gave it wants to be left alone. */
export type Answer = SyncResponse & { readonly retryAfterMs?: number };

export class Shard {
  readonly resources = new Map<string, Resource>();
  /** That of the last answer that was about every key asked for when it was taken in. */
  cursor: string | undefined;
  readonly #around: Surroundings;
  #pace: Pace | undefined;
  #failures = 0;
  #state: Polling = "idle";
  #hint: Hint = "mount";
  #request: AbortController | undefined;
  #clock: ReturnType<typeof setTimeout> | undefined;
  #lingering: ReturnType<typeof setTimeout> | undefined;
  readonly #ending = new AbortController();
  #isAskingSoon = false;
  #retryAfterMs = 0;
  #bytes = 0;

  constructor(around: Surroundings) {
    this.#around = around;
  }

  // ---- its keys -----------------------------------------------------------------------------------

  /** Make room for a key, if there is any. */
  hasRoom(key: string): boolean {
    this.#bytes += bytesOf(key);
    return this.resources.size < KEYS_MAX && this.#bytes < BYTES_MAX;
  }

  /** All keys that it asks for. */
  names(): string[] {
    return [...this.resources.values()].filter((each) => each.isWanted).map((each) => each.key);
  }

  /** A key is about to be wanted. Those of one step are asked for together. */
  added(resource: Resource): void {
    const isAsked = resource.subscribers.size > 0 || (resource.isWanted && resource.lastSyncAt);
    if (isAsked || this.#isAskingSoon) return;
    this.#isAskingSoon = true;
    void Promise.resolve(this.#around.ready).then(() => {
      this.#isAskingSoon = false;
      this.#hint = "mount";
      if (this.names().length > 0) this.#on("keys_added");
    });
  }

  /** A key has lost its last subscriber. */
  removed(): void {
    clearTimeout(this.#lingering);
    this.#lingering = setTimeout(() => {
      const idle = [...this.resources.values()].filter((each) => !each.isWanted);
      for (const each of idle) each.close();
      for (const { key } of idle.slice(0, -REMEMBERED_MAX)) {
        this.resources.delete(key);
        this.#bytes -= bytesOf(key);
      }
      if (this.names().length === 0) this.#on("keys_gone");
    }, LINGER_MS);
    (this.#lingering as { unref?(): void }).unref?.(); // it keeps no program from ending
  }

  /** Take the cursor of saved state over, if nothing was asked before. */
  restore(cursor: string | undefined): void {
    if (this.#state === "idle") this.cursor ??= cursor;
  }

  // ---- asking -------------------------------------------------------------------------------------

  /** Ask at once, instead of what is under way. */
  hint(hint: Hint): void {
    this.#hint = hint;
    if (this.names().length > 0) this.#on("hinted");
  }

  /** Ask for some keys now, beside whatever is under way, and take the answer in. */
  async sync(keys: readonly string[], hint: Hint): Promise<SyncResponse> {
    const request = this.#requestFor(keys, hint, 0);
    const begunAt = performance.now();
    const answer = await this.#answerTo(request, this.#ending.signal);
    this.#takeIn(request, answer, performance.now() - begunAt);
    return answer;
  }

  /** Nobody looks: hold no request. */
  release(): void {
    if (this.#state !== "holding") return;
    this.#giveUp();
    this.#on("rested");
  }

  /** Give up whatever is under way, for good. */
  close(): void {
    clearTimeout(this.#lingering);
    this.#ending.abort(new RealityError("closed", "the client was destroyed"));
    for (const each of this.resources.values()) {
      each.subscribers.clear();
      each.close();
    }
    this.#on("closed");
  }

  // ---- inside -------------------------------------------------------------------------------------

  #on(event: PollingEvent, pauseMs = 0): void {
    const [state, action] = poll(this.#state, event);
    this.#state = state;
    if (action === "none") return;
    this.#giveUp();
    if (action === "sync") void this.#ask(0);
    else if (action === "hold") void this.#ask(this.#around.settings.wait ?? WAIT_MS);
    else if (action === "pause") this.#pause(pauseMs);
    else if (action === "retry") {
      const ms = backoffMs(this.#failures++, this.#around.settings);
      this.#pause(Math.max(ms, this.#retryAfterMs));
    }
  }

  #giveUp(): void {
    clearTimeout(this.#clock);
    this.#request?.abort();
    this.#request = undefined;
  }

  #pause(ms: number): void {
    this.#clock = setTimeout(() => this.#on("elapsed"), ms);
  }

  async #ask(waitMs: number): Promise<void> {
    const asking = new AbortController();
    const request = this.#requestFor(this.names(), this.#hint, waitMs);
    const begunAt = performance.now();
    const { emit, later } = this.#around;
    this.#request = asking;
    this.#hint = "idle";
    try {
      const answer = await this.#answerTo(request, asking.signal);
      if (this.#request !== asking) return;
      const tookMs = performance.now() - begunAt;
      const news = this.#takeIn(request, answer, tookMs);
      this.#failures = 0;
      await later();
      if (this.#request !== asking) return;
      const { loaded } = this.#around;
      this.#pace ??= loaded && new loaded.Pace(this.#around);
      const next = this.#pace?.next({ answer, waitMs, tookMs, news });
      this.#on(next?.event ?? "deferred", next?.pauseMs ?? UNPACED_MS);
    } catch (thrown) {
      if (this.#request !== asking) return;
      const error = asError(thrown);
      for (const each of this.resources.values()) each.lost(error);
      emit("error", { error });
      this.#retryAfterMs = (error as Partial<RealityError>).retryAfterMs ?? 0;
      this.#on("failed");
    }
  }

  async #answerTo(request: SyncRequest, signal: AbortSignal): Promise<Answer> {
    const around = this.#around;
    const answer = await around.transport.sync(request, { signal });
    if (!around.createHash && Object.values(answer.changed).some((each) => each.hash)) {
      try {
        around.createHash = (await import("../core/hash.ts")).createHash;
      } catch {
        // Without it every report is fetched.
      }
    }
    return answer;
  }

  #requestFor(keys: readonly string[], hint: Hint, wait: number): SyncRequest {
    const known = keys.map((key) => [key, this.resources.get(key)?.version ?? 0] as const);
    // Versions without a cursor prove nothing: the empty one asks for a `reset`.
    const cursor = this.cursor ?? (known.some(([, each]) => each) ? "" : undefined);
    const { clientId, settings } = this.#around;
    return {
      known: Object.fromEntries(known),
      clientId,
      mode: settings.mode ?? "native",
      hint,
      wait: Math.ceil(wait),
      ...(cursor !== undefined && { cursor }),
    };
  }

  /**
   * Take in what an answer says of the keys that were asked for; how many of them it has news of.
   *
   * @param isProvable whether the request had a cursor, so that the server could have said `reset`.
   */
  #apply(answer: SyncResponse, asked: ReadonlySet<string>, isProvable: boolean): number {
    const { reset = false, serverTime } = answer;
    const spreadMs = Math.max(
      Math.min(answer.spreadMs ?? 0, SPREAD_MS_MAX),
      reset ? RESET_SPREAD_MS : 0,
    );
    const manner = { reset, serverTime, isProvable, spreadMs };
    let count = 0;
    for (const [key, node] of Object.entries(answer.changed)) {
      const resource = asked.has(key) ? this.resources.get(key) : undefined;
      if (!resource?.report(node, manner)) continue;
      count += 1;
      this.#around.emit("change", {
        key,
        meta: resource.state.meta as RealityNodeMeta,
        reset,
        spreadMs,
      });
    }
    const nowMs = Date.now();
    for (const [key, each] of this.resources) if (asked.has(key)) each.answered(nowMs);
    return count;
  }

  #takeIn(request: SyncRequest, answer: SyncResponse, tookMs: number): boolean {
    const asked = new Set(Object.keys(request.known));
    const changed = this.#apply(answer, asked, Boolean(request.cursor));
    if (this.names().every((key) => asked.has(key))) {
      this.cursor = answer.cursor;
      for (const [key, each] of this.resources) if (!asked.has(key)) each.park();
    }
    const { hint, wait: waitMs = 0 } = request;
    const reset = !!answer.reset;
    this.#around.emit("sync", { keys: asked.size, changed, hint, waitMs, tookMs, reset });
    return changed > 0;
  }
}

const bytesOf = (key: string) => 3 * key.length + ENTRY_BYTES;
