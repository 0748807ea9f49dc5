// The one error of this package. Its `code` is stable; the wire's codes (PROTOCOL.md, P40) are among
// them.

/** What else an error can tell. */
export interface RealityErrorDetails {
  /** The HTTP status, where a server answered with one. */
  readonly status?: number;
  /** How long the server wants to be left alone, in milliseconds. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/**
 * Something that Reality could not do. `code` is one of the wire's codes if a server refused, or
 *
 * - `server_unavailable`: no server could be reached, or answered in time;
 * - `protocol_error`: what answered is no Reality server;
 * - `no_server`: the client was not told of any server;
 * - `fetch_timeout`: a fetcher took longer than it may;
 * - `invalid_data`: what a fetcher gave is not what the key's `schema` asks for;
 * - `closed`: the client was destroyed;
 * - `no_provider`: a hook is used outside of a `RealityProvider`.
 */
export class RealityError extends Error {
  override readonly name = "RealityError";
  readonly code: string;
  readonly status: number = 0;
  readonly retryAfterMs: number = 0;

  constructor(code: string, message: string, details?: RealityErrorDetails) {
    super(message);
    this.code = code;
    Object.assign(this, details);
  }
}

/** Anything that was thrown, as an error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
