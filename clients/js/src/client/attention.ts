// Whether anybody looks at the page: hidden pages hold no request, and those who come back ask at once.

import { type Environment, pageEnvironment, type Signal } from "./environment.ts";
import type { Holdings } from "./holdings.ts";
import type { Resource } from "./resource.ts";
import type { Surroundings } from "./surroundings.ts";
import type { KeyOptions } from "./types.ts";

// The least time between syncs on focus, and on reconnection.
const SELDOM_MS = 5_000;

export class Attention {
  readonly #around: Surroundings;
  readonly #holdings: Holdings;
  readonly #environment: Environment;
  readonly #syncedAt = { focus: -Infinity, reconnect: -Infinity };
  /** Listen no more. */
  readonly close: () => void;

  constructor(around: Surroundings, holdings: Holdings) {
    this.#around = around;
    this.#holdings = holdings;
    this.#environment = around.settings.environment ?? pageEnvironment;
    this.close = this.#environment.listen((signal) => this.#noticed(signal));
  }

  /** Whether requests may be held now. */
  mayHold(): boolean {
    return this.#around.settings.mode === "sse-compat" || this.#environment.isVisible();
  }

  #noticed(signal: Signal): void {
    const { keeper, transport, sharing } = this.#around;
    const { shards } = this.#holdings;
    if (signal === "hidden") {
      void keeper?.save();
      if (this.mayHold()) return;
      for (const each of shards) each.release();
      sharing?.seen(false);
      return;
    }
    const isOnline = signal === "online";
    const hint = isOnline ? "reconnect" : "focus";
    if (isOnline) transport.forgetFailures?.();
    // Whoever becomes visible has released its request, and asks before it holds one again.
    if (signal === "visible") sharing?.seen(true);
    else {
      const option = isOnline ? "refetchOnReconnect" : "refetchOnFocus";
      if (performance.now() - this.#syncedAt[hint] < SELDOM_MS) return;
      if (!this.#holdings.resources().some((each) => wants(each, option))) return;
    }
    this.#syncedAt[hint] = performance.now();
    for (const each of shards) each.hint(hint);
  }
}

/** Whether a subscriber of a key wants to know on this hint. */
function wants(
  { lastSyncAt, subscribers }: Resource,
  option: "refetchOnFocus" | "refetchOnReconnect",
): boolean {
  const ageMs = Date.now() - (lastSyncAt ?? 0);
  // A clock that was put back says nothing.
  const isOld = ({ staleTime = 0 }: KeyOptions) => ageMs >= staleTime || ageMs < 0;
  return [...subscribers].some(({ options }) => options[option] !== false && isOld(options));
}
