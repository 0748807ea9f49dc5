// Keeps what a client knows over page loads: data, versions, what was due and the cursor, as one text.
// Loaded when a client has a `storage`.

import type { Holdings } from "./holdings.ts";
import { restore, save } from "./hydration.ts";
import type { RealityOptions, RealityState, RealityStorage } from "./types.ts";

const SAVE_MS = 1_000;
const RESTORE_MS_MAX = 1_000;

export class Keeper {
  readonly #storage: RealityStorage;
  readonly #holdings: Holdings;
  readonly #name: string;
  #isClosed = false;
  #clock: ReturnType<typeof setTimeout> | undefined;

  /** @param servers tells apart what clients of other servers keep in the same storage. */
  constructor(storage: RealityStorage, holdings: Holdings, servers: RealityOptions["servers"]) {
    this.#name = ["reality-sync", servers ?? []].flat(2).join(" ");
    this.#storage = storage;
    this.#holdings = holdings;
  }

  /** Take over what was kept; what cannot be read counts for nothing. */
  async restore(): Promise<void> {
    try {
      // A storage that does not answer keeps nobody from asking.
      const late = new Promise<null>((resolve) => setTimeout(() => resolve(null), RESTORE_MS_MAX));
      const text = await Promise.race([this.#storage.getItem(this.#name), late]);
      const states: RealityState[] = JSON.parse(text ?? "[]");
      for (const each of states) restore(this.#holdings, each);
    } catch (error) {
      warn(error);
    }
  }

  /** Save what there is to save, and then nothing any more. */
  close(): void {
    void this.save();
    this.#isClosed = true;
  }

  /** Something changed that is worth keeping: it is saved soon. */
  touched(): void {
    if (!this.#isClosed) this.#clock ??= setTimeout(() => this.save(), SAVE_MS);
  }

  /** Save now, if anything has changed. */
  async save(): Promise<void> {
    if (this.#clock === undefined) return;
    clearTimeout(this.#clock);
    this.#clock = undefined;
    try {
      await this.#storage.setItem(this.#name, JSON.stringify(save(this.#holdings)));
    } catch (error) {
      warn(error); // full, or forbidden
    }
  }
}

function warn(error: unknown): void {
  console.warn("reality: the storage cannot be used, so nothing is kept:", error);
}
