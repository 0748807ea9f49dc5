// The vectors of `conformance/`, which every implementation of Reality passes.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A JSON object of which only the one who asks knows the members. */
// biome-ignore lint/suspicious/noExplicitAny: each test knows the members of its own vectors
export type Vector = Record<string, any>;

/**
 * The vectors of `conformance/vectors/NAME.json`, read anew each time.
 *
 * @throws Error if there is no such file.
 */
export function vectors(name: string): Vector {
  const file = new URL(`../../../conformance/vectors/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(fileURLToPath(file), "utf8")) as Vector;
}

/**
 * One member of such a file that is a list, for `it.each(cases("keys", "valid"))`.
 *
 * @throws Error if there is no such member, or nothing in it: a test of nothing proves nothing.
 */
export function cases(name: string, member: string): Vector[] {
  const list: unknown = vectors(name)[member];
  if (Array.isArray(list) && list.length > 0) return list as Vector[];
  throw new Error(`conformance/vectors/${name}.json has no list ${member}`);
}

/**
 * A text that a vector may spell in parts: itself, `{repeat, times}`, or a list of such to be joined.
 *
 * @throws TypeError if it is none of these.
 */
export function spelled(part: unknown): string {
  if (typeof part === "string") return part;
  if (Array.isArray(part)) return part.map(spelled).join("");
  const { repeat, times } = (part ?? {}) as Vector;
  if (typeof repeat === "string" && typeof times === "number") return repeat.repeat(times);
  throw new TypeError(`a vector spells a text as ${JSON.stringify(part)}, which is none`);
}
