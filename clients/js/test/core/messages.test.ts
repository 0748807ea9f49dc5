// Reading answers: the client's side of `conformance/vectors/codec.json`, and answers of anything else
// that may stand in front of a server.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RealityError } from "../../src/core/errors.ts";
import { readSyncResponse, readVersions } from "../../src/core/messages.ts";
import { cases, spelled, type Vector } from "../vectors.ts";

const answers = cases("codec", "answers");
const about = (message: string, isRead: boolean) =>
  answers.filter((each) => each.message === message && (each.code === undefined) === isRead);

/** As transports do it: what is no JSON is undefined. */
function parsed(body: unknown): unknown {
  const { hex } = (body ?? {}) as Vector;
  const text = hex ? new TextDecoder().decode(Buffer.from(hex, "hex")) : spelled(body);
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function code(act: () => unknown): string | undefined {
  try {
    act();
  } catch (error) {
    if (error instanceof RealityError) return error.code;
    throw error;
  }
  return undefined;
}

const sync = (members: object = {}) => ({
  changed: {},
  mesh: { peers: {}, serverVersion: 0 },
  serverTime: 0,
  ...members,
});
const node = (members: object) => sync({ changed: { posts: members } });

describe("the answer to a sync", () => {
  it.each(about("sync", true))("is read: $about", ({ body, members }) => {
    // Who touched a key is of no use to a client, which may leave it out.
    const { changed, ...rest } = members as Vector;
    const nodes = Object.entries(changed as Vector).map(([key, { source: _, ...node }]) => [
      key,
      node,
    ]);
    const read = readSyncResponse(parsed(body));
    expect(read).toMatchObject({ ...rest, changed: Object.fromEntries(nodes) });
    expect(Object.keys(read.changed)).toEqual(Object.keys(changed));
  });

  it.each(about("sync", false))("is refused: $about", ({ body, code: expected }) => {
    expect(code(() => readSyncResponse(parsed(body)))).toBe(expected);
  });

  it.each([undefined, null, 7, "text", [], true])("is refused where it is %j", (value) => {
    expect(code(() => readSyncResponse(value))).toBe("protocol_error");
  });

  it.each([
    ["no version", node({ hash: "" })],
    ["a version in words", node({ version: "6" })],
    ["half a version", node({ version: 6.5 })],
    ["a version beyond 2^52", node({ version: 2 ** 52 })],
    ["a key that is null", sync({ changed: { posts: null } })],
    ["a key that is a list", sync({ changed: { posts: [6] } })],
  ])("is refused with %s", (_, value) => {
    expect(code(() => readSyncResponse(value))).toBe("protocol_error");
  });

  it("keeps keys that objects have of their own accord", () => {
    const read = readSyncResponse(
      JSON.parse(
        '{"changed":{"__proto__":{"version":1},"constructor":{"version":2}},"mesh":{"peers":{},"serverVersion":0},"serverTime":0}',
      ),
    );
    expect(Object.keys(read.changed)).toEqual(["__proto__", "constructor"]);
    expect(Object.getOwnPropertyDescriptor(read.changed, "__proto__")?.value.version).toBe(1);
  });

  it("is read or refused, whatever comes", () => {
    const anything = fc.jsonValue() as fc.Arbitrary<unknown>;
    const members = fc.record(
      {
        changed: fc.oneof(
          anything,
          fc.dictionary(fc.string(), fc.oneof(anything, fc.record({ version: fc.nat() }))),
        ),
        mesh: anything,
        serverTime: anything,
        cursor: anything,
        reset: anything,
        spreadMs: anything,
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(anything, members), (value) => {
        expect([undefined, "protocol_error"]).toContain(code(() => readSyncResponse(value)));
      }),
    );
  });
});

describe("the answer to an invalidation", () => {
  it.each(about("invalidate", true))("is read: $about", ({ body, members }) => {
    expect(readVersions(parsed(body))).toEqual((members as Vector).versions);
  });

  it.each(about("invalidate", false))("is refused: $about", ({ body, code: expected }) => {
    expect(code(() => readVersions(parsed(body)))).toBe(expected);
  });

  it.each([undefined, null, [], { versions: [] }, { versions: null }])(
    "is refused: %j",
    (value) => {
      expect(code(() => readVersions(value))).toBe("protocol_error");
    },
  );

  it.each(["6", -1, 6.5, null, {}])("is refused if a version is %j", (version) => {
    expect(code(() => readVersions({ versions: { posts: version } }))).toBe("protocol_error");
  });
});
