// What one shard does after an answer, and when: the settings, whether anybody looks, and `core/pacer.ts`.

import { Pacer } from "../core/pacer.ts";
import type { Answer } from "./shard.ts";
import { type Surroundings, WAIT_MS } from "./surroundings.ts";

/** What came of a request. */
export interface Outcome {
  readonly answer: Answer;
  readonly waitMs: number;
  readonly tookMs: number;
  /** Whether it told this client anything that it did not know. */
  readonly news: boolean;
}

export class Pace {
  readonly #around: Surroundings;
  readonly #pacer = new Pacer();

  constructor(around: Surroundings) {
    this.#around = around;
  }

  next({ answer, ...outcome }: Outcome) {
    const { settings, attention } = this.#around;
    const { mode, interval = 5_000, wait = WAIT_MS } = settings;
    const { live = mode === "polling-compat" ? "poll" : "auto" } = settings;
    const before = this.#pacer.trips;
    const paceMs = this.#pacer.answered({
      ...outcome,
      nowMs: performance.now(),
      reset: answer.reset === true,
      random: Math.random(),
    });
    if (!before && this.#pacer.trips) {
      console.warn(
        "reality: answers with news come in a loop, so they are asked for once a second",
      );
    }
    const isPolling = live === "poll" || !wait;
    const pauseMs = Math.max(paceMs, answer.retryAfterMs ?? 0, isPolling ? interval : 0);
    if (!live || !(isPolling || attention?.mayHold())) return { event: "rested", pauseMs } as const;
    return { event: pauseMs > 0 ? "deferred" : "answered", pauseMs } as const;
  }
}
