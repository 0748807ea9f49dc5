// The bodies of event streams, as the HTML standard reads them.
import { describe, expect, it } from "vitest";
import { framesOf } from "../../src/compat/frames.ts";

const one = (
  data: string | undefined,
  { type = "", id = undefined as string | undefined } = {},
) => ({
  type,
  data,
  id,
});

describe("framesOf", () => {
  it.each([
    ["data: a\n\n", [one("a")]],
    ["data:a\r\n\r\ndata:b\r\r", [one("a"), one("b")]],
    ["data\n\n", [one("")]],
    ["data\ndata\n\n", [one("\n")]],
    ["data:  two spaces\n\n", [one(" two spaces")]],
    ["data: a:b\n\n", [one("a:b")]],
    ["event: x\nid: 1\ndata: a\n\n", [one("a", { type: "x", id: "1" })]],
    ["id: 1\0\ndata: a\n\n", [one("a")]],
    ["id\ndata: a\n\n", [one("a", { id: "" })]],
    ["retry: 10\nunknown: x\n: comment\ndata: a\n\n", [one("a")]],
    ["Data: a\ndata: b\n\n", [one("b")]],
    ["", []],
  ])("reads %j", (body, frames) => {
    expect(framesOf(body)).toEqual(frames);
  });

  it("keeps the id of a frame without data", () => {
    expect(framesOf("id: 9\n\ndata: a\n\n")).toEqual([one(undefined, { id: "9" }), one("a")]);
  });

  it("takes nothing of a frame that is not closed", () => {
    expect(framesOf("data: a\n\ndata: b\n")).toEqual([one("a")]);
    expect(framesOf("data: a\n\ndata: b")).toEqual([one("a")]);
  });
});
