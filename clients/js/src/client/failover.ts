// Which server is asked, and what follows when it does not answer: another one, or the same again.
//
// What answers say of other servers goes to the pool, so that a client that was given one URL goes on at
// another server of the same mesh when its own dies. This file is loaded when it is needed first.

import { fullJitter } from "../core/backoff.ts";
import { RealityError } from "../core/errors.ts";
import { DISCOVERED_MAX, ServerPool, type ServerStatus } from "../core/servers.ts";
import type { Asked, Asking } from "./transport.ts";
import type { RealityOptions } from "./types.ts";

const DELAY_MS_MAX = 30_000;
// Whatever goes wrong, no more requests than this begin within half a second.
const BURST = 5;
const BURST_MS = 500;

export class Failover {
  readonly #pool: ServerPool;
  readonly #retries: number;
  readonly #baseMs: number;
  readonly #begunAt: number[];
  readonly #notBefore = new Map<string, number>();

  /** @param begunAt when requests have begun: the list is shared, and kept short here. */
  constructor(urls: readonly string[], settings: RealityOptions, begunAt: number[]) {
    this.#begunAt = begunAt;
    this.#retries = settings.maxRetries ?? 3;
    this.#baseMs = settings.retryBaseDelay ?? 100;
    this.#pool = new ServerPool(urls, {
      discoveredMax: settings.discover === false ? 0 : DISCOVERED_MAX,
      blacklistMs: settings.blacklistDuration ?? 30_000,
      random: Math.random(),
    });
  }

  /** A server answered and named its peers. */
  learn(peers: unknown, toldBy: string, retryAfterMs: number): void {
    const now = performance.now();
    this.#leave(toldBy, retryAfterMs);
    this.#pool.answered(toldBy, now, null);
    this.#pool.learn(named(peers), now, toldBy);
  }

  /** A server wants to be left alone for so long. */
  #leave(url: string, ms: number): void {
    if (ms > 0) this.#notBefore.set(url, performance.now() + ms);
  }

  /**
   * Wait until a server may be asked.
   *
   * @throws the signal's reason once it is aborted.
   */
  async turn(url: string, signal: AbortSignal): Promise<void> {
    const leftMs = (this.#notBefore.get(url) ?? 0) - performance.now();
    if (leftMs > 0) await sleep(leftMs, signal);
    const now = performance.now();
    const recent = this.#begunAt.splice(0).slice(-BURST);
    const at = recent.length < BURST ? now : Math.max(now, Number(recent[0]) + BURST_MS);
    this.#begunAt.push(...recent, at);
    if (at > now) await sleep(at - now, signal);
  }

  status(): ServerStatus[] {
    return this.#pool.status(performance.now());
  }

  forgetFailures(): void {
    this.#pool.clear();
  }

  /**
   * @param failed a server that was asked before, and how that failed.
   * @throws RealityError a server refused it for good, or none answered.
   */
  async ask<Answer>(
    askOne: (url: string) => Promise<Asked<Answer>>,
    { signal, waitMs = 0, token }: Asking<Answer>,
    failed?: readonly [string, RealityError],
  ): Promise<Asked<Answer>> {
    const pick = () => this.#pool.pick(performance.now(), token !== undefined);
    const pausesMs = new Map<string, number>();
    for (let attempt = 0; ; attempt += 1) {
      const known = attempt === 0 ? failed : undefined;
      const url = known?.[0] ?? pick();
      let failure: RealityError;
      try {
        if (known) throw known[1];
        const asked = await askOne(url);
        this.#leave(url, asked.retryAfterMs);
        this.#pool.answered(url, performance.now(), waitMs > 0 ? null : asked.tookMs);
        return asked;
      } catch (error) {
        signal.throwIfAborted();
        failure = error as RealityError;
      }
      this.#failed(url, failure);
      pausesMs.set(url, failure.retryAfterMs);
      this.#leave(url, failure.retryAfterMs);
      // A server not asked yet is asked at once, one that failed only when it may be.
      const pauseMs = pausesMs.get(pick());
      if (attempt >= this.#retries || (pauseMs ?? 0) > this.#baseMs) {
        const details = { retryAfterMs: pauseMs ?? 0, status: failure.status, cause: failure };
        throw new RealityError(failure.code, `no server answered: ${failure.message}`, details);
      }
      if (pauseMs === undefined) continue;
      await sleep(fullJitter(attempt, this.#baseMs, DELAY_MS_MAX, Math.random()), signal);
    }
  }

  #failed(url: string, failure: RealityError): void {
    // What a server refuses that was only heard of may be no server, or of others.
    if (!isRetryable(failure) && this.#pool.isConfigured(url)) throw failure;
    this.#pool.failed(url, performance.now());
  }
}

/** The peers of an answer, as far as they can be read. */
function named(peers: unknown): Record<string, string> {
  const isText = ([, health]: [string, unknown]) => typeof health === "string";
  return Object.fromEntries(Object.entries(Object(peers) as object).filter(isText));
}

/** Whether the same request may succeed later, or elsewhere. */
function isRetryable({ status }: RealityError): boolean {
  return status < 400 || status >= 500 || status === 408 || status === 429;
}

/** @throws the signal's reason once it is aborted. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const clock = setTimeout(resolve, ms);
    const giveUp = () => {
      clearTimeout(clock);
      reject(signal.reason);
    };
    signal.addEventListener("abort", giveUp, { once: true });
  });
}
