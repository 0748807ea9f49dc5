// What the hooks take and give.

import type {
  Fetcher,
  Hint,
  KeyOptions,
  MutateOptions,
  RealityNodeState,
  StandardSchema,
} from "../client/types.ts";

/** A key; nothing is asked for one that is empty, null, undefined or false. */
export type HookKey = string | null | undefined | false;

/** What `useReality` takes where the fetcher gives the data as it is. */
export interface PlainOptions<T> extends Omit<KeyOptions<T>, "fetcher" | "schema" | "transform"> {
  readonly fetcher?: Fetcher<T> | undefined;
  readonly schema?: undefined;
  readonly transform?: undefined;
}

/** What `useReality` takes where something makes the data of what the fetcher gives. */
export type TransformingOptions<T> = KeyOptions<T> &
  (
    | { readonly transform: (data: never) => T }
    | { readonly schema: StandardSchema<T>; readonly transform?: undefined }
  );

/**
 * What `useReality` takes. Functions and objects may be made anew for every render: the latest ones are
 * used when they are needed, and nothing is fetched again because of them.
 */
export type UseRealityOptions<T> = PlainOptions<T> | TransformingOptions<T>;

/** With one of these there always is data. */
export type DataAtOnce<T> = { readonly fallback: T } | { readonly initialData: T };

/** The state of a key, and what can be done with it. The same object until something of it changes. */
export interface RealityResult<T, Data = T | undefined>
  extends Omit<RealityNodeState<T>, "data" | "key"> {
  readonly key: HookKey;
  /** The data of this key, never that of the key before; see `RealityNodeState`. */
  readonly data: Data;
  /**
   * Ask the servers now.
   *
   * @returns the keys that were reported as changed; it rejects if the servers refused, or none answered. Nobody
   *   has to look at that.
   */
  readonly sync: (hint?: Hint) => Promise<string[]>;
  /** Fetch the data again, without asking the servers first. */
  readonly invalidate: () => Promise<Record<string, number>>;
}

/** What `useMutation` takes: how it is shown, and whom to tell. */
export interface UseMutationOptions<Result, Input, Data>
  extends MutateOptions<Data, Input, Result> {
  readonly onSuccess?: ((result: Result, input: Input) => void) | undefined;
  readonly onError?: ((error: Error, input: Input) => void) | undefined;
  /** After either of the others. */
  readonly onSettled?:
    | ((result: Result | undefined, error: Error | null, input: Input) => void)
    | undefined;
}

/** What `useMutationWithInvalidation` takes. */
export type UseInvalidationOptions<Result, Input> = Pick<
  UseMutationOptions<Result, Input, unknown>,
  "onSuccess" | "onError" | "onSettled"
>;

/** A mutation, and how its last call goes. */
export interface MutationResult<Result, Input> {
  /**
   * Begin it. The function is the same for every render.
   *
   * @returns what the mutator gives; it rejects with what the mutator throws. Nobody has to look at
   *   that: the same is in `error`.
   */
  readonly mutate: (input: Input) => Promise<Result>;
  /** What the last call gave. */
  readonly data: Result | undefined;
  readonly isLoading: boolean;
  /** Why the last call failed. */
  readonly error: Error | null;
  /** Forget the last call: its data, its error, and its end if it is under way. */
  readonly reset: () => void;
}

/** What `useSync` gives. */
export interface SyncResult {
  /** Ask for every key that is subscribed to. */
  readonly syncAll: (hint?: Hint) => Promise<string[]>;
  /** Ask for these keys. */
  readonly syncKeys: (keys: string | readonly string[], hint?: Hint) => Promise<string[]>;
  /** Whether a call of either is under way. */
  readonly isSyncing: boolean;
}
