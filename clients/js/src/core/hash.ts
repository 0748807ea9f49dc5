// `createHash`: the same short text for the same JSON data, in TypeScript and in Python.

const HASH_DIGITS = 32;
const LONE_SURROGATE = /\p{Cs}/u;

/**
 * The hash of JSON data, equal to that of the Python package: its canonical JSON (RFC 8785),
 * SHA-256, and of that the first 32 hexadecimal digits.
 *
 * What `JSON.stringify` leaves out or converts is left out or converted here: `undefined` members,
 * dates, objects with `toJSON`.
 *
 * @throws TypeError if something has no JSON form that every language reads alike: NaN, Infinity,
 *   bigints, functions, symbols, half a surrogate pair, a `Map`, an object that contains itself.
 */
export function createHash(data: unknown): string {
  const words = sha256(new TextEncoder().encode(canonicalJson(data)));
  return words
    .map((word) => (word >>> 0).toString(16).padStart(8, "0"))
    .join("")
    .slice(0, HASH_DIGITS);
}

/**
 * The text of JSON data after RFC 8785: sorted members, no white space.
 *
 * @throws TypeError as {@link createHash}.
 */
export function canonicalJson(data: unknown): string {
  return written(data, "", []) ?? refuse("undefined");
}

/** The text of one value; undefined where JSON has none and leaves it out. */
function written(given: unknown, name: string, above: readonly object[]): string | undefined {
  const value = hasToJson(given) ? given.toJSON(name) : given;
  if (value === undefined) return undefined;
  if (value === null || typeof value === "boolean") return `${value}`;
  // ECMAScript's own numbers are those that RFC 8785 asks for, and so are its escapes.
  if (typeof value === "number") return Number.isFinite(value) ? `${value}` : refuse(`${value}`);
  if (typeof value === "string") return quoted(value);
  if (typeof value !== "object") return refuse(`a ${typeof value}`);
  if (above.includes(value)) return refuse("an object that contains itself");
  const path = [...above, value];
  if (Array.isArray(value)) {
    const items = Array.from(value, (item, index) => written(item, `${index}`, path) ?? "null");
    return `[${items.join(",")}]`;
  }
  const kind = Object.prototype.toString.call(value);
  if (kind !== "[object Object]") return refuse(`a value of the kind ${kind}`);
  const members: string[] = [];
  // `sort` compares by UTF-16 code units, as RFC 8785 does.
  for (const member of Object.keys(value).sort()) {
    const text = written((value as Record<string, unknown>)[member], member, path);
    if (text !== undefined) members.push(`${quoted(member)}:${text}`);
  }
  return `{${members.join(",")}}`;
}

function quoted(text: string): string {
  return LONE_SURROGATE.test(text)
    ? refuse("a text with half a surrogate pair")
    : JSON.stringify(text);
}

function hasToJson(value: unknown): value is { toJSON(name: string): unknown } {
  return typeof (value as { toJSON?: unknown } | null | undefined)?.toJSON === "function";
}

function refuse(what: string): never {
  throw new TypeError(`${what} has no JSON form: hash plain JSON data`);
}

// ---- SHA-256 (FIPS 180-4), because that of the platform is asynchronous and only for secure pages

/** The first 32 bits of the fractional parts of roots of the first so many primes. */
function primeRoots(count: number, exponent: number): number[] {
  const primes: number[] = [];
  for (let number = 2; primes.length < count; number++) {
    if (primes.every((prime) => number % prime)) primes.push(number);
  }
  return primes.map((prime) => (prime ** exponent * 2 ** 32) | 0);
}

const ROUND_CONSTANTS = /* @__PURE__ */ primeRoots(64, 1 / 3);

function rotated(word: number, by: number): number {
  return (word >>> by) | (word << (32 - by));
}

/** FIPS 180-4's capital sigmas. */
function sigma(word: number, first: number, second: number, third: number): number {
  return rotated(word, first) ^ rotated(word, second) ^ rotated(word, third);
}

/** The digest, as eight 32-bit words. */
function sha256(message: Uint8Array): number[] {
  // One bit, zeros, and the length in bits as 64 bits fill the last block.
  const padded = new Uint8Array((((message.length + 8) >> 6) + 1) * 64);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - 8, BigInt(message.length * 8));
  let digest = primeRoots(8, 1 / 2);
  for (let block = 0; block < padded.length; block += 64) {
    const schedule = Array.from({ length: 16 }, (_, index) => view.getUint32(block + index * 4));
    const mixed = compressed(digest, schedule);
    digest = digest.map((word, index) => (word + (mixed[index] as number)) | 0);
  }
  return digest;
}

/** What the 64 rounds make of the digest so far and the 16 words of one block. */
function compressed(digest: readonly number[], schedule: number[]): number[] {
  let [a, b, c, d, e, f, g, h] = digest as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  for (let round = 0; round < 64; round++) {
    if (round > 15) {
      const early = schedule[round - 15] as number;
      const late = schedule[round - 2] as number;
      schedule[round] =
        ((schedule[round - 16] as number) +
          (rotated(early, 7) ^ rotated(early, 18) ^ (early >>> 3)) +
          (schedule[round - 7] as number) +
          (rotated(late, 17) ^ rotated(late, 19) ^ (late >>> 10))) |
        0;
    }
    const first =
      h +
      sigma(e, 6, 11, 25) +
      ((e & f) ^ (~e & g)) +
      (ROUND_CONSTANTS[round] as number) +
      (schedule[round] as number);
    const second = sigma(a, 2, 13, 22) + ((a & b) ^ (a & c) ^ (b & c));
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  return [a, b, c, d, e, f, g, h];
}
