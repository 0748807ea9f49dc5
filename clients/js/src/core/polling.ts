// One shard of a client: which request comes next, and when.
//
// A shard is a fixed group of keys that share a cursor and are asked for together. It has at most one
// request under way. As in `freshness.ts`, the table is total and the same in every language.
//
//   idle        nothing to ask for, or nothing asks for it
//   syncing     a request without wait is under way
//   holding     a request with wait is under way
//   paused      the next request waits for the clock
//   closed      for good

export type Polling = "idle" | "syncing" | "holding" | "paused" | "closed";

/**
 * What can happen to a shard: a key is held that the request under way does not ask for; none is held
 * any more; somebody wants to know now; the request was answered (go on; nothing follows by itself; go
 * on after a pause); no server answered; the pause is over; the client is closed.
 */
export type PollingEvent =
  | "keys_added"
  | "keys_gone"
  | "hinted"
  | "answered"
  | "rested"
  | "deferred"
  | "failed"
  | "elapsed"
  | "closed";

/** What the shell has to do. Any action but `none` first gives up the request or pause before. */
export type PollingAction = "none" | "sync" | "hold" | "pause" | "retry" | "stop";

type Step = readonly [Polling, PollingAction];

const SYNC: Step = ["syncing", "sync"];
// What is under way when a hint comes may have been answered before it: it is asked again.
const ASKED = { keys_added: SYNC, keys_gone: ["idle", "stop"], hinted: SYNC } as const;
const UNDER_WAY = {
  ...ASKED,
  answered: ["holding", "hold"],
  rested: ["idle", "none"],
  deferred: ["paused", "pause"],
  failed: ["paused", "retry"],
} as const;

/** What is not listed changes nothing. */
const STEPS: Readonly<Record<Polling, Readonly<Partial<Record<PollingEvent, Step>>>>> = {
  idle: { keys_added: SYNC, hinted: SYNC },
  syncing: UNDER_WAY,
  holding: UNDER_WAY,
  paused: { ...ASKED, elapsed: SYNC },
  closed: {},
};

/** The next state, and what to do. */
export function poll(state: Polling, event: PollingEvent): Step {
  if (event === "closed" && state !== "closed") return ["closed", "stop"];
  return STEPS[state][event] ?? [state, "none"];
}
