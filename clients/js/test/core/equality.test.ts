// Whether data that was fetched again is what it was before.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isSame } from "../../src/core/equality.ts";

class Point {
  constructor(readonly x: number) {}
}

describe("data", () => {
  it.each([
    ["equal texts", "a", "a"],
    ["NaN and NaN", Number.NaN, Number.NaN],
    ["nothing", undefined, undefined],
    ["equal lists", [1, [2]], [1, [2]]],
    ["equal objects in another order", { a: 1, b: { c: [] } }, { b: { c: [] }, a: 1 }],
    ["an own __proto__", JSON.parse('{"__proto__":1}'), JSON.parse('{"__proto__":1}')],
  ])("is the same: %s", (_, one, other) => {
    expect(isSame(one, other)).toBe(true);
  });

  it.each([
    ["another number", 1, 2],
    ["0 and -0", 0, -0],
    ["null and nothing", null, undefined],
    ["null and an object", null, {}],
    ["a text and a number", "1", 1],
    ["a list and an object like it", [], {}],
    ["a list and one that is longer", [1], [1, 2]],
    ["a member that is undefined and none", { a: undefined }, { b: undefined }],
    ["one member more", { a: 1 }, { a: 1, b: 2 }],
    ["another own __proto__", JSON.parse('{"__proto__":1}'), JSON.parse('{"__proto__":2}')],
    ["an inherited member", { a: 1 }, { toString: 1 }],
    ["dates", new Date(0), new Date(0)],
    ["maps", new Map(), new Map()],
    ["instances of a class", new Point(1), new Point(1)],
    ["a hole and undefined", new Array(1), [undefined]],
  ])("is not the same: %s", (_, one, other) => {
    expect(isSame(one, other)).toBe(false);
    expect(isSame(other, one)).toBe(false);
  });

  it("that is not plain is the same as itself", () => {
    const date = new Date(0);
    expect(isSame({ date }, { date })).toBe(true);
  });

  it("is the same as its own copy", () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => isSame(value, structuredClone(value))));
  });

  it("is the same whichever side is asked, and only where its JSON is", () => {
    fc.assert(
      fc.property(fc.json(), fc.json(), (one, other) => {
        const [left, right] = [JSON.parse(one), JSON.parse(other)];
        expect(isSame(left, right)).toBe(isSame(right, left));
        if (JSON.stringify(left) !== JSON.stringify(right) && typeof left !== "object") {
          expect(isSame(left, right)).toBe(false);
        }
      }),
    );
  });
});
