// RealityClient: keeps keys of Reality servers fresh in a browser, or wherever there is `fetch`.

import { RealityError } from "../core/errors.ts";
import { checkName, covers } from "../core/keys.ts";
import type { Hint } from "../core/messages.ts";
import type { ServerStatus } from "../core/servers.ts";
import { Holdings } from "./holdings.ts";
import { call } from "./resource.ts";
import { newSlots } from "./slots.ts";
import type { Sharing, Surroundings } from "./surroundings.ts";
import { transportOf } from "./transport.ts";
import type {
  Fetcher,
  KeyOptions,
  MutateOptions,
  RealityEvents,
  RealityNodeState,
  RealityOptions,
  RealityStats,
  RealityStorage,
} from "./types.ts";

type Listener = (event: object) => void;

/** One key, with the options that its subscribers share. */
export interface RealtimeKey<T> {
  readonly key: string;
  subscribe(callback: (state: RealityNodeState<T>) => void): () => void;
  getState(): RealityNodeState<T> | undefined;
  sync(hint?: Hint): Promise<string[]>;
}

/**
 * Subscribes to keys, and fetches their data anew whenever a server reports a change.
 *
 * Nothing is asked or listened to before the first subscription.
 */
export class RealityClient {
  readonly #around: Surroundings;
  /** @internal */
  readonly holdings: Holdings;
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #counts = { change: 0, sync: 0, fetch: 0, error: 0 };
  #sharing: Promise<Sharing | undefined> | undefined;
  #isClosed = false;

  /** @throws TypeError an option cannot be; the text says which. */
  constructor(settings: RealityOptions = {}) {
    const { fetcher, storage, clientId = newClientId() } = settings;
    for (const [name, value] of Object.entries(settings)) {
      // What is longer, timers take for nothing.
      const isBad = typeof value === "number" && !(value >= 0 && value < 2 ** 31);
      if (isBad) throw new TypeError(`${name} cannot be ${value}`);
    }
    const transport = transportOf(settings);
    const around: Surroundings = {
      settings,
      clientId,
      fetcher,
      get transport() {
        return around.sharing?.transport ?? transport();
      },
      slots: newSlots(settings.maxFetches || 16),
      emit: (name, event) => this.#emit(name, event),
      later: () => this.#later(),
    };
    this.#around = around;
    this.holdings = new Holdings(this.#around);
    if (storage) this.#around.ready = this.#restore(storage).catch(() => {});
  }

  // ---- subscribing --------------------------------------------------------------------------------

  /**
   * Keep a key fresh, and be told of its state, soon and whenever it changes. Subscriptions of one key
   * share its data and one fetcher.
   *
   * @returns the function that unsubscribes; calling it again is harmless.
   * @throws RealityError `invalid_key`, `key_too_long`, `key_too_deep`, `closed`.
   */
  subscribe<T = unknown>(
    key: string,
    callback: (state: RealityNodeState<T>) => void,
    options: KeyOptions<T> = {},
  ): () => void {
    this.#checkOpen();
    const told = callback as (state: RealityNodeState) => void;
    return this.holdings.subscribe(key, { callback: told, options: options as KeyOptions });
  }

  /** The present state of a key; undefined if nothing is known of it. The same object until it changes. */
  getState<T = unknown>(key: string): RealityNodeState<T> | undefined {
    return this.holdings.get(key)?.state as RealityNodeState<T> | undefined;
  }

  /** A key together with its options. */
  realtime<T = unknown>(key: string, options: KeyOptions<T> = {}): RealtimeKey<T> {
    return {
      key,
      subscribe: (callback) => this.subscribe(key, callback, options),
      getState: () => this.getState<T>(key),
      sync: (hint = "interaction") => this.syncKeys([key], hint),
    };
  }

  /** The fetcher of keys whose subscribers have none. */
  setDefaultFetcher(fetcher: Fetcher): void {
    this.#around.fetcher = fetcher;
    for (const each of this.holdings.resources()) each.refetchIfEmpty();
  }

  // ---- asking and telling -------------------------------------------------------------------------

  /**
   * Ask for these keys now; those that are subscribed to are fetched again if they changed.
   *
   * @returns the keys that the servers reported as changed. A key that is not held counts as never reported, so
   *   it is always among it where the server keeps versions for it.
   * @throws RealityError the servers refused, or none answered.
   */
  async syncKeys(keys: string | readonly string[], hint: Hint = "interaction"): Promise<string[]> {
    this.#checkOpen();
    await this.#later();
    const { loaded } = this.#around;
    if (loaded) return loaded.syncKeys(this.holdings, [keys].flat() as string[], hint);
    for (const each of this.holdings.shards) each.hint(hint);
    return [];
  }

  /** `syncKeys` for every key that is held. */
  syncAll(hint: Hint = "interaction"): Promise<string[]> {
    return this.syncKeys(this.#keys(), hint);
  }

  /**
   * Fetch keys anew that are held; with `remote`, also tell the servers that they changed, which needs
   * the option `token`.
   *
   * @param names keys and patterns.
   * @returns the new versions, by key; empty unless `remote`.
   * @throws RealityError the servers refused, or none answered.
   */
  async invalidate(
    names: string | readonly string[],
    { remote = false }: { readonly remote?: boolean } = {},
  ): Promise<Record<string, number>> {
    this.#checkOpen();
    const list = ([names].flat() as string[]).map(checkName);
    const told = remote && list.length > 0 && (await this.#around.transport.invalidate?.(list));
    const versions = new Map(Object.entries(told || {}));
    for (const each of this.holdings.resources()) {
      if (list.some((name) => covers(name, each.key))) each.refetch(versions.get(each.key));
    }
    return told || {};
  }

  /**
   * Change data through the application's own API, showing the change at once if `optimisticUpdate` says how.
   *
   * @returns what `mutator` gave; it rejects with what `mutator` threw.
   */
  // biome-ignore lint/suspicious/noExplicitAny: nothing but the caller says what the data of a key is
  async mutate<T = any, Input = unknown, Result = unknown>(
    key: string,
    input: Input,
    mutator: (input: Input) => Result | PromiseLike<Result>,
    options: MutateOptions<T, Input, Result> = {},
  ): Promise<Result> {
    this.#checkOpen();
    const { applyResult, invalidateKeys = [] } = options;
    const resource = this.holdings.get(checkName(key));
    invalidateKeys.forEach(checkName);
    // It is there with the first answer; a page that has none yet has nothing to show it on.
    const { loaded } = this.#around;
    const result = await (loaded?.mutated(resource, input, mutator, options) ?? mutator(input));
    if (!this.#isClosed) await this.invalidate([...(applyResult ? [] : [key]), ...invalidateKeys]);
    return result;
  }

  // ---- state --------------------------------------------------------------------------------------

  /** What is known of each server. */
  getServerStatus(): ServerStatus[] {
    return this.#around.transport.getServerStatus?.() ?? [];
  }

  getStats(): RealityStats {
    const { change: changes, sync: syncs, fetch: fetches, error: errors } = this.#counts;
    const subscribers = this.holdings.resources().flatMap((each) => [...each.subscribers]).length;
    return { keys: this.#keys().length, subscribers, changes, syncs, fetches, errors };
  }

  /** Be told of what the client does; the returned function ends this. */
  on<Name extends keyof RealityEvents>(
    name: Name,
    listener: (event: RealityEvents[Name]) => void,
  ): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener as Listener));
    return () => listeners.delete(listener as Listener);
  }

  /** Stop everything, for good; no callback is called any more. */
  destroy(): void {
    this.#isClosed = true;
    this.#around.keeper?.close();
    void this.#sharing?.then((each) => each?.close());
    this.#around.attention?.close();
    for (const each of this.holdings.shards) each.close();
  }

  // ---- inside -------------------------------------------------------------------------------------

  #checkOpen(): void {
    if (this.#isClosed) throw new RealityError("closed", "the client was destroyed");
  }

  /** The keys that are asked for. */
  #keys(): string[] {
    return this.holdings.shards.flatMap((each) => each.names());
  }

  async #later(): Promise<void> {
    const around = this.#around;
    try {
      around.loaded ??= await import("./later.ts");
      if (this.#isClosed) return;
      around.attention ??= new around.loaded.Attention(around, this.holdings);
      this.#sharing ??= around.loaded.share(around);
      around.sharing = await this.#sharing;
    } catch {
      // Without it the client is slower; see there.
    }
  }

  async #restore(storage: RealityStorage): Promise<void> {
    const { Keeper } = await import("./keeper.ts");
    this.#around.keeper = new Keeper(storage, this.holdings, this.#around.settings.servers);
    await this.#around.keeper.restore();
  }

  #emit<Name extends keyof RealityEvents>(name: Name, event: RealityEvents[Name]): void {
    if (this.#isClosed) return;
    this.#counts[name] += 1;
    if (this.#around.settings.debug) console.debug("reality:", name, event);
    for (const each of this.#listeners.get(name) ?? []) call(each, event);
  }
}

/** A client; `createReality` and `createRealityClient` are the same function. */
export function createReality(options?: RealityOptions): RealityClient {
  return new RealityClient(options);
}

/** A UUID; pages without TLS cannot make one, and take a random number, which tells clients apart as well. */
function newClientId(): string {
  return globalThis.crypto?.randomUUID?.() ?? `${Math.random()}`;
}
