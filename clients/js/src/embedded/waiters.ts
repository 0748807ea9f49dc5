// Which held syncs a touch concerns.
//
// A waiter is filed under each key it asked for and under each pattern above those keys, so finding
// the waiters of a touched name is one look-up, and an invalidation costs what it concerns.

import { ancestors } from "./patterns.ts";

/** The names whose touch concerns an asker of these keys. */
export function concerns(keys: Iterable<string>): ReadonlySet<string> {
  const names = new Set<string>();
  for (const key of keys) {
    names.add(key);
    for (const pattern of ancestors(key)) names.add(pattern);
  }
  return names;
}

/** Waiters by the names that concern them, in the order in which they came. */
export class WaiterIndex<Waiter> {
  readonly #byName = new Map<string, Set<Waiter>>();

  /** How many names at least one waiter is filed under. */
  get size(): number {
    return this.#byName.size;
  }

  /** File a waiter under names. */
  add(waiter: Waiter, names: Iterable<string>): void {
    for (const name of names) {
      const waiters = this.#byName.get(name) ?? new Set();
      this.#byName.set(name, waiters.add(waiter));
    }
  }

  /** Forget a waiter; `names` are those it was filed under. */
  discard(waiter: Waiter, names: Iterable<string>): void {
    for (const name of names) {
      const waiters = this.#byName.get(name);
      waiters?.delete(waiter);
      if (waiters?.size === 0) this.#byName.delete(name);
    }
  }

  /** The waiters that a touch of these names concerns, each once. */
  concerned(touched: Iterable<string>): ReadonlySet<Waiter> {
    const found = new Set<Waiter>();
    for (const name of touched) {
      for (const waiter of this.#byName.get(name) ?? []) found.add(waiter);
    }
    return found;
  }
}
