// Every bound of an embedded server, with its unit in its name (invariant I6).

/** Bounds of the protocol itself, the same for every server and client. */
export const VERSION_MAX = 2 ** 52 - 1;
export const CLIENT_ID_CHARS_MAX = 128;
export const HASH_CHARS_MAX = 256;
/** Origins that one graph knows, and that a cursor carries beside those. */
export const ORIGINS_MAX = 64;
export const FOREIGN_ORIGINS_MAX = 64;
/** Removed servers that a renewed graph still knows of. */
export const GONE_MAX = 24;
export const CURSOR_CHARS_MAX = 16 * 1024;

/** What one server accepts and keeps. Exceeding a limit is an error, never a silent drop. */
export interface EmbeddedLimits {
  /** Keys or patterns of one request. */
  readonly keysMax: number;
  /** How long one sync is held, in milliseconds; a longer wish is cut. */
  readonly waitMsMax: number;
  /** Held syncs of the server. */
  readonly waitersMax: number;
  /** Held syncs of one `clientId`. */
  readonly waitersPerClientMax: number;
  /** Keys and patterns that all held syncs wait for, counted for each. */
  readonly waitedNamesMax: number;
  /** Keys and patterns kept. A server that passes it forgets all and starts a new origin. */
  readonly nodesMax: number;
  /**
   * When one touch wakes more syncs than this, their refetches are spread (`spreadMs`) so that the
   * application's own API sees about this many a second.
   */
  readonly refetchesPerS: number;
  /** Bytes of one request body over HTTP. */
  readonly bodyBytesMax: number;
}

const DEFAULTS: EmbeddedLimits = {
  keysMax: 10_000,
  waitMsMax: 25_000,
  waitersMax: 10_000,
  waitersPerClientMax: 64,
  waitedNamesMax: 500_000,
  nodesMax: 1_000_000,
  refetchesPerS: 1_000,
  bodyBytesMax: 1024 * 1024,
};

/**
 * The limits of a server: those given, and the defaults for the rest.
 *
 * @throws RangeError if one is no whole number from 1.
 */
export function limitsOf(
  given: { readonly [Name in keyof EmbeddedLimits]?: number | undefined },
): EmbeddedLimits {
  const limits: Record<keyof EmbeddedLimits, number> = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS) as (keyof EmbeddedLimits)[]) {
    const value = given[name] ?? DEFAULTS[name];
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new RangeError(`${name} must be a whole number from 1, got ${value}`);
    }
    limits[name] = value;
  }
  return limits;
}
