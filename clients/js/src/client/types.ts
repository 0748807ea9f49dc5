// What applications see: options, states, fetchers and the ports they may fill.

import type { Status } from "../core/freshness.ts";
import type { ChangedNode, Hint, Mode, SyncRequest, SyncResponse } from "../core/messages.ts";
import type { ServerStatus } from "../core/servers.ts";
import type { Environment } from "./environment.ts";

export type ExecutionMode = "auto" | "client" | "ssr-embedded" | "server-external";

/**
 * `"auto"` holds a request while something is subscribed and the page is visible, so that changes arrive
 * at once; `"poll"` asks every `interval`; `false` asks on hints only: a new key, focus, reconnection,
 * `syncKeys`, `syncAll`.
 */
export type Live = "auto" | "poll" | false;

/** A key's metadata, as last reported by a server. */
export interface RealityNodeMeta {
  readonly key: string;
  readonly version: number;
  /** "" if unknown. */
  readonly hash: string;
  /** The server's clock when it reported this version, in milliseconds since the epoch. */
  readonly updatedAt: number;
  /** Whether the last touch was a deletion. */
  readonly deleted: boolean;
}

/** A snapshot of a key: its data and how fresh it is. */
export interface RealityNodeState<T = unknown> {
  readonly key: string;
  /** What the fetcher gave last, with pending optimistic updates on top; the same object while it is equal. */
  readonly data: T | undefined;
  /** Null before the first answer. */
  readonly meta: RealityNodeMeta | null;
  /**
   * idle: fresh; loading: the first data is on its way; syncing: newer data is; stale: a fetch is due;
   * error: the last fetch, or the last sync, failed. Data stays in all of them.
   */
  readonly status: Status;
  readonly error: Error | null;
  readonly isLoading: boolean;
  readonly isSyncing: boolean;
  /** Whether the data is known not to be the newest, or that cannot be told. */
  readonly isStale: boolean;
  /** When a server had last answered for this key, in milliseconds since the epoch. */
  readonly lastSyncAt: number | null;
}

/** Gets the data of a key from the application's own API; the signal ends it when nobody waits any more. */
export type Fetcher<T = unknown> = (
  key: string,
  meta: RealityNodeMeta | null,
  context: { readonly signal: AbortSignal },
) => T | PromiseLike<T>;

/** A validator after https://standardschema.dev: zod, valibot, arktype and others. */
export interface StandardSchema<T = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<T> | Promise<SchemaResult<T>>;
  };
}

type SchemaResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What a subscriber wants of a key. */
export interface KeyOptions<T = unknown> {
  /** A key has one fetcher at a time: that of the subscriber that came first; else the client's. */
  readonly fetcher?: Fetcher<unknown> | undefined;
  /** What the data is before the first fetch. It never counts as fetched. */
  readonly fallback?: T | undefined;
  /** The data of the version that the client was hydrated with: it need not be fetched again. */
  readonly initialData?: T | undefined;
  /** Checks what the fetcher gave; what it returns is the data. */
  readonly schema?: StandardSchema<unknown> | undefined;
  /** Makes the data of what the fetcher gave, after `schema`. */
  readonly transform?: ((data: never) => T) | undefined;
  /** For how long after a sync focus and reconnection do not ask again, in milliseconds. Default 0. */
  readonly staleTime?: number | undefined;
  /** Whether to ask when the page is focused. Default true. */
  readonly refetchOnFocus?: boolean | undefined;
  /** Whether to ask when the network comes back. Default true. */
  readonly refetchOnReconnect?: boolean | undefined;
}

/** How one mutation is shown. */
export interface MutateOptions<T = unknown, Input = unknown, Result = unknown> {
  /** What the data is until the mutation is done and fetched. Called again whenever data is fetched meanwhile. */
  readonly optimisticUpdate?: ((current: T | undefined, input: Input) => T) | undefined;
  /** Whether a failure takes the optimistic update back at once, not with the next fetch. Default true. */
  readonly rollbackOnError?: boolean | undefined;
  /** Makes the new data of the result, so that the key need not be fetched for it. */
  readonly applyResult?: ((current: T | undefined, result: Result) => T) | undefined;
  /** Keys and patterns to fetch anew, beside the mutation's own key. */
  readonly invalidateKeys?: readonly string[] | undefined;
}

/** Where a client's metadata comes from: HTTP, a server in this process, or what the application likes. */
export interface RealityTransport {
  /**
   * Ask what changed. A request with `wait` may be held for so many milliseconds. `retryAfterMs` says
   * how long to leave the server alone.
   */
  sync(
    request: SyncRequest,
    context: { readonly signal: AbortSignal },
  ): Promise<SyncResponse & { readonly retryAfterMs?: number }>;
  /** Say that keys changed; the new versions by key. */
  invalidate?(names: readonly string[]): Promise<Record<string, number>>;
  getServerStatus?(): ServerStatus[];
  /** The network came back: whatever failed before may work again. */
  forgetFailures?(): void;
}

/** Where state is kept over page loads: `localStorage`, or anything of that shape, async or not. */
export interface RealityStorage {
  getItem(name: string): string | null | PromiseLike<string | null>;
  setItem(name: string, value: string): unknown;
}

/** What a client knows of some keys, as one whole: the cursor is worth nothing without the rest. */
export interface RealityState {
  /** The position that was taken before the data was read; without it nothing is proven fresh. */
  readonly cursor?: string | undefined;
  readonly nodes: Readonly<Record<string, SavedNode>>;
}

/** A `RealityState` without data: what a server knew before the data was read. */
export interface RealityPosition {
  readonly cursor?: string | undefined;
  readonly nodes: Readonly<Record<string, Omit<SavedNode, "data">>>;
}

/** One key of a `RealityState`. */
export interface SavedNode {
  readonly version: number;
  readonly hash?: string | undefined;
  readonly updatedAt?: number | undefined;
  readonly deleted?: boolean | undefined;
  readonly data?: unknown;
  /** Whether a fetch was due. */
  readonly isStale?: boolean | undefined;
}

/** Everything a client can be told; all of it has a default. */
export interface RealityOptions {
  /** URLs of servers; without a path, `/reality` is appended. Default: `/reality` of this page's host. */
  readonly servers?: string | readonly string[] | undefined;
  /** `native`; `sse-compat` holds requests in hidden pages too; `polling-compat` polls. */
  readonly mode?: Mode | undefined;
  /** `auto`: the embedded server of this process if there is one, else HTTP. */
  readonly executionMode?: ExecutionMode | undefined;
  /** 1 to 128 characters that tell clients apart. Default: a UUID. */
  readonly clientId?: string | undefined;
  /** Versions already known, by key. */
  readonly initialKnown?: Readonly<Record<string, number>> | undefined;
  /** For an answer, beyond the wait, in milliseconds. Default 10,000. */
  readonly timeout?: number | undefined;
  /** How often a failed request is repeated before the failure is reported. Default 3. */
  readonly maxRetries?: number | undefined;
  /** The first back-off, in milliseconds; it doubles, with full jitter. Default 100. */
  readonly retryBaseDelay?: number | undefined;
  /** For how long a server that failed three times is left alone, in milliseconds. Default 30,000. */
  readonly blacklistDuration?: number | undefined;
  /** Write every event to the console. */
  readonly debug?: boolean | undefined;
  readonly live?: Live | undefined;
  /** How long a request may be held, in milliseconds. Default 25,000. */
  readonly wait?: number | undefined;
  /** Between requests where none is held, in milliseconds. Default 5,000. */
  readonly interval?: number | undefined;
  /** How long a fetcher may take, in milliseconds. Default 60,000. */
  readonly fetchTimeout?: number | undefined;
  /** How many fetchers run at the same time. Default 16. */
  readonly maxFetches?: number | undefined;
  /** The fetcher of keys whose subscribers have none. */
  readonly fetcher?: Fetcher<unknown> | undefined;
  /** The credential for `invalidate(…, { remote: true })`. Sent to `servers` only. */
  readonly token?: string | undefined;
  /** Headers of every request to a server, also to discovered ones. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** As in `fetch`; default `same-origin`. */
  readonly credentials?: "omit" | "same-origin" | "include" | undefined;
  /** In place of the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Also ask servers that `servers` name as their peers, when the one asked fails. Default true. */
  readonly discover?: boolean | undefined;
  /** In place of HTTP. */
  readonly transport?: RealityTransport | undefined;
  /** Keep data, versions and cursor over page loads. */
  readonly storage?: RealityStorage | undefined;
  /** Share one held request with the other tabs of this browser. Default true, but false with a `fetch`. */
  readonly tabs?: boolean | undefined;
  /** Whether anybody looks, and when the network comes back. Default: the page's events; see `appEnvironment`. */
  readonly environment?: Environment | undefined;
}

/** What a client tells of its work, by the name of the event. */
export interface RealityEvents {
  /** A server reported a key as changed. */
  change: {
    readonly key: string;
    readonly meta: RealityNodeMeta;
    readonly reset: boolean;
    /** Over how long the server wants refetches to be spread. */
    readonly spreadMs: number;
  };
  /** A server answered. */
  sync: {
    readonly keys: number;
    readonly changed: number;
    readonly hint: Hint;
    readonly waitMs: number;
    readonly tookMs: number;
    readonly reset: boolean;
  };
  /** A fetcher gave data. */
  fetch: { readonly key: string; readonly tookMs: number };
  /** A fetcher failed (with `key`), or no server answered. */
  error: { readonly error: Error; readonly key?: string };
}

/** What a client has done so far, and holds. */
export interface RealityStats {
  /** Keys asked for. */
  readonly keys: number;
  readonly subscribers: number;
  /** Answers of servers. */
  readonly syncs: number;
  /** Changes that servers reported. */
  readonly changes: number;
  /** Fetches that brought data. */
  readonly fetches: number;
  /** Fetches that failed, and syncs that no server answered. */
  readonly errors: number;
}

export type { ChangedNode, Hint, Mode, ServerStatus, Status, SyncRequest, SyncResponse };
