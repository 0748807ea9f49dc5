// Names in the order of their last touch: append, and walk from a position, both cheaply.
//
// An append-only log whose overtaken entries are skipped when read and dropped when they outnumber
// the live ones, so that it never holds more than about twice the live names.

const COMPACT_FROM = 64;

interface Logged {
  readonly position: number;
  readonly name: string;
}

/** Positions and names, oldest first. Positions never decrease from one append to the next. */
export class RecencyLog {
  readonly #isLive: (name: string, position: number) => boolean;
  #records: Logged[] = [];
  #live = 0;

  /** `isLive` tells whether `position` is still the name's last one. */
  constructor(isLive: (name: string, position: number) => boolean) {
    this.#isLive = isLive;
  }

  /** Record that `name` was last touched at `position`; `isNew` if it was not in the log. */
  append(name: string, position: number, isNew: boolean): void {
    this.#records.push({ position, name });
    if (isNew) this.#live++;
    if (this.#records.length > 2 * this.#live + COMPACT_FROM) this.#records = [...this.after(-1)];
  }

  /**
   * The names last touched after `position`, with their positions, oldest first.
   *
   * The log must not be appended to while the iterator is in use.
   */
  *after(position: number): Generator<Logged> {
    for (let index = this.#firstAfter(position); index < this.#records.length; index++) {
      const record = this.#records[index] as Logged;
      if (this.#isLive(record.name, record.position)) yield record;
    }
  }

  #firstAfter(position: number): number {
    let low = 0;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#records[middle] as Logged).position <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
