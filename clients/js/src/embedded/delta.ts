// What servers tell each other about one origin: deltas, in pages, and how pages become whole.
//
// A delta for an origin is everything of that origin in `(since, upto]`. It may be sent in pages,
// each walking on in sequence order from where the last one ended, until it reaches the sender's
// digest. Nothing of it counts before its last page: an entry that was touched again while the pages
// were read has moved to a later page, so only the whole is *all* of the origin up to there.

import type { Position } from "./cursor.ts";

/** One name as one origin knows it. */
export interface Touched {
  /** Key or pattern. */
  readonly name: string;
  /** The last batch of the origin that touched it. */
  readonly sequence: number;
  /** How many batches of the origin have touched it, from the first on. */
  readonly touches: number;
  /** Hash of the data as of that batch; "" is unknown. */
  readonly hash: string;
  /** Milliseconds since the epoch, for display only. */
  readonly updatedAt: number;
  /** Whether that batch deleted it. */
  readonly deleted: boolean;
}

/** One page of what an origin did after `since`. */
export interface Delta {
  /** Whose batches these are. */
  readonly origin: string;
  /** Own origin of the graph that the page was read from. */
  readonly sender: string;
  /** That graph's local apply position when the page was read. */
  readonly position: number;
  /** The sender's register, max-merged by the receiver. */
  readonly register: number;
  /** The receiver must hold exactly this position of the origin for the delta to apply. */
  readonly since: Position;
  /** After which sequence this page begins; equal to that of `since` on the first page. */
  readonly after: number;
  /** Where this page ends; on the last page the sender's digest. */
  readonly upto: Position;
  /** Whether this page ends the delta. */
  readonly last: boolean;
  /** In sequence order. */
  readonly touched: readonly Touched[];
  /** Positions of a durable origin that the sender knows to be on the way to `upto`. */
  readonly past: readonly Position[];
}

/**
 * What fits in one page, and the sequence at which it ends; null if that is all.
 *
 * @param touched - in sequence order.
 * @param namesMax - no batch is begun once the page has so many names.
 */
export function cutPage(
  touched: Iterable<Touched>,
  namesMax: number,
): { taken: readonly Touched[]; ends: number | null } {
  const taken: Touched[] = [];
  for (const each of touched) {
    const ends = taken.at(-1)?.sequence;
    if (taken.length >= namesMax && ends !== undefined && ends !== each.sequence) {
      return { taken, ends };
    }
    taken.push(each);
  }
  return { taken, ends: null };
}

/** The pages received so far of one delta of one origin. */
export class Assembly {
  #pages: Delta[] = [];

  /**
   * Take a page; the whole delta once its last page follows the others without a gap.
   *
   * A first page starts anew (its sender may be another than before); a page that does not continue
   * the ones held is dropped, and the receiver asks again from its digest. A page that is whole by
   * itself leaves the ones held alone.
   */
  add(page: Delta): Delta | null {
    if (page.after === page.since.sequence) {
      if (page.last) return page;
      this.#pages = [];
    } else if (!this.#isContinuedBy(page)) {
      this.#pages = [];
      return null;
    }
    this.#pages.push(page);
    if (!page.last) return null;
    const pages = this.#pages;
    this.#pages = [];
    return {
      ...page,
      after: page.since.sequence,
      register: Math.max(...pages.map((each) => each.register)),
      touched: pages.flatMap((each) => each.touched),
    };
  }

  #isContinuedBy(page: Delta): boolean {
    const previous = this.#pages.at(-1);
    return (
      previous !== undefined &&
      previous.since.sequence === page.since.sequence &&
      previous.since.tag === page.since.tag &&
      previous.upto.sequence === page.after &&
      // One walk through one graph, in order: an entry that has moved on in one graph may stand
      // elsewhere in another, or in an earlier reading of the same.
      previous.sender === page.sender &&
      previous.position <= page.position
    );
  }
}
