// What one server knows of all origins, and how it takes in what others know.
//
// For each name (key or pattern) and origin it keeps the last batch that touched it and how many
// batches did. Merging is per origin, idempotent, commutative and associative, so servers that
// exchange deltas end up alike (I8). Nothing here waits, reads a clock or draws a number. What of it
// is news to a client is in `graph.ts`.

import { RealityError } from "../core/errors.ts";
import {
  areSame,
  comparePositions,
  type Digest,
  encodeCursor,
  isDurable,
  laterOf,
  type Position,
  START,
} from "./cursor.ts";
import { Assembly, cutPage, type Delta } from "./delta.ts";
import { History } from "./history.ts";
import { type Entry, Ledger } from "./ledger.ts";
import { ORIGINS_MAX } from "./limits.ts";

const PAGE_NAMES_MAX = 1_000;

/** What a graph starts from. */
export interface Beginning {
  /** At least the boot time in milliseconds for a volatile origin, 0 for a durable one. */
  readonly register: number;
  /** How many origins it may know; cursors have no room for more than 64. */
  readonly originsMax?: number;
  /** Where local apply positions start; by default at the register. */
  readonly firstPosition?: number;
  /** Counts how often all was forgotten by the servers it belongs to. */
  readonly generation?: number;
}

/** What one batch says of its names. */
export interface BatchOptions {
  /** The wall clock, in milliseconds; for display only. */
  readonly nowMs: number;
  readonly hash?: string;
  readonly deleted?: boolean;
}

/** What a merge did. */
export interface Merged {
  /** Whether the delta fitted; if not, ask for one from the digest on. */
  readonly applied: boolean;
  /** The names whose version may have grown because of it. */
  readonly touched: readonly string[];
  /** Whether the origin was unknown before: every waiter is concerned. */
  readonly newOrigin: boolean;
}

const NOT_APPLIED: Merged = { applied: false, touched: [], newOrigin: false };

/** One server's copy of what all servers know. */
export class Replica {
  readonly ownOrigin: string;
  readonly originsMax: number;
  readonly firstPosition: number;
  readonly generation: number;
  readonly #ledger: Ledger;
  readonly #assemblies = new Map<string, Assembly>();
  readonly #histories = new Map<string, History>();
  readonly #digest = new Map<string, Position>();
  #register: number;
  #base = 0;
  #cursor: string | undefined;

  /** A graph that knows nothing but its own, empty origin. */
  constructor(ownOrigin: string, beginning: Beginning) {
    this.ownOrigin = ownOrigin;
    this.originsMax = beginning.originsMax ?? ORIGINS_MAX;
    this.generation = beginning.generation ?? 0;
    this.firstPosition = beginning.firstPosition ?? beginning.register;
    this.#register = beginning.register;
    this.#ledger = new Ledger(this.firstPosition);
    this.#admit(ownOrigin, START);
  }

  /** How many keys and patterns are kept. */
  get size(): number {
    return this.#ledger.size;
  }

  /** The greatest contiguous position held of each known origin. */
  get digest(): Digest {
    return this.#digest;
  }

  /** The digest as a cursor: what a client has accounted for that has just fetched all. */
  get cursor(): string {
    this.#cursor ??= encodeCursor({ positions: this.#digest, generation: this.generation });
    return this.#cursor;
  }

  /** What versions start from, but for the number of volatile origins. */
  get register(): number {
    return this.#register;
  }

  /** The version of what nobody has touched. */
  get base(): number {
    return this.#base;
  }

  /** The local apply position: grows by one with every name applied here. */
  get position(): number {
    return this.#ledger.position;
  }

  /** A number that no key's version exceeds, and that never falls. */
  get versionMax(): number {
    return this.#base + this.#ledger.touches;
  }

  /** What all origins did to these names. */
  entries(names: Iterable<string>): Entry[] {
    return this.#ledger.entries(names);
  }

  /** Positions and names last applied after this local position, oldest first. */
  appliedAfter(position: number): Iterable<{ readonly position: number; readonly name: string }> {
    return this.#ledger.appliedAfter(position);
  }

  /** Whether a cursor's positions are just those known here. */
  isDigest(positions: Digest): boolean {
    return areSame(positions, this.#digest);
  }

  // ---- writing ---------------------------------------------------------------------------------

  /**
   * Record one batch of the own origin and return its sequence. Names must be well-formed. `hash`
   * and `deleted` hold for every name of the batch. An equal hash does not suppress the touch.
   */
  touch(names: Iterable<string>, options: BatchOptions): number {
    const own = this.ownOrigin;
    const { nowMs: updatedAt, hash = "", deleted = false } = options;
    const sequence = (this.#digest.get(own) ?? START).sequence + 1;
    for (const name of new Set(names)) {
      const touches = (this.#ledger.entry(name, own)?.touches ?? 0) + 1;
      this.#ledger.put(own, { name, sequence, touches, hash, updatedAt, deleted });
    }
    this.#admit(own, { sequence, tag: 0 });
    return sequence;
  }

  /**
   * Take in a page of another server's knowledge of one origin.
   *
   * A delta fits if it begins no later than what is held ends; one of a durable origin must begin
   * exactly there, with the same tag, or at the very beginning.
   *
   * @throws RealityError `too_many_origins`: the origin is new and there is no room for it.
   */
  merge(page: Delta): Merged {
    const { origin } = page;
    if (origin === this.ownOrigin) return NOT_APPLIED;
    const before = this.#digest.get(origin);
    if (before === undefined) this.#checkRoom(origin);
    const delta = this.#assembly(origin).add(page);
    const held = before ?? START;
    if (delta === null || !fits(delta, held, before === undefined)) return NOT_APPLIED;
    this.#assemblies.delete(origin);
    for (const touched of delta.touched) this.#ledger.put(origin, touched);
    if (isDurable(origin)) {
      const history = this.#histories.get(origin) ?? new History();
      history.remember([...delta.past, delta.upto]);
      this.#histories.set(origin, history);
    }
    this.#register = Math.max(this.#register, delta.register);
    this.#admit(origin, laterOf(held, delta.upto));
    const touched = delta.touched.map((each) => each.name);
    return { applied: true, touched, newOrigin: before === undefined };
  }

  /** Know of an origin, without anything it did. */
  acknowledge(origin: string): void {
    if (this.#digest.has(origin)) return;
    this.#checkRoom(origin);
    this.#admit(origin, START);
  }

  /** Know all that another graph knows, but for this one's own origin. */
  takeOver(other: Replica): void {
    for (const origin of other.digest.keys()) {
      if (origin === this.ownOrigin) continue;
      for (const page of other.delta(origin, START)) this.merge(page);
    }
  }

  // ---- for other servers -----------------------------------------------------------------------

  /**
   * Everything known of an origin after a position, page by page. Each page is read when it is
   * asked for, so the graph may be written to in between.
   */
  *delta(origin: string, since: Position, pageMax = PAGE_NAMES_MAX): Generator<Delta> {
    let after = since.sequence;
    for (;;) {
      const page = this.#page(origin, since, after, pageMax);
      yield page;
      if (page.last) return;
      after = page.upto.sequence;
    }
  }

  #page(origin: string, since: Position, after: number, pageMax: number): Delta {
    const { taken, ends } = cutPage(this.#ledger.touchedAfter(origin, after), pageMax);
    const last = ends === null;
    return {
      origin,
      sender: this.ownOrigin,
      position: this.position,
      register: this.#register,
      since,
      after,
      upto: last ? (this.#digest.get(origin) ?? START) : { sequence: ends, tag: 0 },
      last,
      touched: taken,
      past: last ? (this.#histories.get(origin)?.told() ?? []) : [],
    };
  }

  // ---- inside ----------------------------------------------------------------------------------

  /** The pages received of an origin. Of too many, the oldest are dropped, to be sent anew. */
  #assembly(origin: string): Assembly {
    let assembly = this.#assemblies.get(origin);
    if (assembly === undefined) {
      const [oldest] = this.#assemblies.keys();
      if (oldest !== undefined && this.#assemblies.size >= this.originsMax) {
        this.#assemblies.delete(oldest);
      }
      assembly = new Assembly();
      this.#assemblies.set(origin, assembly);
    }
    return assembly;
  }

  #checkRoom(origin: string): void {
    if (this.#digest.size < this.originsMax) return;
    throw new RealityError(
      "too_many_origins",
      `this server already knows ${this.originsMax} origins and cannot take in ${origin}: remove ` +
        "servers that are gone for good",
    );
  }

  /** Know an origin up to a position, and what follows from it. */
  #admit(origin: string, position: Position): void {
    this.#digest.set(origin, position);
    const volatile = [...this.#digest.keys()].filter((each) => !isDurable(each)).length;
    this.#base = this.#register + volatile;
    this.#cursor = undefined;
  }
}

/** Whether a delta and what is held of its origin are together all up to the later of both. */
function fits(delta: Delta, held: Position, isNew: boolean): boolean {
  const distance = comparePositions(delta.upto, held);
  const isBehind = distance < 0 || (distance === 0 && delta.since.sequence !== held.sequence);
  if (isBehind && !isNew) return false;
  if (isDurable(delta.origin) && delta.since.sequence) {
    return comparePositions(held, delta.since) === 0;
  }
  return delta.since.sequence <= held.sequence;
}
