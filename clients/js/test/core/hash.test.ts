// `createHash`: `conformance/vectors/hash.json`, SHA-256 beside Node's, and what has no JSON form.
import { createHash as nodeHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalJson, createHash } from "../../src/core/hash.ts";
import { type Vector, vectors } from "../vectors.ts";

const { canonical, rejected } = vectors("hash");

describe("JSON data", () => {
  it.each(canonical as Vector[])("has one canonical text and hash: $about", (vector) => {
    const data: unknown = JSON.parse(vector.json);
    expect(canonicalJson(data)).toBe(vector.canonical);
    expect(createHash(data)).toBe(vector.hash);
  });

  it("has a canonical text that means the same, whatever the order of members", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (data) => {
        const text = canonicalJson(data);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(data)));
        expect(canonicalJson(reversed(data))).toBe(text);
      }),
    );
  });

  it("is hashed as by the platform's SHA-256, at any length", () => {
    for (let length = 0; length < 200; length++) {
      const text = "é".repeat(length);
      const digest = nodeHash("sha256").update(`"${text}"`).digest("hex");
      expect(createHash(text)).toBe(digest.slice(0, 32));
    }
  });
});

describe("what JSON.stringify leaves out or converts", () => {
  it.each([
    [{ a: undefined, b: 1 }],
    [[undefined, 1]],
    [[new Array(2), 1]],
    [{ at: new Date(0) }],
    [{ at: new URL("https://example.com/") }],
    [{ value: { toJSON: (name: string) => `of ${name}` } }],
    [[{ toJSON: (name: string) => `of ${name}` }]],
    [Object.assign(Object.create({ inherited: 1 }), { own: 2 })],
    [JSON.parse('{"__proto__": 1}')],
  ])("is hashed as what it becomes: %j", (data) => {
    expect(createHash(data)).toBe(createHash(JSON.parse(JSON.stringify(data))));
  });
});

describe("what has no JSON form", () => {
  it.each((rejected as Vector[]).filter(({ only }) => only !== "python"))(
    "is refused: $about",
    ({ json, value }) => {
      expect(() => createHash(json === undefined ? Number(value) : JSON.parse(json))).toThrow(
        TypeError,
      );
    },
  );

  const circular: { list: unknown[] } = { list: [] };
  circular.list.push({ circular });

  it.each([
    ["undefined", undefined],
    ["a function", () => 1],
    ["a function", { a: () => 1 }],
    ["a symbol", Symbol("a")],
    ["a bigint", [1n]],
    ["an object that contains itself", circular],
    ["[object Map]", new Map([["a", 1]])],
    ["[object Set]", { a: new Set([1]) }],
    ["[object Uint8Array]", new Uint8Array(2)],
    ["[object Date]", { at: Object.assign(new Date(0), { toJSON: undefined }) }],
  ])("is refused: %s", (what, data) => {
    expect(() => createHash(data)).toThrow(TypeError);
    expect(() => createHash(data)).toThrow(what);
  });

  it("is not what stands twice without containing itself", () => {
    const twice = { a: 1 };
    expect(canonicalJson([twice, twice])).toBe('[{"a":1},{"a":1}]');
  });
});

function reversed(data: unknown): unknown {
  if (Array.isArray(data)) return data.map(reversed);
  if (typeof data !== "object" || data === null) return data;
  return Object.fromEntries(
    Object.entries(data)
      .reverse()
      .map(([name, value]) => [name, reversed(value)]),
  );
}
