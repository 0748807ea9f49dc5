// What callers hand in, checked. Refusals name the member that is wrong.

import { RealityError } from "../core/errors.ts";
import { checkName } from "../core/keys.ts";
import type { SyncRequest } from "../core/messages.ts";
import { CLIENT_ID_CHARS_MAX, type EmbeddedLimits, HASH_CHARS_MAX, VERSION_MAX } from "./limits.ts";

const MODES = ["native", "sse-compat", "polling-compat"];
const HINTS = ["interaction", "focus", "idle", "mutation", "mount", "reconnect", "poll"];

/** What a server takes of a request; its keys are checked where they are looked up. */
export interface CheckedSync {
  readonly known: Readonly<Record<string, number>>;
  readonly clientId: string;
  readonly waitMs: number;
  /** Null for a client that has no cursors. */
  readonly cursor: string | null;
}

/**
 * A sync request, whatever it was given as.
 *
 * @throws RealityError `invalid_request`: a member is missing or wrong; `too_many_keys`.
 */
export function checkSync(request: SyncRequest, limits: EmbeddedLimits): CheckedSync {
  if (!isObject(request)) throw invalid("the request must be an object");
  const { known, clientId, mode, hint, timestamp, wait, cursor } = request;
  if (!isObject(known)) throw invalid("`known` must be an object of versions by key");
  checkCount(Object.keys(known).length, limits, "known");
  for (const [key, version] of Object.entries(known)) {
    if (!isCount(version)) {
      throw invalid(`\`known[${shown(key)}]\` must be a whole number from 0 to 2^52 - 1`);
    }
  }
  if (!isText(clientId) || clientId === "" || [...clientId].length > CLIENT_ID_CHARS_MAX) {
    throw invalid(`\`clientId\` must be a text of 1 to ${CLIENT_ID_CHARS_MAX} characters`);
  }
  if (!MODES.includes(mode)) throw invalid(`\`mode\` must be one of ${MODES.join(", ")}`);
  if (!HINTS.includes(hint)) throw invalid(`\`hint\` must be one of ${HINTS.join(", ")}`);
  for (const [member, value] of Object.entries({ timestamp, wait })) {
    if (value !== undefined && !isCount(value)) {
      throw invalid(`\`${member}\` must be a whole number of milliseconds from 0`);
    }
  }
  if (cursor !== undefined && !isText(cursor)) throw invalid("`cursor` must be a text");
  return { known, clientId, waitMs: wait ?? 0, cursor: cursor ?? null };
}

/**
 * Keys and patterns, one by one or in lists, as one list. Of what never ends, at most one more than
 * allowed is drawn.
 *
 * @throws RealityError `invalid_key`, `key_too_long`, `key_too_deep`, `too_many_keys`.
 */
export function checkNames(
  given: readonly (string | Iterable<string>)[],
  limits: EmbeddedLimits,
): string[] {
  const names: string[] = [];
  for (const each of given) {
    const list = isText(each) || !isIterable(each) ? [each] : each;
    for (const name of list as Iterable<string>) {
      names.push(checkName(name));
      checkCount(names.length, limits, "keys");
    }
  }
  return names;
}

/**
 * The hash, if it may be one of data: 1 to 256 characters, none for control.
 *
 * @throws RealityError `invalid_request`.
 */
export function checkHash(hash: string): string {
  if (!isText(hash) || hash === "" || [...hash].length > HASH_CHARS_MAX) {
    throw invalid(
      `a hash must be a text of 1 to ${HASH_CHARS_MAX} characters; where the hash is not known, ` +
        "invalidate the key instead",
    );
  }
  if (/[\p{Cc}\p{Cs}]/u.test(hash))
    throw invalid(`the hash ${shown(hash)} has a control character`);
  return hash;
}

/** @throws RealityError `too_many_keys`. */
function checkCount(count: number, limits: EmbeddedLimits, member: string): void {
  if (count <= limits.keysMax) return;
  throw new RealityError(
    "too_many_keys",
    `\`${member}\` has more than the ${limits.keysMax} keys that one request may have: split it`,
    { status: 422 },
  );
}

/** An error about a member that is missing or wrong. */
export function invalid(message: string): RealityError {
  return new RealityError("invalid_request", message, { status: 400 });
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof (value as Iterable<unknown> | null | undefined)?.[Symbol.iterator] === "function";
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= VERSION_MAX;
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 64));
}
