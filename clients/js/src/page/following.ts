// Being told that keys changed, without their data: what live elements and the page's events are made of.

import type { RealityClient } from "../client/client.ts";
import type { RealityEvents, RealityNodeMeta } from "../client/types.ts";

/** What a server reported of a key last; null if nothing was ever reported. */
export type Meta = RealityNodeMeta | null;

/** Why something happens: the key that changed, and what is known of it. */
export interface Cause {
  readonly key: string;
  readonly meta: Meta;
}

// How long whoever shows nothing yet waits for the first answer: what is fetched after it is known to be
// as new as the answer, and need not be fetched again because of it.
const FIRST_LOAD_MS = 150;

/** What is to be told of a key. */
export interface Told {
  /** What is shown of the key may be out of date. */
  readonly tell: (meta: Meta) => void;
  /** Whether the page already shows what was there at the beginning; absent: it shows nothing yet. */
  readonly isShown?: ((meta: Meta) => boolean) | undefined;
  /** From [0, 1): when within the time over which refetches are to be spread. Default: drawn each time. */
  readonly chance?: number | undefined;
}

/** Follows keys of one client. */
export class Following {
  readonly #client: RealityClient;
  /** How a version was reported, where it was not simply as a change. */
  readonly #reports = new WeakMap<RealityNodeMeta, RealityEvents["change"]>();

  constructor(client: RealityClient) {
    this.#client = client;
    client.on("change", (report) => {
      if (report.spreadMs) this.#reports.set(report.meta, report);
    });
  }

  /**
   * Call `tell` when a key changes, and once at the beginning, unless `isShown` says that the page shows
   * it as it is. Where servers want refetches to be spread, as after a reset, so are the calls.
   *
   * @returns the function that ends this.
   * @throws RealityError the key is malformed.
   */
  follow(key: string, { tell, isShown, chance }: Told): () => void {
    const before = this.#client.getState(key)?.meta ?? null;
    let latest: Meta = before;
    let seen: Meta | undefined; // undefined: nothing was told, nor shown
    const tellNow = () => {
      seen = latest;
      tell(latest);
    };
    let clock: ReturnType<typeof setTimeout> | undefined;
    const end = this.#client.subscribe(key, ({ meta, status }) => {
      latest = meta;
      const isUnanswered = status === "loading" && meta === before;
      if (isUnanswered || meta === seen) return;
      const isFirst = seen === undefined;
      const { reset = false, spreadMs = 0 } = (meta && this.#reports.get(meta)) ?? {};
      seen = meta;
      clearTimeout(clock);
      if (isFirst && !reset && isShown?.(meta)) return;
      const ms = isFirst && !isShown ? 0 : spreadMs * (chance ?? Math.random());
      if (ms) clock = setTimeout(tellNow, ms);
      else tellNow();
    });
    if (!isShown) clock = setTimeout(tellNow, FIRST_LOAD_MS);
    return () => {
      clearTimeout(clock);
      end();
    };
  }
}
