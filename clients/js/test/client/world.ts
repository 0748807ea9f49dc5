// A small world for the simulation: an application with its data, two servers that may die, forget
// and come back, a network that delays, loses and garbles, and one page with one client. All chance comes
// from one seed.

import { vi } from "vitest";
import { RealityClient } from "../../src/client/client.ts";
import type { Fetcher, Live, RealityStorage } from "../../src/client/types.ts";
import { ModelServer } from "./model.ts";
import { passing, Room } from "./support.ts";
import { type Arrival, json, Web } from "./web.ts";

export const KEYS = ["posts", "chat:1", "chat:2", "user"];
const HOSTS = ["http://a", "http://b"];

export interface Step {
  readonly do: string;
  readonly which: number;
  readonly ms: number;
}

/** Numbers from [0, 1) that follow from the seed. */
function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class World {
  /** The network, as the present page load has it. */
  web = new Web((arrival) => this.#carry(arrival));
  readonly room = new Room();
  readonly data = new Map(KEYS.map((key) => [key, 0]));
  /** What was done wrong, at any time. */
  readonly complaints: string[] = [];
  fetches = 0;
  client: RealityClient;
  readonly #random: () => number;
  readonly #live: Live;
  readonly #servers = new Map<string, ModelServer>();
  #runs = 0;
  readonly #down = new Set<string>();
  readonly #leaves = new Map<string, () => void>();
  readonly #fetching = new Map<string, Set<AbortSignal>>();
  #saved: string | null = null;
  #isFaulty = false;
  #held = 0;
  #busiest = 0;

  constructor(seed: number, live: Live) {
    this.#random = chance(seed);
    this.#live = live;
    for (const host of HOSTS) this.#start(host);
    vi.spyOn(Math, "random").mockImplementation(this.#random);
    this.client = this.#open();
  }

  /** The keys that somebody is subscribed to. */
  get subscribed(): string[] {
    return [...this.#leaves.keys()];
  }

  /** Requests that are under way and may be held. */
  get held(): number {
    return this.#held;
  }

  /** The most requests of one page load within half a second. */
  get busiest(): number {
    return Math.max(this.#busiest, this.web.busiest);
  }

  async play({ do: what, which, ms }: Step): Promise<void> {
    const key = KEYS[which % KEYS.length] as string;
    const host = HOSTS[which % HOSTS.length] as string;
    const ignore = () => {};
    if (what === "touch") this.#write([key]);
    else if (what === "batch") this.#write(["chat:1", "chat:2"]);
    else if (what === "subscribe") this.#subscribe(key);
    else if (what === "unsubscribe") this.#unsubscribe(key);
    else if (what === "hide") this.room.hide();
    else if (what === "show") this.room.show();
    else if (what === "focus") this.room.focus();
    else if (what === "online") this.room.online();
    else if (what === "sync") this.client.syncKeys(key).catch(ignore);
    else if (what === "sync all") this.client.syncAll().catch(ignore);
    else if (what === "invalidate") this.client.invalidate("*").catch(ignore);
    else if (what === "restart") this.#restart(host);
    else if (what === "down") this.#down.add(host);
    else if (what === "up") this.#down.delete(host);
    else if (what === "faults") this.#isFaulty = !this.#isFaulty;
    else if (what === "reload") this.#reload(which % 2 === 0);
    await passing(ms);
  }

  /** No more faults: everything is up, somebody looks, and there is time. */
  async heal(): Promise<void> {
    this.#isFaulty = false;
    this.#down.clear();
    this.room.show();
    await passing(180_000);
  }

  close(): void {
    this.client.destroy();
    for (const each of this.#servers.values()) each.close();
  }

  /** The application changes data, and tells every server that lives. */
  #write(keys: readonly string[]): void {
    for (const key of keys) this.data.set(key, (this.data.get(key) as number) + 1);
    for (const each of this.#servers.values()) each.touch(keys);
  }

  #restart(host: string): void {
    this.#servers.get(host)?.close();
    this.#start(host);
  }

  /** A new run of a server; its versions may be above or below those of the one before. */
  #start(host: string): void {
    this.#runs += 1;
    const base = (1 + ((this.#runs * 7) % 101)) * 1_000_000;
    this.#servers.set(host, new ModelServer(`${host.slice(-1)}~${this.#runs}`, base));
  }

  #open(): RealityClient {
    const storage: RealityStorage = {
      getItem: () => this.#saved,
      setItem: (_, text) => {
        this.#saved = text;
      },
    };
    return new RealityClient({
      servers: HOSTS,
      executionMode: "client",
      fetch: this.web.fetch,
      environment: this.room,
      live: this.#live,
      storage,
      timeout: 2_000,
    });
  }

  /** The page is loaded anew; if it crashed, the last moments were not saved. */
  #reload(isCrash: boolean): void {
    const { subscribed } = this;
    const saved = this.#saved;
    this.#leaves.clear();
    this.client.destroy();
    this.#busiest = this.busiest;
    this.web = new Web((arrival) => this.#carry(arrival));
    if (isCrash) this.#saved = saved;
    this.client = this.#open();
    for (const key of subscribed) this.#subscribe(key);
  }

  #subscribe(key: string): void {
    if (this.#leaves.has(key)) return;
    const fetcher: Fetcher = (name, _meta, { signal }) => this.#fetch(name, signal);
    this.#leaves.set(
      key,
      this.client.subscribe(key, () => {}, { fetcher }),
    );
  }

  #unsubscribe(key: string): void {
    this.#leaves.get(key)?.();
    this.#leaves.delete(key);
  }

  /** The application's API: it reads some time after it was asked, and answers some time later. */
  async #fetch(key: string, signal: AbortSignal): Promise<number> {
    this.fetches += 1;
    const under = this.#fetching.get(key) ?? new Set();
    this.#fetching.set(key, under.add(signal));
    // One that was given up is nobody's concern any more.
    if ([...under].filter((each) => !each.aborted).length > 1) {
      this.complaints.push(`two fetches of ${key} at the same time`);
    }
    await this.#delay(800);
    const data = this.data.get(key) as number;
    await this.#delay(800);
    under.delete(signal);
    if (this.#isFaulty && this.#random() < 0.3) throw new Error("the API is down");
    return data;
  }

  async #carry(arrival: Arrival): Promise<Response> {
    const { body, url, init } = arrival;
    const isHeld = Boolean(body.wait);
    const done = () => {
      if (isHeld) this.#held -= 1;
    };
    if (isHeld) {
      this.#held += 1;
      if (this.#held > 1) this.complaints.push("two held requests at the same time");
      init.signal?.addEventListener("abort", done, { once: true });
    }
    try {
      return await this.#answer(arrival, url);
    } finally {
      init.signal?.removeEventListener("abort", done);
      if (!init.signal?.aborted) done();
    }
  }

  async #answer(arrival: Arrival, url: string): Promise<Response> {
    const host = HOSTS.find((each) => url.startsWith(each)) as string;
    await this.#delay(100);
    const fault = this.#isFaulty ? this.#random() : 1;
    if (this.#down.has(host) || fault < 0.1) throw new TypeError("Failed to fetch");
    if (fault < 0.15) return new Response("<html>sorry</html>", { status: 200 });
    if (fault < 0.2) return new Response("", { status: 500 });
    if (fault < 0.22) return new Promise(() => {});
    const server = this.#servers.get(host) as ModelServer;
    const response = json(await server.sync(arrival.body, arrival.init.signal ?? undefined));
    await this.#delay(100);
    // It has arrived, and its answer is lost; or the server has died meanwhile.
    if (fault < 0.3 || this.#down.has(host)) throw new TypeError("terminated");
    return response;
  }

  #delay(msMax: number): Promise<void> {
    const ms = this.#random() * (this.#isFaulty ? 3 * msMax : msMax);
    return new Promise((resolve) => setTimeout(resolve, ms));
  }
}
