// Which positions of a store's origin are known to belong to one history.
//
// Their tags tell the history of a store from that of its restored backup or its clone.

import type { Position } from "./cursor.ts";

const POSITIONS_KEPT = 256;
/** How many of them travel with a delta. */
const POSITIONS_TOLD = 64;

/** Positions of one durable origin, the newest `POSITIONS_KEPT`. */
export class History {
  #positions: readonly Position[] = [];

  /** These belong to the same history as those that are known. */
  remember(positions: Iterable<Position>): void {
    const bySequence = new Map(this.#positions.map((each) => [each.sequence, each]));
    for (const position of positions) {
      if (position.sequence) bySequence.set(position.sequence, position);
    }
    const sorted = [...bySequence.values()].sort((left, right) => left.sequence - right.sequence);
    this.#positions = sorted.slice(-POSITIONS_KEPT);
  }

  /** The newest positions, for others. */
  told(): readonly Position[] {
    return this.#positions.slice(-POSITIONS_TOLD);
  }
}
