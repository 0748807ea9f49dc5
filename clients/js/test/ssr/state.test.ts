// State as text inside a page, and back.
import { describe, expect, it } from "vitest";
import { deserializeRealityState, serializeRealityState } from "../../src/ssr/index.ts";

const NODE = { version: 5, hash: "ab", updatedAt: 1_700_000_000_000, deleted: false };

describe("serializeRealityState", () => {
  it("says nothing that HTML or a script would take for its own", () => {
    const key = "</script><script>alert(1)</script><!--&amp;\u2028\u2029";
    const text = serializeRealityState({
      cursor: "</script>",
      nodes: { [key]: { version: 1, data: key } },
    });
    expect(text).not.toMatch(/[<>&\u2028\u2029]/);
    expect(JSON.parse(text).nodes[key].data).toBe(key);
  });

  it("refuses data without a JSON form", () => {
    expect(() => serializeRealityState({ nodes: { a: { version: 1, data: 1n } } })).toThrow(
      TypeError,
    );
  });
});

describe("deserializeRealityState", () => {
  it.each([
    { nodes: {} },
    { cursor: "1;0;s=4", nodes: { posts: NODE, "user:1": { version: 0 } } },
    { cursor: "", nodes: { posts: { ...NODE, isStale: true, data: [{ id: 1 }, null] } } },
    {
      nodes: Object.fromEntries([
        ["__proto__", NODE],
        ["constructor", NODE],
        ["</script>", NODE],
      ]),
    },
  ])("gives back %j", (state) => {
    const read = deserializeRealityState(serializeRealityState(state));
    expect(read).toEqual(state);
    expect(Object.keys(read.nodes)).toEqual(Object.keys(state.nodes));
    expect(Object.getPrototypeOf(read.nodes)).toBe(Object.prototype);
  });

  it("leaves out what it does not know", () => {
    const read = deserializeRealityState('{"nodes":{"a":{"version":1,"more":2}},"other":3}');
    expect(read).toEqual({ nodes: { a: { version: 1 } } });
  });

  it.each([
    ["", "it is not JSON"],
    ["<html>", "it is not JSON"],
    ["null", "it is not an object"],
    ["[]", "it is not an object"],
    ['{"cursor":"x"}', "`nodes` is not an object"],
    ['{"nodes":[]}', "`nodes` is not an object"],
    ['{"nodes":{},"cursor":5}', "`cursor` is not a text"],
    ['{"nodes":{"posts":7}}', '`nodes["posts"]` is not an object'],
    ['{"nodes":{"posts":{}}}', '`nodes["posts"].version` is not a whole number from 0'],
    ['{"nodes":{"posts":{"version":"1"}}}', '`nodes["posts"].version`'],
    ['{"nodes":{"posts":{"version":-1}}}', '`nodes["posts"].version`'],
    ['{"nodes":{"posts":{"version":1.5}}}', '`nodes["posts"].version`'],
    ['{"nodes":{"posts":{"version":4503599627370496}}}', '`nodes["posts"].version`'],
    ['{"nodes":{"posts":{"version":1,"hash":2}}}', '`nodes["posts"].hash` is not a text'],
    ['{"nodes":{"posts":{"version":1,"updatedAt":"now"}}}', '`nodes["posts"].updatedAt`'],
    ['{"nodes":{"posts":{"version":1,"deleted":1}}}', '`nodes["posts"].deleted`'],
    ['{"nodes":{"posts":{"version":1,"isStale":null}}}', '`nodes["posts"].isStale`'],
    ['{"nodes":{"":{"version":1}}}', "key"],
    ['{"nodes":{"posts:*":{"version":1}}}', "posts:*"],
  ])("refuses %s", (text, problem) => {
    const read = () => deserializeRealityState(text);
    expect(read).toThrow(TypeError);
    expect(read).toThrow("this is not a state of Reality: ");
    expect(read).toThrow(problem);
  });
});
