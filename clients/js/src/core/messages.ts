// What travels, as PROTOCOL.md has it, and the reading of answers.

import { RealityError } from "./errors.ts";

/** What servers are told about how a client keeps fresh. */
export type Mode = "native" | "sse-compat" | "polling-compat";

/** Why a client asks. */
export type Hint = "interaction" | "focus" | "idle" | "mutation" | "mount" | "reconnect";

/** How a server is, by its own word or that of others. */
export type Health = "healthy" | "degraded" | "unhealthy" | "unknown";

/** The body of `POST /sync`. */
export interface SyncRequest {
  /** The version last reported to the client, by key; 0 for one never reported. */
  known: Record<string, number>;
  clientId: string;
  mode: Mode;
  hint: Hint;
  /** The client's clock, in milliseconds since the epoch. */
  timestamp?: number;
  /** How long the answer may be held, in milliseconds. */
  wait?: number;
  /** That of the last answer that was about every key held; see P10. */
  cursor?: string;
}

/** What an answer says of one key. */
export interface ChangedNode {
  version: number;
  /** "" if unknown. */
  hash: string;
  source?: string;
  deleted?: boolean;
}

/** What an answer says of other servers. */
export interface MeshInfo {
  /** Health by the URL under which clients reach a server. */
  peers: Record<string, string>;
  serverVersion: number;
}

/** The answer to `POST /sync`. */
export interface SyncResponse {
  changed: Record<string, ChangedNode>;
  mesh: MeshInfo;
  /** The server's clock, in milliseconds since the epoch. */
  serverTime: number;
  cursor?: string;
  /** Nothing is taken for known any more: every key asked for has changed. */
  reset?: boolean;
  /** The time over which refetches should be spread, in milliseconds. */
  spreadMs?: number;
}

/**
 * The answer to a sync, checked: anything may stand in front of a server and answer in its place.
 *
 * @throws RealityError `protocol_error`: it is no such answer.
 */
export function readSyncResponse(value: unknown): SyncResponse {
  const answer = value as Members;
  const isGood =
    isRecord(answer) &&
    isRecord(answer.changed) &&
    isRecord(answer.mesh) &&
    typeof answer.serverTime === "number" &&
    may(answer.cursor, "string") &&
    may(answer.reset, "boolean") &&
    may(answer.spreadMs, "number") &&
    Object.values(answer.changed).every(isNode);
  return isGood ? (value as SyncResponse) : strange();
}

/**
 * The new versions, by key, of the answer to an invalidation.
 *
 * @throws RealityError `protocol_error`: it is no such answer.
 */
export function readVersions(value: unknown): Record<string, number> {
  const versions = isRecord(value) && value.versions;
  const isGood = isRecord(versions) && Object.values(versions).every(isVersion);
  return isGood ? (versions as Record<string, number>) : strange();
}

type Members = Record<string, unknown>;

/** Whether this is an object that JSON can write, and no list. */
export const isRecord = (value: unknown): value is Members =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether a member that may be absent is of this type. */
const may = (value: unknown, type: string) => value === undefined || typeof value === type;

/** Whether this can be the version of a key. */
export const isVersion = (value: unknown) =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 52;

const isNode = (node: unknown) =>
  isRecord(node) &&
  isVersion(node.version) &&
  may(node.hash, "string") &&
  may(node.deleted, "boolean");

function strange(): never {
  throw new RealityError("protocol_error", "this is not the answer of a Reality server");
}
