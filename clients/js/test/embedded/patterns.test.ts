// Patterns: `conformance/vectors/keys.json`.
import { describe, expect, it } from "vitest";
import { ancestors } from "../../src/embedded/patterns.ts";
import { type Vector, vectors } from "../vectors.ts";

const keys = vectors("keys");

describe("a key", () => {
  it.each(keys.ancestors as Vector[])("$key stands below its patterns", ({ key, patterns }) => {
    expect(ancestors(key)).toEqual(patterns);
  });

  it.each(keys.notAskable as Vector[])("is not $name, which is a pattern", ({ name }) => {
    expect(() => ancestors(name)).toThrow("is a pattern");
  });
});
