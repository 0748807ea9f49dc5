// Digests and cursors: how far, per origin, a server has come or a client has accounted for.
//
// An *origin* is one append-only sequence of batches. Its id says of which kind it is:
//
//     server_id~nonce     volatile: one run of one memory-only server
//     server_id!gone      volatile: stands for a server that was removed
//     store_id@lineage    durable: one lineage of one store; its positions carry a 32-bit tag
//
// A cursor travels as text, `1;<generation>;<origin>=<sequence>[.<tag in hex>];…`, oldest first.

import { FOREIGN_ORIGINS_MAX, ORIGINS_MAX } from "./limits.ts";

const FORMAT = "1";
const ID = "[A-Za-z0-9._-]{1,64}";
const ENTRY = new RegExp(
  `^(${ID}(?:~[A-Za-z0-9]{1,32}|!gone|@[A-Za-z0-9]{1,32}))=([0-9]{1,18})(?:\\.([0-9a-f]{1,8}))?$`,
);
const SERVER_ID = new RegExp(`^${ID}$`);
const GENERATION = /^[0-9]{1,9}$/;

/** A place in one origin: its sequence, and for a durable origin the tag of that sequence. */
export interface Position {
  readonly sequence: number;
  readonly tag: number;
  /** The sequence as it was written, where a number cannot hold it; it is only echoed. */
  readonly digits?: string;
}

/** A position per origin, oldest knowledge first. */
export type Digest = ReadonlyMap<string, Position>;

/** What a client has accounted for. */
export interface Cursor {
  readonly positions: Digest;
  readonly generation: number;
}

/** The position before the first batch. */
export const START: Position = { sequence: 0, tag: 0 };

/** Whether `text` may name a server: 1 to 64 of letters, digits, dot, underscore and dash. */
export function isServerId(text: unknown): text is string {
  return typeof text === "string" && SERVER_ID.test(text);
}

/** Whether the origin is a lineage of a store; otherwise it is volatile. */
export function isDurable(origin: string): boolean {
  return origin.includes("@");
}

/** Whether the origin stands for a removed server. */
export function isGone(origin: string): boolean {
  return origin.endsWith("!gone");
}

/** Less than 0 if `left` is before `right`, 0 if they are the same position. */
export function comparePositions(left: Position, right: Position): number {
  return left.sequence - right.sequence || left.tag - right.tag;
}

/** The later of two positions. */
export function laterOf(left: Position, right: Position): Position {
  return comparePositions(left, right) < 0 ? right : left;
}

/** Whether two digests hold the same positions, in whatever order. */
export function areSame(left: Digest, right: Digest): boolean {
  if (left.size !== right.size) return false;
  for (const [origin, position] of left) {
    const other = right.get(origin);
    if (other === undefined || comparePositions(position, other) !== 0) return false;
  }
  return true;
}

/** The cursor as the text that clients echo. */
export function encodeCursor({ positions, generation }: Cursor): string {
  const entries = Array.from(positions, ([origin, { sequence, tag, digits }]) => {
    const written = `${origin}=${digits ?? sequence}`;
    return tag ? `${written}.${tag.toString(16)}` : written;
  });
  return [FORMAT, generation, ...entries].join(";");
}

/** The cursor behind a client's text, or null if this is not one: the answer is then `reset`. */
export function decodeCursor(text: string): Cursor | null {
  const [form, generation, ...entries] = text.split(";");
  if (form !== FORMAT || generation === undefined || !GENERATION.test(generation)) return null;
  if (entries.length > ORIGINS_MAX + FOREIGN_ORIGINS_MAX) return null;
  const positions = new Map<string, Position>();
  for (const entry of entries) {
    const [, origin, digits, tag = "0"] = ENTRY.exec(entry) ?? [];
    if (origin === undefined || digits === undefined || positions.has(origin)) return null;
    positions.set(origin, positionOf(digits, Number.parseInt(tag, 16)));
  }
  return { positions, generation: Number(generation) };
}

/**
 * The cursor of an answer: per origin the later of what was asked with and what is known.
 *
 * Origins that the server does not know stay, the newest `FOREIGN_ORIGINS_MAX` of them: they are
 * what another server will need to find nothing new.
 */
export function advance(cursor: Cursor, digest: Digest, generation = 0): Cursor {
  const positions = new Map(cursor.positions);
  for (const [origin, position] of digest) {
    positions.set(origin, laterOf(position, positions.get(origin) ?? position));
  }
  const foreign = [...positions.keys()].filter((origin) => !digest.has(origin));
  for (const origin of foreign.slice(0, Math.max(0, foreign.length - FOREIGN_ORIGINS_MAX))) {
    positions.delete(origin);
  }
  return { positions, generation: Math.max(cursor.generation, generation) };
}

function positionOf(digits: string, tag: number): Position {
  const sequence = Number(digits);
  return Number.isSafeInteger(sequence) ? { sequence, tag } : { sequence, tag, digits };
}
