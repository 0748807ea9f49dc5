// Keeps what a client knows over page loads: data, versions, what was due and the cursor, as one text.
// Loaded when a client has a `storage`.

import type { Holdings } from "./holdings.ts";
import { restore, save } from "./hydration.ts";
import type { RealityState, RealityStorage } from "./types.ts";

const NAME = "reality-sync";
const SAVE_MS = 1_000;
const RESTORE_MS_MAX = 1_000;

export class Keeper {
  readonly #storage: RealityStorage;
  readonly #holdings: Holdings;
  #clock: ReturnType<typeof setTimeout> | undefined;

  constructor(storage: RealityStorage, holdings: Holdings) {
    this.#storage = storage;
    this.#holdings = holdings;
  }

  /** Take over what was kept; what cannot be read counts for nothing. */
  async restore(): Promise<void> {
    try {
      // A storage that does not answer keeps nobody from asking.
      const late = new Promise<null>((resolve) => setTimeout(() => resolve(null), RESTORE_MS_MAX));
      const text = await Promise.race([this.#storage.getItem(NAME), late]);
      const states: RealityState[] = JSON.parse(text ?? "[]");
      for (const each of states) restore(this.#holdings, each);
    } catch (error) {
      warn(error);
    }
  }

  /** Something changed that is worth keeping: it is saved soon. */
  touched(): void {
    this.#clock ??= setTimeout(() => this.save(), SAVE_MS);
  }

  /** Save now, if anything has changed. */
  async save(): Promise<void> {
    if (this.#clock === undefined) return;
    clearTimeout(this.#clock);
    this.#clock = undefined;
    try {
      await this.#storage.setItem(NAME, JSON.stringify(save(this.#holdings)));
    } catch (error) {
      warn(error); // full, or forbidden
    }
  }
}

function warn(error: unknown): void {
  console.warn("reality: the storage cannot be used, so nothing is kept:", error);
}
