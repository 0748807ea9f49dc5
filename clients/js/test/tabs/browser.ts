// A browser with several tabs in one process: what Web Locks, BroadcastChannel and timers do there. A tab can be
// hidden, frozen, closed, or crash. All of them share the page's globals, and code is told apart by the tab that
// it was started in.

import { afterEach, beforeEach, vi } from "vitest";
import { RealityClient } from "../../src/client/client.ts";
import type { Environment, Signal } from "../../src/client/environment.ts";
import type { RealityOptions } from "../../src/client/types.ts";
import { EmbeddedRealityServer } from "../../src/embedded/index.ts";
import { passing } from "../client/support.ts";
import { served } from "../client/web.ts";
import { Channel, inside, Locks } from "./ports.ts";

// What clients load when they need it first is there from the start, so that loading takes no time.
import.meta.glob("../../src/{client,core,tabs}/*.ts", { eager: true });

const NETWORK_MS = 20;

/** One page: whatever happens to its code happens through `run`. */
export class Tab implements Environment {
  readonly browser: Browser;
  readonly client: RealityClient;
  /** How often data was fetched. */
  fetches = 0;
  isVisible = () => this.#isVisible;
  #isVisible = true;
  #isFrozen = false;
  isGone = false;
  #later: (() => void)[] = [];
  #tell: ((signal: Signal) => void) | undefined;
  readonly #leaves = new Map<string, () => void>();

  constructor(browser: Browser, options: RealityOptions) {
    this.browser = browser;
    this.client = inside.run(
      this,
      () =>
        new RealityClient({
          environment: this,
          executionMode: "client",
          fetch: (input, init) => browser.fetch(this, String(input), init ?? {}),
          tabs: true,
          ...options,
        }),
    );
  }

  /** Run code of this page: now, when it thaws, or never. */
  run(act: () => void): void {
    if (this.isGone) return;
    if (this.#isFrozen) this.#later.push(act);
    else inside.run(this, act);
  }

  listen(tell: (signal: Signal) => void): () => void {
    this.#tell = tell;
    return () => {
      this.#tell = undefined;
    };
  }

  get keys(): string[] {
    return [...this.#leaves.keys()];
  }

  subscribe(...keys: string[]): void {
    this.run(() => {
      for (const key of keys) {
        if (this.#leaves.has(key)) continue;
        const fetcher = () => this.#fetch(key);
        this.#leaves.set(
          key,
          this.client.subscribe(key, () => {}, { fetcher }),
        );
      }
    });
  }

  unsubscribe(key: string): void {
    this.run(() => {
      this.#leaves.get(key)?.();
      this.#leaves.delete(key);
    });
  }

  data(key: string): unknown {
    return this.client.getState(key)?.data;
  }

  hide(): void {
    if (!this.#isVisible) return;
    this.#isVisible = false;
    this.run(() => this.#tell?.("hidden"));
  }

  show(): void {
    if (this.#isVisible) return;
    this.#isVisible = true;
    this.run(() => this.#tell?.("visible"));
  }

  signal(signal: Signal): void {
    this.run(() => this.#tell?.(signal));
  }

  freeze(): void {
    this.#isFrozen = true;
  }

  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  thaw(): void {
    this.#isFrozen = false;
    for (const act of this.#later.splice(0)) this.run(act);
  }

  /** The page is gone, as it is when its renderer crashes or its tab is closed. */
  crash(): void {
    this.isGone = true;
    this.browser.forget(this);
  }

  /** The person goes elsewhere: pages are told that they are hidden first. */
  closeTab(): void {
    this.hide();
    this.crash();
  }

  #fetch(key: string): Promise<number> {
    this.fetches += 1;
    const data = this.browser.data.get(key) ?? 0;
    return new Promise((resolve) => setTimeout(() => resolve(data), 10));
  }
}

interface Held {
  readonly tab: Tab;
  readonly abort: AbortController;
}

/** A browser, the application's data, and the server that its pages ask. */
export class Browser {
  readonly tabs: Tab[] = [];
  readonly data = new Map<string, number>();
  readonly channels = new Set<Channel>();
  readonly locks = new Locks();
  server = new EmbeddedRealityServer({ serverId: "server" });
  /** Requests that were ever asked: those that may be held, and the others. */
  readonly asked: { readonly at: number; readonly tab: Tab; readonly wait: number }[] = [];
  readonly #held = new Set<Held>();
  /** While set, requests fail. */
  isDown = false;

  open(options: RealityOptions = {}): Tab {
    const tab = new Tab(this, { servers: "http://server", ...options });
    this.tabs.push(tab);
    return tab;
  }

  /** Tabs that are there and that somebody sees. */
  get visible(): Tab[] {
    return this.tabs.filter((each) => each.isVisible() && !each.isFrozen && !each.isGone);
  }

  /** Whose requests are held. */
  get holders(): Tab[] {
    return [...this.#held].map(({ tab }) => tab);
  }

  async touch(...keys: string[]): Promise<void> {
    for (const key of keys) this.data.set(key, (this.data.get(key) ?? 0) + 1);
    await this.server.invalidate(keys);
  }

  restart(): void {
    this.server.close();
    this.server = new EmbeddedRealityServer({ serverId: "server" });
  }

  forget(tab: Tab): void {
    for (const each of this.channels) if (each.tab === tab) this.channels.delete(each);
    this.locks.forget(tab);
    for (const each of this.#held) if (each.tab === tab) each.abort.abort();
  }

  close(): void {
    for (const each of this.tabs) {
      each.client.destroy();
      each.crash();
    }
    this.server.close();
  }

  fetch(tab: Tab, url: string, init: RequestInit): Promise<Response> {
    const body = JSON.parse(String(init.body));
    const abort = new AbortController();
    const held = { tab, abort };
    if (tab.isGone) return new Promise(() => {});
    this.asked.push({ at: performance.now(), tab, wait: body.wait ?? 0 });
    if (body.wait) this.#held.add(held);
    init.signal?.addEventListener("abort", () => abort.abort());
    const { signal } = abort;
    const answered = async () => {
      await delay(NETWORK_MS);
      if (this.isDown) throw new TypeError("Failed to fetch");
      const arrival = { url, body, at: 0, headers: new Headers(), init: { ...init, signal } };
      const answer = (await served(this.server)(arrival)) as Response;
      await delay(NETWORK_MS);
      return answer;
    };
    return new Promise((resolve, reject) => {
      const end = (act: () => void) => {
        this.#held.delete(held);
        tab.run(act);
      };
      signal.addEventListener("abort", () => end(() => reject(signal.reason)));
      inside.exit(answered).then(
        (answer) => end(() => resolve(answer)),
        (error) => end(() => reject(error)),
      );
    });
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const browsers: Browser[] = [];

/** A browser that is closed after the test. */
export function newBrowser(): Browser {
  const browser = new Browser();
  browsers.push(browser);
  return browser;
}

/** Each test of this file has its own clock, and pages with locks and channels. */
export function inBrowsers(): void {
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date", "performance"],
    });
    const { setTimeout: after, setInterval: every, clearTimeout: end } = globalThis;
    const ended = new Set<unknown>();
    const clear = (timer: NodeJS.Timeout | undefined) => {
      ended.add(timer);
      end(timer);
    };
    // A frozen page may end on its thaw what would have been due meanwhile.
    const timer = (start: typeof after) => (act: () => void, ms?: number) => {
      const tab = inside.getStore();
      const acts = () => tab?.run(() => !ended.has(id) && act());
      const id = start(tab ? acts : act, ms);
      return id;
    };
    vi.stubGlobal("setTimeout", timer(after));
    vi.stubGlobal("setInterval", timer(every as typeof after));
    vi.stubGlobal("clearTimeout", clear);
    vi.stubGlobal("clearInterval", clear);
    vi.stubGlobal("document", {});
    vi.stubGlobal("BroadcastChannel", Channel);
    vi.stubGlobal("navigator", {
      get locks() {
        return inside.getStore()?.browser.locks;
      },
    });
  });
  afterEach(() => {
    for (const each of browsers.splice(0)) each.close();
    vi.unstubAllGlobals();
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
}

export { passing };
