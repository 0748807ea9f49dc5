/**
 * Reality's client for plain pages: it keeps the data of keys fresh without a WebSocket.
 *
 *     import { createReality } from "/reality/client.js";
 *     createReality().subscribe("posts", (state) => render(state.data), {
 *       fetcher: () => fetch("/api/posts").then((response) => response.json()),
 *     });
 *
 * One request at a time asks the server "I know these keys at these versions: what changed?" and is
 * held there until something does. What changed is fetched again from the application's own API.
 *
 * @typedef {{ key: string, version: number, hash: string, deleted: boolean }} Meta
 * @typedef {{ key: string, data: any, meta: Meta | null, error: Error | null, isLoading: boolean,
 *   isSyncing: boolean, isStale: boolean,
 *   status: "idle" | "loading" | "syncing" | "error" | "stale" }} State
 * @typedef {(key: string, meta: Meta | null, options: { signal: AbortSignal }) => any} Fetcher
 *   Gets the data. Hand `signal` to `fetch`: it ends what takes longer than a minute.
 */

const WAIT_MS = 25_000; // how long the server may hold a request
const ANSWER_MS = 10_000; // how much longer its answer may take
const FETCH_MS = 60_000;
const FIRST_FETCH_MS = 150; // how long a first fetch waits for the first answer
const RESET_SPREAD_MS = 2_000;
const FOCUS_MS = 5_000; // the least time between syncs on focus and reconnection
const QUICK_MS = 500; // a held request that is answered sooner was not held
const QUICK_NEWS = 5; // so many answers with news in that time are too many
const HINTS = ["interaction", "focus", "idle", "mutation", "mount", "reconnect"];
const RELEASED = new Error("released"); // given up on purpose, which is no failure

/**
 * @param {{ endpoint?: string | URL, live?: boolean }} [options] `endpoint`: where the server's
 *   routes are, by default this file's folder. `live: false` holds no requests: the server is only
 *   asked on a hint (a new key, focus, reconnection, `sync`).
 */
export function createReality({ endpoint = new URL(".", import.meta.url), live = true } = {}) {
  const url = new URL(endpoint, globalThis.document?.baseURI ?? import.meta.url);
  url.pathname = url.pathname.replace(/\/?$/, "/sync");
  const keys = new Map();
  const loop = new SyncLoop(url, keys, live);
  loop.run();
  return {
    /**
     * Call `callback` with the state of a key, soon and whenever it changes; returns the function
     * that ends this. Subscriptions of one key share its data and the first fetcher among them.
     * @param {string} key
     * @param {(state: State) => void} callback
     * @param {{ fetcher?: Fetcher }} [options]
     */
    subscribe(key, callback, { fetcher } = {}) {
      if (loop.isClosed) throw new Error("this client was closed: make another one");
      const subscribed = keys.get(key) ?? new SubscribedKey(key);
      if (!keys.has(key)) keys.set(key, subscribed), loop.want("mount");
      const subscription = { callback, fetcher };
      subscribed.add(subscription);
      return () => {
        if (subscribed.remove(subscription) && keys.delete(key)) loop.want("mount");
      };
    },
    /** Ask the server now, for all keys. */
    sync(hint = "interaction") {
      if (!HINTS.includes(hint)) throw new TypeError(`${hint} is no hint; use one of ${HINTS}`);
      loop.want(hint);
    },
    /** Stop everything; no callback is called any more. */
    close: () => loop.close(),
  };
}

/** What was reported of one key, its data, and the fetching of it. */
class SubscribedKey {
  known = 0; // the version last reported
  #key; #meta = null; #data; #text; #state; #subscriptions = new Set();
  #reports = 1; // that there is something to fetch; the first load counts as one
  #fetched = 0; // how many of them had come when the fetch of the present data began
  #isAnswered = false; #syncError = null; #spreadMs = 0; #timer;
  #fetching = null; #fetchError = null; #failures = 0;

  constructor(key) {
    if (!isKey(key)) throw new TypeError(`${JSON.stringify(key)} is not a key`);
    this.#key = key;
  }

  add(subscription) {
    this.#subscriptions.add(subscription);
    this.plan(this.#isAnswered ? 0 : FIRST_FETCH_MS);
    this.#tell();
  }

  /** Whether that was the last subscription: the key is closed then. */
  remove(subscription) {
    const isLast = this.#subscriptions.delete(subscription) && !this.#subscriptions.size;
    if (isLast) this.close();
    return isLast;
  }

  close() {
    this.#subscriptions.clear();
    clearTimeout(this.#timer);
    this.#fetching?.abort(RELEASED);
  }

  /** Take in what an answer says of this key, and tell whether it is news. Fetches nothing yet. */
  take(node, { reset = false, spreadMs = 0 }, isHinted) {
    const isNews = node !== undefined && node.version !== this.known;
    if (isNews) {
      this.known = node.version;
      this.#meta = { hash: "", deleted: false, ...node, key: this.#key };
    }
    if (isNews || reset) {
      this.#reports += 1;
      this.#spreadMs = Math.max(spreadMs, reset ? RESET_SPREAD_MS : 0);
    }
    this.#isAnswered = true;
    // The first fetch was waiting for this, and a failed one need not wait any longer.
    if (isHinted) [this.#failures, this.#timer] = [0, clearTimeout(this.#timer)];
    this.lose(null);
    return isNews || reset;
  }

  /** The server could not be asked, or (null) could again. */
  lose(error) {
    this.#syncError = error;
    this.#tell();
  }

  /** Fetch what is out of date, unless that has begun or has its time. */
  plan(delayMs = 0) {
    const isBusy = this.#fetching || this.#timer;
    if (isBusy || this.#fetched === this.#reports || !this.#fetcher) return;
    const spreadMs = this.#fetched ? Math.random() * this.#spreadMs : 0;
    const ms = Math.max(delayMs, spreadMs, backoff(this.#failures));
    if (ms) this.#timer = setTimeout(() => this.#fetch(), ms);
    else this.#fetch();
  }

  get #fetcher() { return [...this.#subscriptions].find((each) => each.fetcher)?.fetcher; }

  async #fetch() {
    const reports = this.#reports; // one that comes now may be about later data
    const { signal } = (this.#fetching = new AbortController());
    this.#timer = undefined;
    const clock = abortAfter(FETCH_MS, this.#fetching, `the fetcher of ${this.#key}`);
    this.#tell();
    try {
      const data = await this.#fetcher(this.#key, this.#meta, { signal });
      const text = textOf(data);
      if (!this.#fetched || text !== this.#text) [this.#data, this.#text] = [data, text];
      [this.#fetched, this.#fetchError, this.#failures, this.#spreadMs] = [reports, null, 0, 0];
    } catch (error) {
      this.#fetchError = error instanceof Error ? error : new Error(String(error));
      this.#failures += 1;
    }
    clearTimeout(clock);
    this.#fetching = null;
    this.#tell();
    this.plan();
  }

  /** Tell the subscriptions: once of all that happens in this step, and each in a step of its own,
   * so that what one of them throws is reported and does not stop the others. */
  #tell() {
    const call = (each, state) => this.#subscriptions.has(each) && each.callback(state);
    queueMicrotask(() => {
      const state = this.#updatedState();
      for (const each of this.#subscriptions) {
        if (each.told !== state) queueMicrotask(() => call(each, state));
        each.told = state;
      }
    });
  }

  #updatedState() {
    const error = this.#fetchError ?? this.#syncError;
    const isStale = this.#fetched > 0 && this.#fetched < this.#reports;
    let status = error ? "error" : isStale ? "stale" : "idle";
    if (this.#fetching) status = this.#fetched ? "syncing" : "loading";
    else if (!error && !this.#fetched && (this.#fetcher || !this.#isAnswered)) status = "loading";
    const [isLoading, isSyncing] = [status === "loading", status === "syncing"];
    const held = { key: this.#key, data: this.#data, meta: this.#meta };
    const state = { ...held, status, error, isLoading, isSyncing, isStale };
    const isSame = Object.entries(state).every(([name, value]) => this.#state?.[name] === value);
    return isSame ? this.#state : (this.#state = Object.freeze(state));
  }
}

/** Asks the server, one request at a time, and paces itself. */
class SyncLoop {
  isClosed = false;
  #url; #keys; #live; #clientId = makeClientId(); #ending = new AbortController();
  #cursor; // of the last answer that was about every key held when it came
  #wanted = null; // the hint of a request that must not be held
  #request = null; #isHeld = false; #askedAt = -Infinity; #notBefore = 0; #wake = () => {};
  #failures = 0; #resets = 0; #unheld = 0; #newsAt = []; #hasWarned = false;

  constructor(url, keys, live) {
    [this.#url, this.#keys, this.#live] = [url, keys, live];
  }

  async run() {
    const { signal } = this.#ending;
    const on = (target, name, listener) => target?.addEventListener?.(name, listener, { signal });
    const isHidden = () => globalThis.document?.visibilityState === "hidden";
    const seen = () => (isHidden() ? this.#release() : this.want("focus"));
    on(globalThis.document, "visibilitychange", seen);
    on(globalThis, "focus", () => this.#wantSeldom("focus"));
    on(globalThis, "online", () => this.#wantSeldom("reconnect"));
    while (!this.isClosed) {
      const mayAsk = this.#wanted || this.#failures || (this.#live && !isHidden());
      const earlyMs = this.#keys.size && mayAsk ? this.#notBefore - performance.now() : Infinity;
      const pauseMs = earlyMs > 0 ? earlyMs : await this.#round();
      if (earlyMs > 0 || (pauseMs > 0 && !this.#wanted)) await this.#sleep(pauseMs);
    }
  }

  /** Ask soon, without being held: all who want that in one step share a request. */
  want(hint) {
    this.#wanted ??= hint;
    this.#release();
    this.#wake();
  }

  close() {
    this.isClosed = true;
    this.#ending.abort();
    this.#request?.abort(RELEASED);
    for (const subscribed of this.#keys.values()) subscribed.close();
    this.#keys.clear();
    this.#wake();
  }

  #release() { if (this.#isHeld) this.#request.abort(RELEASED); }

  #wantSeldom(hint) {
    if (this.#failures || performance.now() - this.#askedAt > FOCUS_MS) this.want(hint);
  }

  #sleep(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(ms, 2 ** 31 - 1)); // the longest there is
      this.#wake = () => (clearTimeout(timer), resolve());
    });
  }

  /** Ask once, and return how long to pause then unless more is wanted. */
  async #round() {
    const hint = this.#wanted ?? (this.#failures ? "reconnect" : null);
    const [asked, wait, begunAt] = [[...this.#keys], hint ? 0 : WAIT_MS, performance.now()];
    [this.#wanted, this.#isHeld, this.#request] = [null, !hint, new AbortController()];
    if (hint) this.#askedAt = begunAt;
    const { signal } = this.#request;
    const clock = abortAfter(wait + ANSWER_MS, this.#request, "the answer of the server");
    let ms = 0;
    try {
      const answer = await this.#ask({ hint: hint ?? "idle", wait }, asked, signal);
      const isNews = this.#apply(answer, asked, hint !== null);
      ms = this.#pace(answer, isNews, hint ? Infinity : performance.now() - begunAt);
    } catch (error) {
      if (signal.reason === RELEASED) return 0;
      for (const subscribed of this.#keys.values()) subscribed.lose(signal.reason ?? error);
      ms = backoff(++this.#failures);
    } finally {
      clearTimeout(clock);
      this.#isHeld = false;
    }
    return ms;
  }

  async #ask(manner, asked, signal) {
    const known = Object.fromEntries(asked.map(([key, subscribed]) => [key, subscribed.known]));
    const about = { clientId: this.#clientId, mode: "native", timestamp: Date.now() };
    const body = JSON.stringify({ known, cursor: this.#cursor, ...about, ...manner });
    const headers = { "content-type": "application/json" };
    const sending = { method: "POST", headers, body, signal, cache: "no-store" };
    const response = await fetch(this.#url, /** @type {RequestInit} */ (sending));
    const retryAfterS = Number(response.headers.get("retry-after")) || 0;
    this.#notBefore = performance.now() + jittered(retryAfterS * 1_000);
    const answer = await response.json().catch(() => null);
    const nodes = Object.values(answer?.changed ?? [null]);
    if (response.ok && nodes.every((node) => Number.isSafeInteger(node?.version))) return answer;
    const reason = answer?.error ?? "this is not the answer of a Reality server";
    throw new Error(`POST ${this.#url} gave ${response.status}: ${reason}`);
  }

  /** Take an answer in, and tell whether it has news. */
  #apply(answer, asked, isHinted) {
    const held = asked.filter(([key, subscribed]) => this.#keys.get(key) === subscribed);
    const changed = new Map(Object.entries(answer.changed));
    // Versions, reports and the cursor change in one step, before any code of the page runs.
    const news = held.filter(([key, each]) => each.take(changed.get(key), answer, isHinted));
    if (held.length === this.#keys.size) this.#cursor = answer.cursor;
    for (const [, subscribed] of held) subscribed.plan();
    return news.length > 0;
  }

  #pace({ reset }, isNews, heldMs) {
    this.#failures = 0;
    this.#resets = reset ? this.#resets + 1 : 0;
    if (this.#resets > 1) return jittered(ceiling(this.#resets - 2, 1_000, 30_000));
    if (heldMs === Infinity) return 0;
    // A request that is not held must not loop: neither without news nor with very much of it.
    const now = performance.now();
    this.#newsAt = isNews ? [now, ...this.#newsAt].slice(0, QUICK_NEWS) : [];
    const isFlood = now - this.#newsAt[QUICK_NEWS - 1] < QUICK_MS;
    if (isFlood && !this.#hasWarned) console.warn("reality: too many answers; asking less often");
    this.#hasWarned ||= isFlood;
    const isUnheld = heldMs < QUICK_MS && (!isNews || isFlood || this.#unheld > 0);
    this.#unheld = isUnheld ? this.#unheld + 1 : 0;
    return isUnheld ? jittered(ceiling(this.#unheld - 1, 1_000, 5_000)) : 0;
  }
}

const ceiling = (attempt, base, cap) => Math.min(cap, base * 2 ** attempt);
const backoff = (failures) => failures && Math.random() * ceiling(failures - 1, 100, 30_000);
const jittered = (ms) => ms * (1 + Math.random() / 4); // no sooner, and not all at once

function abortAfter(ms, controller, what) {
  const late = new Error(`${what} took more than ${ms / 1000} s`);
  return setTimeout(() => controller.abort(late), ms);
}

function isKey(key) {
  if (typeof key !== "string" || !/^[^\p{Cc}\p{Cs}]+$/u.test(key)) return false;
  const isPattern = key === "*" || key.endsWith(":*");
  return !isPattern && key.split(":").length <= 8 && new TextEncoder().encode(key).length <= 512;
}

/** The data as JSON text; NaN, which equals nothing, for what is not JSON. */
function textOf(data) {
  const kind = Object.prototype.toString.call(data);
  try {
    return /Map|Set|Blob|File|Buffer/.test(kind) ? NaN : JSON.stringify(data);
  } catch {
    return NaN;
  }
}

/** A UUID; pages without TLS cannot make one, and take any random digits. */
function makeClientId() {
  return crypto.randomUUID?.() ?? crypto.getRandomValues(new Uint32Array(4)).join("-");
}
