// A client as the transport of another: it answers with what the first one hears of. Loaded where a
// replacement was given a client.
//
// A client has one fetcher for each key. If a replacement subscribed with its own, other subscribers of
// the key would be given its body, or it their data. So it has a client of its own, which asks the other
// one instead of a server: no request is made, and every rule about fetching holds.

import type { RealityClient } from "../client/client.ts";
import type { ChangedNode, RealityTransport, SyncRequest, SyncResponse } from "../client/types.ts";

/** What a client knows, for another one. */
export class ThroughClient implements RealityTransport {
  readonly #client: RealityClient;
  readonly #held = new Map<string, () => void>();
  readonly #unlisten: readonly (() => void)[];
  readonly #looks = new Set<(error?: Error) => void>();
  /** Keys whose report was a reset, and which nobody was told of yet. */
  readonly #reset = new Set<string>();
  #isLost = false;

  constructor(client: RealityClient) {
    this.#client = client;
    this.#unlisten = [
      client.on("change", ({ key, reset }) => reset && this.#reset.add(key)),
      client.on("sync", () => this.#noticed()),
      client.on("error", ({ key, error }) => key === undefined && this.#noticed(error)),
    ];
  }

  /**
   * Answers once the other client was answered for these keys, and has news of them, however long that
   * takes: to wait costs nothing.
   */
  async sync(
    { known, hint, wait = 0 }: SyncRequest,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<SyncResponse> {
    const keys = Object.keys(known);
    for (const key of keys) {
      const hold = () => this.#client.subscribe(key, () => {});
      this.#held.set(key, this.#held.get(key) ?? hold());
    }
    // On all other hints the other client asks by itself.
    if (hint === "interaction" || hint === "mutation") await this.#client.syncKeys(keys, hint);
    await this.#until(() => this.#isAnswered(keys) && (!wait || this.#hasNews(known)), signal);
    return this.#answer(known);
  }

  /** Let go of the other client. */
  close(): void {
    for (const remove of [...this.#held.values(), ...this.#unlisten]) remove();
  }

  #noticed(error?: Error): void {
    // An outage is told of once: whoever asks while it goes on waits for its end.
    if (error && this.#isLost) return;
    this.#isLost = error !== undefined;
    for (const look of [...this.#looks]) look(error);
  }

  async #until(isDone: () => boolean, signal: AbortSignal): Promise<void> {
    let tidy = () => {};
    const done = new Promise<void>((resolve, reject) => {
      const look = (error?: Error) => {
        if (error) reject(error);
        else if (!this.#isLost && isDone()) resolve();
      };
      const giveUp = () => reject(signal.reason);
      tidy = () => {
        this.#looks.delete(look);
        signal.removeEventListener("abort", giveUp);
      };
      signal.addEventListener("abort", giveUp);
      this.#looks.add(look);
      look();
    });
    await done.finally(() => tidy());
  }

  #isAnswered(keys: readonly string[]): boolean {
    return keys.every((key) => (this.#client.getState(key)?.lastSyncAt ?? null) !== null);
  }

  #hasNews(known: SyncRequest["known"]): boolean {
    return Object.entries(known).some(([key, version]) => this.#nodeOf(key, version));
  }

  #answer(known: SyncRequest["known"]): SyncResponse {
    const nodes = Object.entries(known).map(([key, version]) => [key, this.#nodeOf(key, version)]);
    const changed = Object.fromEntries(nodes.filter(([, node]) => node));
    const reset = Object.keys(changed).filter((key) => this.#reset.delete(key)).length > 0;
    return { changed, reset, mesh: { peers: {}, serverVersion: 0 }, serverTime: Date.now() };
  }

  /** What there is to tell of a key; its hash would be that of other data. */
  #nodeOf(key: string, known: number): ChangedNode | undefined {
    const meta = this.#client.getState(key)?.meta;
    if (!meta || (meta.version === known && !this.#reset.has(key))) return undefined;
    return { version: meta.version, hash: "", deleted: meta.deleted };
  }
}
