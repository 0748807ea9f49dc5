// The adapter for TanStack Start and other frameworks whose loaders hand data to the page.

import type { RealityClient } from "../client/client.ts";
import { dehydrate, hydrate } from "../client/hydration.ts";
import type { RealityPosition, RealityState } from "../client/types.ts";
import { Source, type SourceOptions } from "./source.ts";

/** What an adapter can be told. */
export interface TanStackAdapterOptions extends SourceOptions {
  /** The keys that `prefetch` asks for unless it is told others. */
  readonly keys?: readonly string[] | undefined;
}

/**
 * Prepares what a page is rendered from, and takes it over in the browser.
 *
 * In a loader, call `prefetch` BEFORE the data is read: the state then says "I know all that happened up
 * to here", and what changes while the data is read, or while the page travels, is fetched by the browser.
 * Taken after the data it would hide such a change for good.
 */
export class TanStackRealityAdapter {
  readonly keys: readonly string[];
  readonly #source: Source;

  /** @throws TypeError a server's URL is none. */
  constructor(options: TanStackAdapterOptions = {}) {
    this.keys = [...new Set(options.keys)];
    this.#source = new Source(options);
  }

  /**
   * The state to give to the page, by one question to the server. Call it before the data is read.
   *
   * @throws RealityError there is no server, it refused, or a key is malformed.
   */
  async prefetch(
    keys: readonly string[] = this.keys,
    { signal = new AbortController().signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<RealityPosition> {
    return this.#source.state(keys, signal);
  }

  /**
   * Say that the data of these keys and patterns changed. Call it after the write was committed.
   *
   * @returns the new versions, by key.
   * @throws RealityError there is no server, or it refused.
   */
  async invalidate(names: string | readonly string[]): Promise<Record<string, number>> {
    return this.#source.invalidate([names].flat() as string[]);
  }

  /**
   * Let a client take over what `prefetch` gave. Do so before the keys are subscribed to, and give their
   * data as `initialData`: then nothing is fetched that did not change.
   *
   * @throws RealityError a key is malformed.
   */
  hydrate(client: RealityClient, state: RealityState): void {
    hydrate(client, state);
  }

  /** What a client knows, with data; for `hydrate` of another one. As a rule it is one state. */
  dehydrate(client: RealityClient): RealityState[] {
    return dehydrate(client);
  }
}

/**
 * The same as `new TanStackRealityAdapter(options)`.
 *
 * @throws TypeError a server's URL is none.
 */
export function createRealityTanStackAdapter(
  options?: TanStackAdapterOptions,
): TanStackRealityAdapter {
  return new TanStackRealityAdapter(options);
}
