// Delays after failures: `conformance/vectors/backoff.json`.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ceiling, fullJitter } from "../../src/core/backoff.ts";
import { cases } from "../vectors.ts";

describe("the delay before a retry", () => {
  it.each(cases("backoff", "delays"))(
    "number $attempt of base $base is $delay of at most $ceiling",
    ({ attempt, base, cap, random, ...expected }) => {
      expect(fullJitter(attempt, base, cap, random)).toBeCloseTo(expected.delay, 9);
      expect(ceiling(attempt, base, cap)).toBe(expected.ceiling);
    },
  );

  it("is finite and within its cap, however often it was tried", () => {
    const least = fc.integer({ min: 1, max: 100_000 });
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.nat(), least, fc.nat(100_000), random, (attempt, base, cap, drawn) => {
        const delay = fullJitter(attempt, base, cap, drawn);
        expect(delay).toBeGreaterThanOrEqual(0);
        expect(delay).toBeLessThanOrEqual(cap);
      }),
    );
  });
});
