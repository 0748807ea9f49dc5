// The pace of a shard: `conformance/vectors/client.json`.
import { describe, expect, it } from "vitest";
import { Pacer } from "../../src/core/pacer.ts";
import { cases } from "../vectors.ts";

type Played = [number, number, number, boolean, boolean, number];

describe("the pace", () => {
  it.each(cases("client", "pacer"))("$says", ({ answers }) => {
    // The drawn number moves a pause between its half and its whole.
    for (const [random, part] of [
      [1, 1],
      [0, 0.5],
    ] as const) {
      const pacer = new Pacer();
      const paused = (answers as Played[]).map(([nowS, tookS, waitS, news, reset]) =>
        pacer.answered({
          nowMs: nowS * 1_000,
          tookMs: tookS * 1_000,
          waitMs: waitS * 1_000,
          news,
          reset,
          random,
        }),
      );
      expect(paused).toEqual((answers as Played[]).map((each) => each[5] * 1_000 * part));
    }
  });

  it("counts loops until an answer was held in vain", () => {
    const pacer = new Pacer();
    const news = { tookMs: 1, waitMs: 25_000, news: true, reset: false, random: 0 };
    for (let nowMs = 0; nowMs < 10; nowMs += 1) pacer.answered({ ...news, nowMs });
    expect(pacer.trips).toBe(2);
    pacer.answered({ ...news, nowMs: 30_000, tookMs: 25_000, news: false });
    expect(pacer.trips).toBe(0);
  });

  it("goes on doubling for a server that does not hold, through the syncs in between", () => {
    const pacer = new Pacer();
    const empty = { nowMs: 0, tookMs: 1, news: false, reset: false, random: 1 };
    const paused = [1, 2, 3, 4].map(() => {
      expect(pacer.answered({ ...empty, waitMs: 0 })).toBe(0);
      return pacer.answered({ ...empty, waitMs: 25_000 });
    });
    expect(paused).toEqual([1_000, 2_000, 4_000, 8_000]);
  });
});
