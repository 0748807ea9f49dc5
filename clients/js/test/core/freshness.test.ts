// One key: the transition table and the verdicts of `conformance/vectors/client.json`, and what no
// sequence of events can do.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  classify,
  type Freshness,
  type FreshnessEvent,
  freshen,
  statusOf,
} from "../../src/core/freshness.ts";
import { cases, vectors } from "../vectors.ts";

type Table = Record<Freshness, Record<FreshnessEvent, readonly [Freshness, string]>>;

const table = vectors("client").freshness as Table;
const STATES = Object.keys(table) as Freshness[];
const EVENTS = Object.keys(table.new) as FreshnessEvent[];
const cells = STATES.flatMap((state) => EVENTS.map((event) => [state, event] as const));

describe("a key", () => {
  it.each(cells)("that is %s takes %s as in every language", (state, event) => {
    expect(freshen(state, event)).toEqual(table[state][event]);
  });

  it("has a row for each state and a cell for each event", () => {
    expect(STATES).toEqual(["new", "due", "fetching", "overtaken", "fresh"]);
    expect(cells).toHaveLength(30);
  });

  it("that was reported is fresh only after a fetch begun later has succeeded (I1)", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...EVENTS), { maxLength: 60 }), (events) => {
        let state: Freshness = "new";
        let isOwed = true; // nothing was ever fetched
        let isUnderWay = false;
        let isCovering = false; // the fetch under way began after all that was reported
        for (const event of events) {
          const [next, action] = freshen(state, event);
          if (event === "started" && !isUnderWay && next === "fetching") {
            isUnderWay = isCovering = true;
          } else if (event === "reported" && state !== "new") {
            isOwed = true;
            isCovering = false;
          } else if (isUnderWay && (event === "succeeded" || event === "failed")) {
            if (event === "succeeded" && isCovering) isOwed = false;
            isUnderWay = false;
          }
          expect(next === "fetching" || next === "overtaken").toBe(isUnderWay);
          if (next === "fresh") expect(isOwed).toBe(false);
          // Whoever becomes due is told to fetch in the same step.
          if (next === "due" && state !== "due") expect(action).toMatch(/fetch$|retry/);
          state = next;
        }
      }),
    );
  });
});

describe("an answer's entry for a key", () => {
  it.each(cases("client", "classify"))(
    "$says",
    ({ event, known, version, announcedHash, heldHash, reset }) => {
      expect(classify(known, version, announcedHash, heldHash, reset)).toBe(event);
    },
  );
});

describe("subscribers", () => {
  it.each(cases("client", "status"))(
    "are told $status of $state, with data $hasData and error $hasError",
    ({ state, hasData, hasError, status }) => {
      expect(statusOf(state, hasData, hasError)).toBe(status);
    },
  );
});
