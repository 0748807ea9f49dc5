// Keys and patterns: which names are well-formed. As in the Python package's `core/keys.py`.

import { RealityError } from "./errors.ts";

const KEY_BYTES_MAX = 512;
const LEVELS_MAX = 8;
const RULE = "is no key of 1-512 bytes in 1-8 levels";
// Control characters, and halves of surrogate pairs, which have no UTF-8 form.
const FORBIDDEN = /[\p{Cc}\p{Cs}]/u;

/** Whether `name` stands for every key below it: `chat:*`, or `*` alone. */
export function isPattern(name: string): boolean {
  return name === "*" || name.endsWith(":*");
}

/** Whether a touch of a key or pattern, both well-formed, is a touch of a key. */
export function covers(name: string, key: string): boolean {
  return isPattern(name) ? key.startsWith(name.slice(0, -1)) : name === key;
}

/**
 * The name, if it is a well-formed key or pattern: 1 to 512 bytes of UTF-8 without control characters,
 * at most 8 levels separated by `:`.
 *
 * @throws RealityError `invalid_key`, `key_too_long` or `key_too_deep`.
 */
export function checkName(name: string): string {
  if (typeof name !== "string" || !name || FORBIDDEN.test(name)) refuse(name, "invalid_key");
  if (new TextEncoder().encode(name).length > KEY_BYTES_MAX) refuse(name, "key_too_long");
  if (name.split(":").length > LEVELS_MAX) refuse(name, "key_too_deep");
  return name;
}

/**
 * The key, if it is well-formed and no pattern: patterns can be invalidated, but not asked for.
 *
 * @throws RealityError as {@link checkName}.
 */
export function checkKey(key: string): string {
  if (isPattern(checkName(key))) refuse(key, "invalid_key", "is a pattern, and no key");
  return key;
}

function refuse(name: unknown, code: string, problem = RULE): never {
  const shown = JSON.stringify(String(name).slice(0, 64));
  throw new RealityError(code, `${shown} ${problem}`);
}
