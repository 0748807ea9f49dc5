// One shard: the transition table of `conformance/vectors/client.json`.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Polling, type PollingEvent, poll } from "../../src/core/polling.ts";
import { vectors } from "../vectors.ts";

type Table = Record<Polling, Record<PollingEvent, readonly [Polling, string]>>;

const table = vectors("client").polling as Table;
const STATES = Object.keys(table) as Polling[];
const EVENTS = Object.keys(table.idle) as PollingEvent[];
const cells = STATES.flatMap((state) => EVENTS.map((event) => [state, event] as const));

describe("a shard", () => {
  it.each(cells)("that is %s takes %s as in every language", (state, event) => {
    expect(poll(state, event)).toEqual(table[state][event]);
  });

  it("has a row for each state and a cell for each event", () => {
    expect(STATES).toEqual(["idle", "syncing", "holding", "paused", "closed"]);
    expect(cells).toHaveLength(45);
  });

  it("always has something under way that wakes it, unless it rests, has no keys or is closed", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...EVENTS), { maxLength: 60 }), (events) => {
        let state: Polling = "idle";
        let underWay = "none";
        for (const event of events) {
          // What is not under way cannot end.
          if (event === "elapsed" && underWay !== "clock") continue;
          if (/answered|rested|deferred|failed/.test(event) && underWay !== "request") continue;
          const [next, action] = poll(state, event);
          if (event !== "keys_added" && event !== "hinted" && event !== "keys_gone") {
            underWay = "none"; // it ended
          }
          if (action === "sync" || action === "hold") underWay = "request";
          else if (action === "pause" || action === "retry") underWay = "clock";
          else if (action === "stop") underWay = "none";
          const wanted = { syncing: "request", holding: "request", paused: "clock" } as const;
          expect(underWay).toBe(next in wanted ? wanted[next as "paused"] : "none");
          state = next;
        }
      }),
    );
  });
});
