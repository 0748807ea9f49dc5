// What of what a server knows is news to a client.
//
//     version(key) = base + touches of the key and of the patterns above it, over all origins
//
// `base` is what makes versions of a restarted server greater than those of its last run: the
// register (boot times and what a renewal raises, max-merged) plus the number of volatile origins
// known. It is 0 where only durable origins are known that never lost anything, and never falls (I4).

import { isPattern } from "../core/keys.ts";
import {
  advance,
  type Cursor,
  decodeCursor,
  encodeCursor,
  isGone,
  type Position,
} from "./cursor.ts";
import type { Entry } from "./ledger.ts";
import { GONE_MAX } from "./limits.ts";
import { ancestors } from "./patterns.ts";
import { Replica } from "./replica.ts";

/** The metadata of one key. */
export interface Node {
  readonly key: string;
  /** A whole number below 2^52 that grows with every touch. */
  readonly version: number;
  /** Hash of the data, "" if unknown. */
  readonly hash: string;
  /** When it was last touched, in milliseconds since the epoch; for display only. */
  readonly updatedAt: number;
  /** Whether the last touch was a deletion; absent if not. */
  readonly deleted?: true;
}

/** What a sync is told. */
export interface Answer {
  /** The news, by key. */
  readonly changed: ReadonlyMap<string, Node>;
  /** What the client has accounted for once it has taken `changed` in. */
  readonly cursor: string;
  /** Whether continuity could not be proven, so that every asked key is in `changed`. */
  readonly reset: boolean;
}

/** The state of one server. */
export class Graph extends Replica {
  /** An empty graph under a new origin whose versions are all above those of this one. */
  renewed(ownOrigin: string, nowMs: number): Graph {
    const register = Math.max(nowMs, this.versionMax);
    const graph = new Graph(ownOrigin, {
      register,
      originsMax: this.originsMax,
      firstPosition: Math.max(register, this.position + 1),
      generation: this.generation,
    });
    // Those who were removed may not come back.
    const gone = [...this.digest.keys()].filter(isGone);
    for (const origin of gone.slice(-GONE_MAX)) graph.acknowledge(origin);
    return graph;
  }

  /**
   * A graph that knows what this one knows, under an origin of its own. Where there is no room for
   * one more origin, it is a renewed graph instead.
   */
  forked(ownOrigin: string, nowMs: number): Graph {
    if (this.digest.size >= this.originsMax) return this.renewed(ownOrigin, nowMs);
    const register = Math.max(nowMs, this.register);
    const copy = new Graph(ownOrigin, {
      register,
      originsMax: this.originsMax,
      // Above all of this one's, which mean nothing there.
      firstPosition: Math.max(register, this.position + 1),
      generation: this.generation,
    });
    copy.takeOver(this);
    return copy;
  }

  /** The version of a key, touched or not. */
  version(key: string): number {
    return this.#versionOf(this.entries([key, ...ancestors(key)]));
  }

  /** The metadata of a key; null if neither it nor a pattern above it was ever touched. */
  node(key: string): Node | null {
    const entries = this.entries([key, ...ancestors(key)]);
    return entries.length > 0 ? this.#nodeOf(key, entries) : null;
  }

  /**
   * What is news to a client that last heard of these versions, at this cursor.
   *
   * @param known - the version last reported to the client, by key.
   * @param cursor - what it has accounted for; null for a client that has no cursors.
   * @param hidden - keys to be answered as if nobody had ever touched them.
   * @throws RealityError `invalid_key`, `key_too_long`, `key_too_deep`: a key is malformed.
   */
  answer(
    known: Readonly<Record<string, number>>,
    cursor: string | null,
    hidden: ReadonlySet<string> = new Set(),
  ): Answer {
    let seen: Cursor | null = null;
    let reset = false;
    if (cursor !== null && cursor !== this.cursor) {
      [seen, reset] = this.#checked(decodeCursor(cursor));
    }
    const changed = new Map<string, Node>();
    for (const [key, version] of Object.entries(known)) {
      const above = ancestors(key); // refuses malformed keys
      const entries = this.entries(hidden.has(key) ? above : [key, ...above]);
      const current = this.#versionOf(entries);
      const isNews =
        reset ||
        (seen !== null && entries.some((entry) => isAfter(entry, seen as Cursor))) ||
        (cursor === null ? version !== current : version < current);
      if (isNews) changed.set(key, this.#nodeOf(key, entries));
    }
    return { changed, cursor: seen === null ? this.cursor : this.#advanced(seen), reset };
  }

  /**
   * What was touched after the local apply position `since`, oldest first, with positions. Patterns
   * are listed under their own name. `more` tells whether there are more.
   */
  listing(since: number, limit: number): { listed: [number, Node][]; more: boolean } {
    const listed: [number, Node][] = [];
    for (const { position, name } of this.appliedAfter(since)) {
      if (listed.length === limit) return { listed, more: true };
      const names = isPattern(name) ? [name] : [name, ...ancestors(name)];
      listed.push([position, this.#nodeOf(name, this.entries(names))]);
    }
    return { listed, more: false };
  }

  // ---- inside ----------------------------------------------------------------------------------

  /** What of a cursor can be relied on, and whether that is too little to go on from. */
  #checked(seen: Cursor | null): [Cursor, boolean] {
    if (seen === null) return [{ positions: new Map(), generation: 0 }, true];
    const { generation } = this;
    if (seen.generation < generation) {
      // Of what was forgotten since then nobody knows any more how much the client has seen.
      return [{ positions: without(seen, (origin) => this.digest.has(origin)), generation }, true];
    }
    const contradicts = (origin: string, position: Position) => {
      const own = this.digest.get(origin);
      return own?.sequence === position.sequence && own.tag !== position.tag;
    };
    const positions = without(seen, contradicts);
    if (positions.size < seen.positions.size) return [{ ...seen, positions }, true];
    const lacksOne = [...this.digest.keys()].some((origin) => !positions.has(origin));
    return [seen, lacksOne];
  }

  /** The cursor of an answer; mostly the digest, whose text is at hand. */
  #advanced(seen: Cursor): string {
    const advanced = advance(seen, this.digest, this.generation);
    const isPresent = advanced.generation === this.generation && this.isDigest(advanced.positions);
    return isPresent ? this.cursor : encodeCursor(advanced);
  }

  #versionOf(entries: readonly Entry[]): number {
    return entries.reduce((version, entry) => version + entry.touches, this.base);
  }

  /**
   * The metadata of a name, from what was done to it and to the patterns above it.
   *
   * Its last batch decides within an origin. Over several origins, whose order nobody knows, a hash
   * counts only if all agree; the clock breaks the tie of what is merely shown.
   */
  #nodeOf(key: string, entries: readonly Entry[]): Node {
    const version = this.#versionOf(entries);
    const lastOf = new Map<string, Entry>();
    for (const entry of entries) {
      const last = lastOf.get(entry.origin);
      if (last === undefined || last.sequence < entry.sequence) lastOf.set(entry.origin, entry);
    }
    const [first, ...others] = lastOf.values();
    if (first === undefined) return { key, version, hash: "", updatedAt: 0 };
    const newest = others.reduce(newerOf, first);
    const hash = others.every((entry) => entry.hash === first.hash) ? newest.hash : "";
    const { updatedAt, deleted } = newest;
    return { key, version, hash, updatedAt, ...(deleted && { deleted }) };
  }
}

/** Whether a client with this cursor has not accounted for the last batch of an entry. */
function isAfter(entry: Entry, seen: Cursor): boolean {
  return entry.sequence > (seen.positions.get(entry.origin)?.sequence ?? -1);
}

/** The positions of a cursor but for some. */
function without(
  seen: Cursor,
  isLeftOut: (origin: string, position: Position) => boolean,
): ReadonlyMap<string, Position> {
  return new Map([...seen.positions].filter((each) => !isLeftOut(...each)));
}

function newerOf(left: Entry, right: Entry): Entry {
  const later = right.updatedAt - left.updatedAt || (right.origin > left.origin ? 1 : -1);
  return later > 0 ? right : left;
}
