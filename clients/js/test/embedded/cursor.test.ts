// Cursors: `conformance/vectors/cursor.json`.
import { describe, expect, it } from "vitest";
import { advance, type Cursor, decodeCursor, encodeCursor } from "../../src/embedded/cursor.ts";
import { spelled, type Vector, vectors } from "../vectors.ts";

const { decoded, advanced } = vectors("cursor");

describe("a text", () => {
  it.each(decoded as Vector[])(
    "is read as a cursor, or as none: $text",
    ({ text, positions, ...vector }) => {
      const cursor = decodeCursor(spelled(text));
      if (positions === null) {
        expect(cursor).toBeNull();
        return;
      }
      const { generation, positions: read } = cursor as Cursor;
      expect(generation).toBe(vector.generation);
      expect(
        Array.from(read, ([origin, { sequence, tag }]) => {
          return [origin, sequence, tag ? tag.toString(16) : ""];
        }),
      ).toEqual(positions);
      expect(encodeCursor(cursor as Cursor)).toBe(vector.written ?? spelled(text));
    },
  );
});

describe("the cursor of an answer", () => {
  it.each(advanced as Vector[])(
    "has the later of both: $about",
    ({ asked, digest, generation, answer }) => {
      const { positions } = decodeCursor(digest) as Cursor;
      const cursor = advance(decodeCursor(asked) as Cursor, positions, generation ?? 0);
      expect(encodeCursor(cursor)).toBe(answer);
    },
  );
});
