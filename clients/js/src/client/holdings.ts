// The keys of one client, in shards: groups that are small enough for one request.

import { checkKey } from "../core/keys.ts";
import { Resource, type Subscriber } from "./resource.ts";
import { Shard } from "./shard.ts";
import type { Surroundings } from "./surroundings.ts";

export class Holdings {
  readonly shards: Shard[] = [];
  readonly #around: Surroundings;

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** The key as it stands, also if nobody is subscribed to it any more. */
  get(key: string): Resource | undefined {
    return this.shardOf(key)?.resources.get(key);
  }

  /** The shard that asks for a key, or remembers it. */
  shardOf(key: string): Shard | undefined {
    return this.shards.find((each) => each.resources.has(key));
  }

  /** All keys. */
  resources(): Resource[] {
    return this.shards.flatMap((each) => [...each.resources.values()]);
  }

  /** Add a subscriber; the returned function removes it. */
  subscribe(key: string, subscriber: Subscriber): () => void {
    const shard = this.shardWith(key);
    const resource = shard.resources.get(key) as Resource;
    shard.added(resource);
    resource.add(subscriber);
    return () => {
      if (resource.remove(subscriber)) shard.removed();
    };
  }

  /** The last shard, or a new one if that is full. */
  room(key: string): Shard {
    const last = this.shards.at(-1);
    if (last?.hasRoom(key)) return last;
    const shard = new Shard(this.#around);
    this.shards.push(shard);
    return shard;
  }

  /** The shard that has a key, from now on: a key never moves to another shard. */
  shardWith(key: string): Shard {
    const shard = this.shardOf(checkKey(key)) ?? this.room(key);
    if (!shard.resources.has(key)) shard.resources.set(key, new Resource(key, this.#around));
    return shard;
  }
}
