// What all parts of one client share: its settings, its transport, and what is loaded when it is needed.

import { fullJitter } from "../core/backoff.ts";
import type { Attention } from "./attention.ts";
import type { Keeper } from "./keeper.ts";
import type { Slots } from "./slots.ts";
import type { Fetcher, RealityEvents, RealityOptions, RealityTransport } from "./types.ts";

const BACKOFF_MS_MAX = 30_000;

/** How long a request may be held, in milliseconds, where no option says it. */
export const WAIT_MS = 25_000;

export interface Surroundings {
  readonly settings: RealityOptions;
  readonly clientId: string;
  readonly transport: RealityTransport;
  readonly slots: Slots;
  readonly emit: <Name extends keyof RealityEvents>(name: Name, event: RealityEvents[Name]) => void;
  /** Load the second half of the client; without a network that may not work now. */
  readonly later: () => Promise<void>;
  loaded?: typeof import("./later.ts");
  attention?: Attention;
  /** The fetcher of keys whose subscribers have none. */
  fetcher?: Fetcher | undefined;
  /** Resolves once saved state is restored: before that nothing is asked. */
  ready?: Promise<void>;
  keeper?: Keeper;
  /** Once a server has announced a hash. */
  createHash?: (data: unknown) => string;
  /** The tabs of this browser that share one held request, once they do. */
  sharing?: Sharing | undefined;
}

/** How held requests are shared with other tabs. */
export interface Sharing {
  /** Asks as the client's own transport does, but has requests held for all tabs. */
  readonly transport: RealityTransport;
  /** Somebody looks at this page from now on, or nobody does. */
  seen(isSeen: boolean): void;
  close(): void;
}

/** The delay before another try, after so many failures in a row before this one. */
export function backoffMs(failures: number, { retryBaseDelay = 100 }: RealityOptions): number {
  return fullJitter(failures, retryBaseDelay, BACKOFF_MS_MAX, Math.random());
}
