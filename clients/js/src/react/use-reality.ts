// useReality and its variants: the data of keys, kept fresh.

import * as React from "react";
import type { RealityClient } from "../client/client.ts";
import type { KeyOptions, RealityNodeState } from "../client/types.ts";
import { isSame } from "../core/equality.ts";
import { quiet, useLatest, useScope } from "./provider.ts";
import type {
  DataAtOnce,
  HookKey,
  PlainOptions,
  RealityResult,
  TransformingOptions,
  UseRealityOptions,
} from "./types.ts";

/**
 * The data of a key, kept fresh. Components that use the same key share its data and one fetch.
 *
 * @param key nothing is asked while it is empty, null, undefined or false.
 * @throws RealityError `no_provider`: there is no provider around the component.
 * @throws RealityError `invalid_key` and others: the key is malformed.
 */
export function useReality<T>(
  key: HookKey,
  options: PlainOptions<T> & DataAtOnce<T>,
): RealityResult<T, T>;
export function useReality<T>(
  key: HookKey,
  options: TransformingOptions<T> & DataAtOnce<T>,
): RealityResult<T, T>;
export function useReality<T = unknown>(key: HookKey, options?: PlainOptions<T>): RealityResult<T>;
export function useReality<T>(key: HookKey, options: TransformingOptions<T>): RealityResult<T>;
export function useReality<T>(key: HookKey, options: UseRealityOptions<T>): RealityResult<T>;
export function useReality(key: HookKey, options?: KeyOptions): RealityResult<unknown> {
  return useResults([{ ...options, key }])[0] as Result;
}

/** A key with options of its own. */
export type KeyWithOptions<T> = UseRealityOptions<T> & { readonly key: HookKey };

/**
 * The data of several keys, kept fresh: how many there are may change with every render.
 *
 * @param options for all of them; a key may come with its own.
 * @returns the results in the order of the keys; the same array until one of them changes.
 */
export function useRealityMultiple<T = unknown>(
  keys: readonly (HookKey | KeyWithOptions<T>)[],
  options?: UseRealityOptions<T>,
): readonly RealityResult<T>[] {
  const wishes = keys.map((each) => {
    return { ...options, ...(each && typeof each === "object" ? each : { key: each }) } as Wish;
  });
  return useResults(wishes) as readonly RealityResult<T>[];
}

/**
 * The data of a key, kept fresh; until the first data is there the component is suspended, and if the
 * first fetch fails its error goes to the error boundary, which may be reset to try again. Later failures
 * are in `error`, beside the data.
 *
 * @throws RealityError `no_provider`: there is no provider around the component.
 */
export function useRealitySuspense<T = unknown>(
  key: string,
  options?: Omit<PlainOptions<T>, "fallback">,
): RealityResult<T, T>;
export function useRealitySuspense<T = unknown>(
  key: string,
  options: Omit<TransformingOptions<T>, "fallback">,
): RealityResult<T, T>;
export function useRealitySuspense(
  key: string,
  options?: KeyOptions,
): RealityResult<unknown, unknown> {
  const { client, arrivals } = useScope();
  const result = useReality(key, options as PlainOptions<unknown>);
  // Idle without data: it is a key that nothing is fetched for.
  if (result.data !== undefined || result.status === "idle") return result;
  if (!arrivals.has(key)) {
    // Subscribed until the first fetch has come to an end.
    const stops: (() => void)[] = [];
    const arrival = new Promise<void>((resolve, reject) => {
      const told = ({ data, status }: RealityNodeState) => {
        if (data !== undefined || status === "idle") resolve();
      };
      stops.push(
        client.subscribe(key, told, options),
        client.on("error", (event) => {
          if (event.key === key) reject(event.error);
        }),
      );
    });
    const over = arrival
      .catch((error) => arrivals.set(key, error))
      .finally(() => {
        for (const stop of stops) stop();
        // An error is remembered for some milliseconds: React renders what threw once more before it
        // gives up. After that an error boundary that is reset makes it be fetched again.
        setTimeout(() => arrivals.delete(key), 250);
      });
    arrivals.set(key, over);
  }
  // Not through `use`, which would have to be called again for every render that this one goes on as.
  throw arrivals.get(key);
}

/** A key and its options, as a hook was called with them. */
type Wish = KeyOptions & { readonly key: HookKey };
type Result = RealityResult<unknown>;
type Results = readonly Result[];
type Blank = Omit<Result, "data" | "status" | "isLoading">;

/** What a result has while nothing is known of its key. */
function blankOf(client: RealityClient, key: HookKey): Blank {
  const keys = key ? [key] : [];
  return {
    key,
    meta: null,
    error: null,
    isSyncing: false,
    isStale: false,
    lastSyncAt: null,
    sync: (hint) => quiet(client.syncKeys(keys, hint)),
    invalidate: () => client.invalidate(keys),
  };
}

/** The results of several keys: the same array until one changes, of which only that is another object. */
function useResults(wishes: readonly Wish[]): Results {
  const { client, rendered } = useScope();
  const latest = useLatest(wishes);
  const before = React.useRef<Results>([]);
  // A fetcher where there was none is reason to subscribe anew.
  const signature = JSON.stringify(wishes.map(({ key, fetcher }) => [key, !fetcher]));
  // biome-ignore lint/correctness/useExhaustiveDependencies: the signature stands for the wishes
  const [blanks, subscribe] = React.useMemo(
    () =>
      [
        wishes.map(({ key }) => blankOf(client, key)),
        (changed: () => void) => {
          const stops = wishes.map(({ key }, index) => {
            // The client reads options when it needs them: it is to find the latest ones.
            const get = (_: KeyOptions, name: keyof KeyOptions) => latest.current[index]?.[name];
            return key ? client.subscribe(key, changed, new Proxy({}, { get })) : () => {};
          });
          return () => {
            for (const stop of stops) stop();
          };
        },
      ] as const,
    [client, signature],
  );
  const read = (rendered?: RealityClient): Results => {
    const results = wishes.map((wish, index) => {
      const { key, fallback, initialData, initialData: first = fallback } = wish;
      // Nothing is known of what is no key.
      const early = rendered?.getState(key as string);
      const known = early?.data === undefined ? client.getState(key as string) : early;
      // As it will be once the client has the options, which is with the subscription.
      const empty = key && initialData === undefined ? "loading" : "idle";
      const { data = first } = known ?? {};
      const status = !known || known.isLoading ? empty : known.status;
      return kept<Result>(before.current[index], {
        ...(blanks[index] as Blank),
        ...known,
        data,
        status,
        isLoading: status === "loading",
      });
    });
    before.current = kept<Results>(before.current, results);
    return before.current;
  };
  return React.useSyncExternalStore(subscribe, read, () => read(rendered));
}

/** The value before if it is equal: for whoever compares objects nothing has changed then. */
function kept<T>(before: unknown, value: T): T {
  return isSame(before, value) ? (before as T) : value;
}
