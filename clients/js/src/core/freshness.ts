// One key of a client: when to fetch, and what a report means while a fetch is under way.
//
// Every state answers every event, and no report is ever lost: a key leaves `due` and `overtaken` only
// through a fetch that began after the report (I1). `conformance/vectors/client.json` has this table
// for all languages.
//
//   new         subscribed; nothing fetched, nothing due yet
//   due         a fetch has to begin (at once, after a spread, or after a back-off)
//   fetching    a fetch is under way and nothing was reported since it began
//   overtaken   a fetch is under way, and something was reported since it began
//   fresh       the last fetch succeeded and nothing was reported since it began

export type Freshness = "new" | "due" | "fetching" | "overtaken" | "fresh";

/**
 * What can happen to a key: the first sync was answered or took too long; a server said that it changed,
 * or could not say; it changed, but to the hash of the data held; a fetch began, brought data, failed.
 */
export type FreshnessEvent =
  | "first_load"
  | "reported"
  | "matched"
  | "started"
  | "succeeded"
  | "failed";

/** What the shell has to do; `retry` is a fetch after a back-off. */
export type FreshnessAction = "none" | "fetch" | "deliver" | "deliver_and_fetch" | "retry";

/** What subscribers are told. */
export type Status = "idle" | "loading" | "syncing" | "error" | "stale";

type Step = readonly [Freshness, FreshnessAction];

const FETCH: Step = ["due", "fetch"];
const BEGUN: Step = ["fetching", "none"];
const RETRY: Step = ["due", "retry"];

/** What is not listed changes nothing. */
const STEPS: Readonly<Record<Freshness, Readonly<Partial<Record<FreshnessEvent, Step>>>>> = {
  // No data is held, so that none can match.
  new: { first_load: FETCH, reported: FETCH, matched: FETCH, started: BEGUN },
  // What made it due is not undone by a later match.
  due: { started: BEGUN },
  fetching: {
    reported: ["overtaken", "none"],
    matched: ["overtaken", "none"], // the data held is about to be replaced
    succeeded: ["fresh", "deliver"],
    failed: RETRY,
  },
  overtaken: { succeeded: ["due", "deliver_and_fetch"], failed: RETRY },
  fresh: { reported: FETCH, started: BEGUN },
};

/** The next state, and what to do. */
export function freshen(state: Freshness, event: FreshnessEvent): Step {
  return STEPS[state][event] ?? [state, "none"];
}

/**
 * What an answer's entry for a key means; null if it says nothing new.
 *
 * @param known the version last reported to this client.
 * @param version the version in the answer.
 * @param announcedHash the hash in the answer, "" if unknown.
 * @param heldHash the hash of the data held, "" if there is none. Never one that was announced earlier:
 *   data fetched since then may differ from it.
 * @param reset whether the answer is a reset: then nothing is taken for known.
 */
export function classify(
  known: number,
  version: number,
  announcedHash: string,
  heldHash: string,
  reset: boolean,
): "reported" | "matched" | null {
  if (reset) return "reported";
  if (version === known) return null;
  return announcedHash && announcedHash === heldHash ? "matched" : "reported";
}

/** What subscribers are told of a state. */
export function statusOf(state: Freshness, hasData: boolean, hasError: boolean): Status {
  if (state === "fetching" || state === "overtaken") return hasData ? "syncing" : "loading";
  if (hasError) return "error";
  if (state === "fresh") return "idle";
  return hasData ? "stale" : "loading";
}
