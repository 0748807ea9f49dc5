// Asks for news when somebody does something on the page.

import type { Hint } from "../client/types.ts";

/** What asks: a client, or a polling adapter. */
export type Interactive =
  | { syncAll(hint?: Hint): Promise<unknown> }
  | { sync(hint?: Hint): Promise<unknown> };

/** What counts as an interaction. */
export interface InteractionSyncOptions {
  /** Where to listen. Default: the page. */
  readonly target?: EventTarget | undefined;
  /** The types of events. Default: `pointerdown` and `keydown`. */
  readonly events?: readonly string[] | undefined;
  /** Ask no more often than this, in milliseconds. Default 1,000. */
  readonly throttle?: number | undefined;
}

/**
 * Let a client ask for all of its keys, or an adapter for its own, on every interaction with the
 * page. That it failed is not told here: it is asked again with the next interaction, or by itself.
 *
 * @returns the function that ends this; calling it again is harmless.
 */
export function withInteractionSync(
  asked: Interactive,
  {
    target = globalThis.document,
    events = ["pointerdown", "keydown"],
    throttle: throttleMs = 1_000,
  }: InteractionSyncOptions = {},
): () => void {
  const ending = new AbortController();
  let askedAt = -Infinity;
  const listener = () => {
    if (performance.now() - askedAt < throttleMs) return;
    askedAt = performance.now();
    const asking = "sync" in asked ? asked.sync("interaction") : asked.syncAll("interaction");
    asking.catch(() => {});
  };
  for (const name of events) {
    // Also what a listener of the page keeps from bubbling is an interaction.
    target?.addEventListener(name, listener, {
      capture: true,
      passive: true,
      signal: ending.signal,
    });
  }
  return () => ending.abort();
}
