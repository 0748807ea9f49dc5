// Which patterns stand above a key.

import { checkKey } from "../core/keys.ts";

/**
 * The patterns that stand above a key, widest first: `a:b:c` -> `*`, `a:*`, `a:b:*`.
 *
 * @throws RealityError `invalid_key`, `key_too_long`, `key_too_deep`: it is malformed, or a pattern.
 */
export function ancestors(key: string): readonly string[] {
  const levels = checkKey(key).split(":").slice(0, -1);
  return ["*", ...levels.map((_, depth) => `${levels.slice(0, depth + 1).join(":")}:*`)];
}
