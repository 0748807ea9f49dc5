// Who touched what: per name and origin the last batch, and names in the order they were touched.
//
// The data structure under `graph.ts`; it knows nothing of versions, digests or clients.

import type { Touched } from "./delta.ts";
import { RecencyLog } from "./recency.ts";

/** One name in one origin; members as in {@link Touched}. */
export interface Entry {
  readonly name: string;
  readonly origin: string;
  readonly sequence: number;
  readonly touches: number;
  readonly hash: string;
  readonly updatedAt: number;
  readonly deleted: boolean;
  /** The local position it was applied at. */
  readonly applied: number;
  /** The same name in another origin, the one applied last first: mostly there is only one. */
  readonly sibling: Entry | undefined;
}

type Draft = { -readonly [Member in keyof Entry]: Entry[Member] };

/** All entries of one graph. */
export class Ledger {
  readonly #firstEntries = new Map<string, Draft>();
  readonly #byOrigin = new Map<string, RecencyLog>();
  readonly #byApplication = new RecencyLog((name, position) => {
    // The entry applied last comes first in its chain.
    return this.#firstEntries.get(name)?.applied === position;
  });
  #position: number;
  #touches = 0;

  /** `firstPosition` is the local position of the last application before this ledger. */
  constructor(firstPosition: number) {
    this.#position = firstPosition;
  }

  /** How many names are kept. */
  get size(): number {
    return this.#firstEntries.size;
  }

  /** The local position of the last application; grows by one a name. */
  get position(): number {
    return this.#position;
  }

  /** The touches of all names and origins together. */
  get touches(): number {
    return this.#touches;
  }

  /** Keep what is newer; two entries of one origin with the same sequence are the same. */
  put(origin: string, touched: Touched): void {
    const first = this.#firstEntries.get(touched.name);
    let before: Draft | undefined;
    let entry = first;
    while (entry !== undefined && entry.origin !== origin) {
      before = entry;
      entry = entry.sibling as Draft | undefined;
    }
    if (entry !== undefined && entry.sequence >= touched.sequence) return;
    if (before !== undefined && entry !== undefined) before.sibling = entry.sibling;
    const following = entry !== undefined && entry === first ? entry.sibling : first;
    const touchesBefore = entry?.touches ?? 0;
    // Fewer where this is another history of the origin: no version falls.
    const touches = Math.max(touched.touches, touchesBefore);
    this.#position += 1;
    this.#touches += touches - touchesBefore;
    // Who was applied last comes first.
    this.#firstEntries.set(touched.name, {
      ...touched,
      origin,
      touches,
      applied: this.#position,
      sibling: following,
    });
    this.#logOf(origin).append(touched.name, touched.sequence, entry === undefined);
    this.#byApplication.append(touched.name, this.#position, first === undefined);
  }

  /** What one origin did to a name. */
  entry(name: string, origin: string): Entry | undefined {
    let entry: Entry | undefined = this.#firstEntries.get(name);
    while (entry !== undefined && entry.origin !== origin) entry = entry.sibling;
    return entry;
  }

  /** What all origins did to these names; nothing, where nobody has touched one. */
  entries(names: Iterable<string>): Entry[] {
    const found: Entry[] = [];
    for (const name of names) {
      let entry: Entry | undefined = this.#firstEntries.get(name);
      for (; entry !== undefined; entry = entry.sibling) found.push(entry);
    }
    return found;
  }

  /** What an origin touched last after this sequence, in sequence order. */
  *touchedAfter(origin: string, sequence: number): Generator<Touched> {
    for (const { name } of this.#byOrigin.get(origin)?.after(sequence) ?? []) {
      const entry = this.entry(name, origin) as Entry;
      const { touches, hash, updatedAt, deleted } = entry;
      yield { name, sequence: entry.sequence, touches, hash, updatedAt, deleted };
    }
  }

  /** Positions and names last applied after this local position, oldest first. */
  appliedAfter(position: number): Iterable<{ readonly position: number; readonly name: string }> {
    return this.#byApplication.after(position);
  }

  #logOf(origin: string): RecencyLog {
    let log = this.#byOrigin.get(origin);
    if (log === undefined) {
      log = new RecencyLog((name, sequence) => this.entry(name, origin)?.sequence === sequence);
      this.#byOrigin.set(origin, log);
    }
    return log;
  }
}
