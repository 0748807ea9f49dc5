// Asking for some keys at once, beside what is under way.

import { checkKey } from "../core/keys.ts";
import type { Hint } from "../core/messages.ts";
import type { Holdings } from "./holdings.ts";
import type { Shard } from "./shard.ts";

/** Ask for keys, and take the answers in; the keys that were reported as changed. */
export async function syncKeys(
  holdings: Holdings,
  keys: readonly string[],
  hint: Hint,
): Promise<string[]> {
  const groups = new Map<Shard, string[]>();
  for (const key of new Set(keys)) {
    const shard = holdings.shardOf(checkKey(key)) ?? holdings.shards.at(-1) ?? holdings.room(key);
    groups.set(shard, [...(groups.get(shard) ?? []), key]);
  }
  const answers = await Promise.all([...groups].map(([shard, group]) => shard.sync(group, hint)));
  return answers.flatMap(({ changed }) => Object.keys(changed));
}
