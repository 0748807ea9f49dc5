// What a client knows, as data: for a storage, or for a page that is rendered on a server.

import { isVersion } from "../core/messages.ts";
import type { RealityClient } from "./client.ts";
import type { Holdings } from "./holdings.ts";
import type { RealityState, SavedNode } from "./types.ts";

/**
 * Take over what a server rendered, or another client knew. Of keys that are known already nothing changes.
 *
 * With a cursor that was taken before the data was read, a key with data is fresh, and is not fetched again
 * unless it changed; without one, the first answer makes all of them be fetched.
 *
 * @throws RealityError a key is malformed.
 */
export function hydrate(client: RealityClient, state: RealityState): void {
  restore(client.holdings, state);
}

/** What a client knows, for `hydrate`: one state for each 10,000 keys, as a rule one. */
export function dehydrate(client: RealityClient): RealityState[] {
  return save(client.holdings);
}

export function restore(holdings: Holdings, { cursor, nodes }: RealityState): void {
  for (const [key, node] of Object.entries(nodes ?? {})) {
    const { version, hash = "", updatedAt = 0, deleted = false, data, isStale } = node ?? {};
    // It was outside of this program: what is no version would make servers refuse all that is asked.
    if (!isVersion(version)) continue;
    const shard = holdings.shardWith(key);
    const resource = shard.resources.get(key);
    if (!resource || resource.meta || resource.hasData) continue;
    resource.version = version;
    resource.meta = { key, version, hash, updatedAt, deleted };
    resource.idleAt = performance.now(); // somebody is about to subscribe to it
    if (data === undefined) resource.show();
    else resource.hydrate(data, !isStale);
    // The cursor is about all keys of one state, which are in one shard, as a rule.
    if (typeof cursor === "string") shard.restore(cursor);
  }
}

export function save(holdings: Holdings): RealityState[] {
  return holdings.shards.map(({ cursor, resources }) => {
    const nodes: [string, SavedNode][] = [];
    for (const [key, { version, hasData, base, state, isFresh }] of resources) {
      if (!version && !hasData) continue;
      const { hash = "", updatedAt = 0, deleted = false } = state.meta ?? {};
      nodes.push([
        key,
        { version, hash, updatedAt, deleted, isStale: !isFresh, ...(hasData && { data: base }) },
      ]);
    }
    return { cursor, nodes: Object.fromEntries(nodes) };
  });
}
