// How fast one shard of a client goes on after answers.

import { ceiling } from "./backoff.ts";

// Five answers with news within half a second may be a loop rather than news. The pause after them is
// always the same: where they are news, more comes meanwhile, and goes together.
const BREAKER_ANSWERS = 5;
const BREAKER_WINDOW_MS = 500;
const BREAKER_PAUSE_MS = 1_000;
// A held request that returns sooner, empty, was not held.
const HELD_MS_MIN = 500;
const PAUSE_BASE_MS = 1_000;
const PAUSE_MS_MAX = 30_000;

/** An answer, as far as the pace depends on it. Times are milliseconds. */
export interface Answered {
  /** A monotonic clock. */
  nowMs: number;
  /** How long the answer took. */
  tookMs: number;
  /** How long it was allowed to be held. */
  waitMs: number;
  /** Whether it told this client anything that it did not know. */
  news: boolean;
  reset: boolean;
  /** Drawn uniformly from [0, 1). */
  random: number;
}

/**
 * How long to pause after an answer: the breaker, resets in a row, servers that do not hold.
 *
 * Pauses for resets in a row, and for a server that does not hold, double from 1 s to 30 s as long as
 * the reason goes on. All are drawn from their upper half, so that the clients of one server do not
 * move in step.
 */
export class Pacer {
  #newsAt: number[] = [];
  #resets = 0;
  #unheld = 0;
  /** How often answers came in a loop since the last one that was held in vain. */
  trips = 0;

  /** Milliseconds to pause after an answer; 0 to go on at once. */
  answered({ nowMs, tookMs, waitMs, news, reset, random }: Answered): number {
    this.#resets = reset ? this.#resets + 1 : 0;
    const isUnheld = waitMs > 0 && !news && tookMs < Math.min(HELD_MS_MIN, waitMs / 2);
    // An answer that could not be held, and has no news, says nothing of that.
    if (waitMs > 0 || news) this.#unheld = isUnheld ? this.#unheld + 1 : 0;
    const isLooping = this.#isLooping(nowMs, news);
    if (isLooping) this.trips += 1;
    else if (waitMs > 0 && !news) this.trips = 0;
    const breakerMs = isLooping ? BREAKER_PAUSE_MS : 0;
    return (
      Math.max(pauseMs(this.#resets - 1), isUnheld ? pauseMs(this.#unheld) : 0, breakerMs) *
      (0.5 + random / 2)
    );
  }

  #isLooping(nowMs: number, news: boolean): boolean {
    this.#newsAt = news ? [...this.#newsAt, nowMs].slice(-BREAKER_ANSWERS) : [];
    const [first] = this.#newsAt;
    if (this.#newsAt.length < BREAKER_ANSWERS || nowMs - Number(first) > BREAKER_WINDOW_MS)
      return false;
    this.#newsAt = [];
    return true;
  }
}

/** The pause for a reason that was met so many times in a row. */
function pauseMs(times: number): number {
  return times < 1 ? 0 : ceiling(times - 1, PAUSE_BASE_MS, PAUSE_MS_MAX);
}
