// One key of a client: its data, its fetches and its subscribers.
//
// The decisions are those of `core/freshness.ts`; this is where they meet timers and promises. A key has at
// most one fetch under way, so that a late reply can never overwrite a newer one.

import { isSame } from "../core/equality.ts";
import { asError, RealityError } from "../core/errors.ts";
import {
  classify,
  type Freshness,
  type FreshnessEvent,
  freshen,
  statusOf,
} from "../core/freshness.ts";
import type { ChangedNode } from "../core/messages.ts";
import type { MutationStack } from "../core/mutations.ts";
import { backoffMs, type Surroundings } from "./surroundings.ts";
import type { Fetcher, KeyOptions, RealityNodeMeta, RealityNodeState } from "./types.ts";

// How long a first fetch waits for the first answer.
const FIRST_LOAD_MS = 150;
// However small the back-off, a failing fetcher is called no more often.
const RETRY_MS_MIN = 100;
// How long a key without subscribers is still asked for.
export const LINGER_MS = 5_000;

export interface Subscriber {
  readonly callback: (state: RealityNodeState) => void;
  readonly options: KeyOptions;
  told?: RealityNodeState;
}

/** How an answer is to be taken. */
export interface Manner {
  readonly reset: boolean;
  readonly spreadMs: number;
  /** Whether the request had a cursor, so that the server could have said `reset`. */
  readonly isProvable: boolean;
  readonly serverTime: number;
}

export class Resource {
  readonly key: string;
  /** As last reported; what `known` says of this key. */
  version: number;
  state: RealityNodeState;
  lastSyncAt: number | null = null;
  readonly subscribers = new Set<Subscriber>();
  /** Optimistic updates, once there was one. */
  mutations: MutationStack | undefined;
  readonly #around: Surroundings;
  #freshness: Freshness = "new";
  /** When the last subscriber went. */
  idleAt = -Infinity;
  meta: RealityNodeMeta | null = null;
  /** The data last fetched, or the fallback. */
  base: unknown;
  #shown: unknown; // the same, with pending mutations on top
  /** Whether that was fetched. */
  hasData = false;
  #fetchError: Error | null = null;
  #syncError: Error | null = null;
  #failures = 0;
  #fetching: AbortController | undefined;
  #clock: ReturnType<typeof setTimeout> | undefined;
  #isTelling = false;

  constructor(key: string, around: Surroundings) {
    this.key = key;
    this.#around = around;
    this.version = Number(around.settings.initialKnown?.[key]) || 0;
    this.state = this.#snapshot();
  }

  // ---- subscribers --------------------------------------------------------------------------------

  add(subscriber: Subscriber): void {
    const { fallback, initialData } = subscriber.options;
    this.subscribers.add(subscriber);
    if (!this.hasData && initialData !== undefined)
      this.hydrate(initialData, !!this.meta && !this.lastSyncAt);
    if (!this.hasData) this.base ??= fallback;
    this.show();
    this.refetchIfEmpty();
    if (this.#freshness === "due" && !this.#clock) this.#fetchAfter(0);
    if (this.#freshness === "new") this.#after(FIRST_LOAD_MS, () => this.#load());
  }

  /** Remove a subscriber; whether it was the last one. */
  remove(subscriber: Subscriber): boolean {
    const isLast = this.subscribers.delete(subscriber) && this.subscribers.size === 0;
    if (isLast) this.idleAt = performance.now();
    return isLast;
  }

  /** Whether to ask for it. */
  get isWanted(): boolean {
    return this.subscribers.size > 0 || performance.now() - this.idleAt < LINGER_MS;
  }

  // ---- what happens to a key ----------------------------------------------------------------------

  /** Take in what an answer says of this key; whether that was new. */
  report({ version, hash = "", deleted = false }: ChangedNode, manner: Manner): boolean {
    const held = hash && manner.isProvable ? this.#hashHeld() : "";
    const event = classify(this.version, version, hash, held, manner.reset);
    this.version = version;
    if (!event) return false;
    this.meta = { key: this.key, version, hash, updatedAt: manner.serverTime, deleted };
    this.#on(event, this.hasData ? manner.spreadMs * Math.random() : 0);
    return true;
  }

  /** A server answered for this key, whatever it said. */
  answered(nowMs: number): void {
    const isFirst = !this.lastSyncAt || this.#syncError || this.#freshness === "new";
    this.lastSyncAt = nowMs;
    this.#syncError = null;
    if (isFirst) this.#load(); // of a thousand keys most have nothing to do with an answer
  }

  /** No server answered. */
  lost(error: Error): void {
    this.#syncError = error;
    this.#tell();
  }

  /**
   * Mark as stale and fetch again, without having been told by a sync.
   *
   * @param version where it is known from elsewhere: a report of the same version is then no news,
   *   because the fetch begins after it.
   */
  refetch(version = this.version): void {
    this.version = version;
    this.#on("reported");
  }

  /** A fetcher may have been found for a key that had none. */
  refetchIfEmpty(): void {
    if (this.isFresh && !this.hasData && this.fetcher) this.refetch();
  }

  /** The cursor moved on without this key: what is held of it is stale. */
  park(): void {
    this.close();
    this.#freshness = "new";
    this.#tell();
  }

  /** Give up whatever is under way; a fetch stays due. */
  close(): void {
    clearTimeout(this.#clock);
    this.#clock = undefined;
    if (!this.#fetching) return;
    this.#fetching.abort();
    this.#fetching = undefined;
    this.#freshness = "due";
  }

  // ---- its data -----------------------------------------------------------------------------------

  get fetcher(): Fetcher | undefined {
    return this.#options.fetcher ?? this.#around.fetcher;
  }

  /** Whether its data is the newest, as far as is known. */
  get isFresh(): boolean {
    return this.#freshness === "fresh";
  }

  /** Hold this data. */
  take(data: unknown): void {
    if (!this.hasData || !isSame(this.base, data)) {
      this.base = data;
      this.hasData = true;
    }
    this.show();
  }

  /** Show the data, with what mutations have changed or no longer change. */
  show(): void {
    const shown = this.mutations ? this.mutations.applied(this.base) : this.base;
    if (!isSame(this.#shown, shown)) this.#shown = shown;
    this.#tell();
  }

  /** Take data that was not fetched here; fresh: nobody knows of a touch since it was read. */
  hydrate(data: unknown, isFresh: boolean): void {
    if (isFresh && this.#freshness === "new") this.#freshness = "fresh";
    this.take(data);
  }

  // ---- inside -------------------------------------------------------------------------------------

  /** The options of the subscriber whose fetcher is used, or who wants something of what the default one gives. */
  get #options(): KeyOptions {
    const all = [...this.subscribers].map((each) => each.options);
    const shaping = all.find((each) => each.schema || each.transform);
    return all.find((each) => each.fetcher) ?? shaping ?? {};
  }

  /** The first sync was answered, or it has taken too long to wait for it. */
  #load(): void {
    if (this.fetcher || this.lastSyncAt) this.#on("first_load");
  }

  #on(event: FreshnessEvent, delayMs = 0): void {
    const [state, action] = freshen(this.#freshness, event);
    this.#freshness = state;
    if (action === "fetch" && this.subscribers.size > 0 && !this.fetcher && !this.hasData) {
      // To know of the change is all that these subscribers want: they have it with `meta`.
      this.#freshness = "fresh";
    } else if (action === "fetch" || action === "deliver_and_fetch") {
      this.#fetchAfter(delayMs);
    } else if (action === "retry") {
      const ms = backoffMs(this.#failures++, this.#around.settings);
      this.#fetchAfter(Math.max(RETRY_MS_MIN, ms));
    }
    this.#around.keeper?.touched();
    this.#tell();
  }

  #after(ms: number, act: () => void): void {
    clearTimeout(this.#clock);
    this.#clock = setTimeout(() => {
      this.#clock = undefined;
      act();
    }, ms);
  }

  #fetchAfter(ms: number): void {
    this.#after(ms, () => {
      // A key that nobody wants stays due: whoever comes next makes it fetch.
      if (this.subscribers.size > 0) this.#around.slots(() => this.#fetch());
    });
  }

  async #fetch(): Promise<void> {
    const { emit, settings } = this.#around;
    const { fetchTimeout = 60_000 } = settings;
    if (this.#freshness !== "due" || !this.fetcher) return;
    const fetching = new AbortController();
    const clock = setTimeout(() => {
      const text = `fetching "${this.key}" took more than ${fetchTimeout} ms`;
      fetching.abort(new RealityError("fetch_timeout", text));
    }, fetchTimeout);
    const begunAt = performance.now();
    this.#fetching = fetching;
    this.#on("started");
    this.mutations?.fetchStarted();
    try {
      const data = await this.#ask(this.fetcher, fetching.signal);
      if (this.#fetching !== fetching) return;
      this.#failures = 0;
      this.#fetchError = null;
      this.mutations?.fetchSucceeded();
      this.take(data);
      this.#on("succeeded");
      emit("fetch", { key: this.key, tookMs: performance.now() - begunAt });
    } catch (thrown) {
      if (this.#fetching !== fetching) return;
      this.#fetchError = asError(thrown);
      this.#on("failed");
      emit("error", { error: this.#fetchError, key: this.key });
    } finally {
      clearTimeout(clock);
      if (this.#fetching === fetching) this.#fetching = undefined;
    }
  }

  /** The fetcher's data, checked and transformed as its subscriber wants. */
  #ask(fetcher: Fetcher, signal: AbortSignal): Promise<unknown> {
    const { schema, transform } = this.#options;
    return new Promise((resolve, reject) => {
      // For fetchers that do not look at it.
      signal.addEventListener("abort", () => reject(signal.reason));
      const ask = async () => {
        let data = await fetcher(this.key, this.meta, { signal });
        if (schema) data = await (await import("./schema.ts")).validated(this.key, data, schema);
        return transform ? transform(data as never) : data;
      };
      ask().then(resolve, reject);
    });
  }

  #hashHeld(): string {
    try {
      // No data, or older than what was reported: nothing to compare with.
      return (this.hasData && this.isFresh && this.#around.createHash?.(this.base)) || "";
    } catch {
      return ""; // it has no JSON form, and matches no hash
    }
  }

  #snapshot(): RealityNodeState {
    const error = this.#fetchError ?? this.#syncError;
    const status = statusOf(this.#freshness, this.hasData, !!error);
    return {
      key: this.key,
      data: this.#shown,
      meta: this.meta,
      status,
      error,
      isLoading: status === "loading",
      isSyncing: status === "syncing",
      isStale: status !== "idle" && status !== "loading",
      lastSyncAt: this.lastSyncAt,
    };
  }

  /** Make the new snapshot if it says anything new, and tell of it once this step of the program is over. */
  #tell(): void {
    const { data, meta, status, error } = this.state;
    const state = this.#snapshot();
    const isSameError = state.error?.message === error?.message;
    if (state.data !== data || state.meta !== meta || state.status !== status || !isSameError) {
      this.state = state;
    }
    if (this.#isTelling) return;
    this.#isTelling = true;
    queueMicrotask(() => {
      this.#isTelling = false;
      for (const each of this.subscribers) {
        if (each.told === this.state) continue;
        each.told = this.state;
        call(each.callback, this.state);
      }
    });
  }
}

/** Call the application: what it throws is reported as its own, and does not disturb what follows. */
export function call<Argument>(
  callback: (argument: Argument) => unknown,
  argument: Argument,
): void {
  void new Promise((resolve) => resolve(callback(argument)));
}
