// Optimistic updates of one key: a stack of pending mutations over the data last fetched. A fetch
// replaces the data, never the stack; a failure removes its own entry, wherever it stands, so that two
// mutations that overlap do not undo each other.

/** Makes the data that is shown of the data below it. */
export type Update = (data: unknown) => unknown;

/** One mutation in the stack. */
export interface Pending {
  readonly update: Update;
  /** It is done, and shows until a fetch begun after that brings its outcome. */
  isSettled: boolean;
}

export class MutationStack {
  readonly #pending = new Set<Pending>();
  /** Settled when the fetch under way began: its data has their outcome. */
  #covered: Pending[] = [];

  push(pending: Pending): void {
    this.#pending.add(pending);
  }

  remove(pending: Pending): void {
    this.#pending.delete(pending);
  }

  fetchStarted(): void {
    this.#covered = [...this.#pending].filter((each) => each.isSettled);
  }

  fetchSucceeded(): void {
    for (const each of this.#covered) this.#pending.delete(each);
  }

  /** The data with every pending mutation on top, the oldest first. */
  applied(data: unknown): unknown {
    let shown = data;
    for (const each of this.#pending) {
      try {
        shown = each.update(shown);
      } catch {
        // It does not fit data that was fetched since: what it did will be fetched, too.
      }
    }
    return shown;
  }
}
