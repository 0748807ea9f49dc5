// Polling adapters: what an application uses that asked for its data every few seconds. Now it asks every
// few seconds whether anything changed, which is cheap, and gets its data when it did.

import type { Hint, RealityEvents, RealityNodeMeta, RealityNodeState } from "../client/types.ts";
import type { EndpointOptions } from "./options.ts";
import { type OwnClient, openClient } from "./own-client.ts";

interface CommonOptions extends EndpointOptions {
  /** Between two questions, in milliseconds. Default 5,000. */
  readonly interval?: number | undefined;
  /** It was asked, and an answer came. */
  readonly onSync?: ((event: RealityEvents["sync"]) => void) | undefined;
}

/** What one key's adapter can be told. */
export interface PollingAdapterOptions<T = unknown> extends CommonOptions {
  readonly key: string;
  /** Where the data of the key is: JSON, or else text. */
  readonly payloadEndpoint: string | URL;
  /** The data, once it is there and whenever it is no longer the same. */
  readonly onData?: ((data: T, meta: RealityNodeMeta | null) => void) | undefined;
  /** No server answered, or the payload could not be got. It is tried again by itself. */
  readonly onError?: ((error: Error) => void) | undefined;
}

/** What an adapter of several keys can be told. */
export interface BatchPollingAdapterOptions<T = unknown> extends CommonOptions {
  /** Where the data is, by key. */
  readonly payloadEndpoints: Readonly<Record<string, string | URL>>;
  readonly onData?: ((key: string, data: T, meta: RealityNodeMeta | null) => void) | undefined;
  /** No server answered, or the payload of the key could not be got. It is tried again by itself. */
  readonly onError?: ((error: Error, key: string | undefined) => void) | undefined;
}

/** Asks for keys in intervals, from `start` to `stop`. */
export interface PollingAdapter {
  readonly isRunning: boolean;
  /** Begin to ask; while it runs this does nothing. */
  start(): void;
  /** Ask no more; nothing is called after it, and `start` begins anew. */
  stop(): void;
  /**
   * Ask now, beside the interval; while it does not run this does nothing. Whatever changed comes as
   * `onData`, soon after.
   *
   * @throws RealityError no server answered.
   */
  sync(hint?: Hint): Promise<void>;
}

/** An adapter for one key. Nothing is asked before it is started. */
export function createPollingAdapter<T = unknown>({
  key,
  payloadEndpoint,
  onData,
  ...options
}: PollingAdapterOptions<T>): PollingAdapter {
  return createBatchPollingAdapter<T>({
    ...options,
    payloadEndpoints: { [key]: payloadEndpoint },
    onData: (_key, data, meta) => onData?.(data, meta),
  });
}

/** An adapter for several keys, which are asked for together. Nothing is asked before it is started. */
export function createBatchPollingAdapter<T = unknown>(
  batch: BatchPollingAdapterOptions<T>,
): PollingAdapter {
  const { payloadEndpoints, onData, onError, onSync, ...options } = batch;
  let running: OwnClient | undefined;
  return {
    get isRunning() {
      return running !== undefined;
    },
    start() {
      if (running) return;
      running = openClient(options, "polling-compat");
      const { client } = running;
      client.on("error", ({ error, key }) => onError?.(error, key));
      client.on("sync", (event) => onSync?.(event));
      for (const [key, url] of Object.entries(payloadEndpoints)) {
        let last: T | undefined;
        const told = ({ data, meta }: RealityNodeState<T>) => {
          if (data === undefined || data === last) return;
          last = data;
          onData?.(key, data, meta);
        };
        client.subscribe<T>(key, told, {
          fetcher: async (_key, _meta, { signal }) =>
            (await import("./body.ts")).getData({ ...options, url, signal }),
        });
      }
    },
    stop() {
      running?.close();
      running = undefined;
    },
    async sync(hint) {
      await running?.client.syncKeys(Object.keys(payloadEndpoints), hint);
    },
  };
}
