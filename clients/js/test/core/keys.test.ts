// Names: `conformance/vectors/keys.json`, and what errors tell.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RealityError } from "../../src/core/errors.ts";
import { checkKey, checkName, covers, isPattern } from "../../src/core/keys.ts";
import { spelled, type Vector, vectors } from "../vectors.ts";

const { valid, invalid, notAskable, covers: coverings } = vectors("keys");

function refusal(act: () => unknown): RealityError {
  try {
    act();
  } catch (error) {
    if (error instanceof RealityError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("a well-formed name", () => {
  it.each(valid as Vector[])("$name is taken as it is", ({ name, pattern }) => {
    const text = spelled(name);
    expect(checkName(text)).toBe(text);
    expect(isPattern(text)).toBe(pattern);
    if (!pattern) expect(checkKey(text)).toBe(text);
  });

  it.each(notAskable as Vector[])("$name is no key, being a pattern", ({ name, code }) => {
    expect(refusal(() => checkKey(name)).code).toBe(code);
  });
});

describe("a malformed name", () => {
  it.each(invalid as Vector[])("$name is refused with $code", ({ name, code }) => {
    expect(refusal(() => checkName(spelled(name))).code).toBe(code);
    expect(refusal(() => checkKey(spelled(name))).code).toBe(code);
  });

  it.each([undefined, null, 7, {}, ["posts"], Symbol("posts")])("%s is refused", (name) => {
    expect(refusal(() => checkKey(name as string)).code).toBe("invalid_key");
  });

  it("is named, cut short, by the error", () => {
    expect(refusal(() => checkKey("a\nb")).message).toContain(String.raw`"a\nb"`);
    expect(refusal(() => checkKey("k".repeat(100_000))).message.length).toBeLessThan(200);
  });
});

it("takes any text or refuses it with a code", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("a", ":", "*", "é", "\n", "\ud800", "🙂") }),
      (text) => {
        try {
          expect(checkName(text)).toBe(text);
        } catch (error) {
          expect((error as RealityError).code).toMatch(/^(invalid_key|key_too_long|key_too_deep)$/);
        }
      },
    ),
  );
});

it.each(coverings as Vector[])("a touch of $pattern is one of $key: $covers", (vector) => {
  expect(covers(vector.pattern, vector.key)).toBe(vector.covers);
});
