// What tabs have in common in a browser: channels and locks. Code is told apart by the tab that it was started in.

import { AsyncLocalStorage } from "node:async_hooks";
import type { Tab } from "./browser.ts";

const MESSAGE_MS = 2;
const LOCK_MS = 3;

/** The tab whose code runs. */
export const inside = new AsyncLocalStorage<Tab>();

/** BroadcastChannel: to all others of the same name, in order, a little later. */
export class Channel {
  readonly name: string;
  readonly tab: Tab;
  onmessage: ((event: { data: unknown }) => void) | null = null;

  constructor(name: string) {
    this.name = name;
    this.tab = inside.getStore() as Tab;
    this.tab.browser.channels.add(this);
  }

  postMessage(message: unknown): void {
    const { channels } = this.tab.browser;
    if (this.tab.isGone) return;
    if (!channels.has(this)) throw new DOMException("closed", "InvalidStateError");
    const data = structuredClone(message);
    const others = [...channels].filter((each) => each !== this && each.name === this.name);
    inside.exit(() =>
      setTimeout(() => {
        for (const each of others)
          each.tab.run(() => channels.has(each) && each.onmessage?.({ data }));
      }, MESSAGE_MS),
    );
  }

  close(): void {
    this.tab.browser.channels.delete(this);
  }
}

interface Ask {
  readonly name: string;
  readonly tab: Tab;
  readonly granted: () => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Exclusive Web Locks, after https://w3c.github.io/web-locks/. */
export class Locks {
  readonly #held = new Map<string, Ask>();
  #queue: Ask[] = [];

  request(
    name: string,
    { signal, steal = false }: { signal?: AbortSignal; steal?: boolean },
    callback: () => unknown,
  ): Promise<unknown> {
    const tab = inside.getStore() as Tab;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) throw signal.reason;
      const ask: Ask = { name, tab, granted: callback, resolve, reject };
      signal?.addEventListener("abort", () => {
        if (!this.#queue.includes(ask)) return;
        this.#queue = this.#queue.filter((each) => each !== ask);
        reject(signal.reason);
      });
      if (steal) {
        const robbed = this.#held.get(name);
        this.#held.delete(name);
        robbed?.tab.run(() => robbed.reject(new DOMException("stolen", "AbortError")));
        this.#queue.unshift(ask);
      } else this.#queue.push(ask);
      this.#process();
    });
  }

  async query(): Promise<{ held: { name: string }[] }> {
    return { held: [...this.#held.keys()].map((name) => ({ name })) };
  }

  holder(): Tab | undefined {
    return [...this.#held.values()][0]?.tab;
  }

  forget(tab: Tab): void {
    this.#queue = this.#queue.filter((each) => each.tab !== tab);
    for (const [name, each] of this.#held) if (each.tab === tab) this.#held.delete(name);
    this.#process();
  }

  #process(): void {
    for (const ask of [...this.#queue]) {
      if (this.#held.has(ask.name)) continue;
      this.#held.set(ask.name, ask);
      this.#queue = this.#queue.filter((each) => each !== ask);
      inside.exit(() => setTimeout(() => ask.tab.run(() => void this.#grant(ask)), LOCK_MS));
    }
  }

  async #grant(ask: Ask): Promise<void> {
    try {
      ask.resolve(await ask.granted());
    } catch (error) {
      ask.reject(error);
    }
    if (this.#held.get(ask.name) !== ask) return;
    this.#held.delete(ask.name);
    this.#process();
  }
}
