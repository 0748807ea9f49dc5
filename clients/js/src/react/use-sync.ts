// useSync and its variants: asking the servers when the application wants to.

import * as React from "react";
import type { RealityClient } from "../client/client.ts";
import type { Hint } from "../client/types.ts";
import { quiet, useRealityClient } from "./provider.ts";
import type { SyncResult } from "./types.ts";
import { useCalls } from "./use-mutation.ts";

type Asking = (client: RealityClient) => Promise<string[]>;

/**
 * Functions that ask the servers now. They reject if the servers refused, or none answered; nobody has to
 * look at that.
 *
 * @throws RealityError `no_provider`: there is no provider around the component.
 */
export function useSync(): SyncResult {
  const { mutate, isLoading } = useCalls((client, ask: Asking) => ask(client));
  return React.useMemo(
    () => ({
      syncAll: (hint) => mutate((client) => client.syncAll(hint)),
      syncKeys: (keys, hint) => mutate((client) => client.syncKeys(keys, hint)),
      isSyncing: isLoading,
    }),
    [mutate, isLoading],
  );
}

/**
 * A function that asks for keys when somebody does something: `onFocus={…}`, `onClick={…}`. It is the same
 * for every render with the same keys.
 *
 * @param options `throttle`: the least time between two requests, in milliseconds. Default 1,000.
 * @throws RealityError `no_provider`: there is no provider around the component.
 */
export function useSyncOnInteraction(
  keys: string | readonly string[],
  { throttle }: { readonly throttle?: number | undefined } = {},
): () => void {
  return useAsking(keys, "interaction", throttle);
}

/**
 * Asks for keys whenever the component is mounted, and when the keys are others.
 *
 * @throws RealityError `no_provider`: there is no provider around the component.
 */
export function useSyncOnMount(keys: string | readonly string[]): void {
  const ask = useAsking(keys, "mount");
  React.useEffect(ask, [ask]);
}

/** A function that asks for keys; it is throttled, because StrictMode mounts twice in one step. */
function useAsking(keys: string | readonly string[], hint: Hint, throttleMs = 1_000): () => void {
  const client = useRealityClient();
  const signature = JSON.stringify(keys);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the signature stands for the keys
  return React.useMemo(() => {
    let allowedAtMs = 0;
    return () => {
      if (performance.now() < allowedAtMs) return;
      allowedAtMs = performance.now() + throttleMs;
      void quiet(client.syncKeys(keys, hint));
    };
  }, [client, signature, hint, throttleMs]);
}
