// Requests of several tabs that are asked as one: what is asked, and who is told what.
import { describe, expect, it } from "vitest";
import type { SyncRequest } from "../../src/core/messages.ts";
import { Joint } from "../../src/tabs/joint.ts";
import { inVirtualTime, passing, Script, unreachable } from "../client/support.ts";

inVirtualTime();

const GATHERED_MS = 100;

function requestOf(known: Record<string, number>, cursor?: string): SyncRequest {
  const rest = { clientId: "one", mode: "native", hint: "idle", wait: 25_000 } as const;
  return { known, ...rest, ...(cursor !== undefined && { cursor }) };
}

function joint() {
  const script = new Script();
  const told: Record<string, unknown> = {};
  const one = new Joint(script, (id, outcome) => {
    const { changed, cursor } = outcome as { changed?: object; cursor?: string };
    told[id] = changed ? [changed, cursor] : outcome;
  });
  return { one, script, told };
}

const node = (version: number) => ({ version, hash: "" });

describe("requests of several tabs", () => {
  it("are asked as one, with the oldest version that anybody knows", async () => {
    const { one, script } = joint();
    one.add("a", requestOf({ posts: 5, constructor: 1 }, "c1"));
    one.add("b", requestOf({ posts: 4, user: 0 }, "c2"));
    await passing(GATHERED_MS);
    expect(script.questions).toHaveLength(1);
    expect(script.last.request).toMatchObject({
      known: { posts: 4, constructor: 1, user: 0 },
      cursor: "c1",
      wait: 25_000,
    });
  });

  it("are each told what is news for them; others go on waiting", async () => {
    const { one, script, told } = joint();
    one.add("a", requestOf({ posts: 5 }, "c1"));
    one.add("b", requestOf({ posts: 4 }, "c1"));
    one.add("c", requestOf({ user: 1 }, "c1"));
    await passing(GATHERED_MS);
    script.last.answer({ posts: { version: 5 } }, { cursor: "c2" });
    await passing(0);
    expect(told).toEqual({ b: [{ posts: node(5) }, "c2"] });
    await passing(GATHERED_MS);
    expect(script.last.request).toMatchObject({ known: { posts: 5, user: 1 }, cursor: "c2" });
  });

  it("are all told when nobody has news: the server does not hold, or has held for long", async () => {
    const { one, script, told } = joint();
    one.add("a", requestOf({ posts: 5 }, "c1"));
    one.add("b", requestOf({ user: 4 }, "c1"));
    await passing(GATHERED_MS);
    script.last.answer({}, { cursor: "c1" });
    await passing(1_000);
    expect(told).toEqual({ a: [{}, "c1"], b: [{}, "c1"] });
    expect(script.questions).toHaveLength(1);
  });

  it("are asked again when all is known that a cursor does not cover yet", async () => {
    const { one, script, told } = joint();
    one.add("a", requestOf({ posts: 5 }, "old"));
    await passing(GATHERED_MS);
    script.last.answer({ posts: { version: 5 } }, { cursor: "new" });
    await passing(GATHERED_MS);
    expect(told).toEqual({});
    expect(script.last.request).toMatchObject({ cursor: "new" });
  });

  it("move a cursor only on from where it was, or with a reset (I1)", async () => {
    const { one, script, told } = joint();
    one.add("a", requestOf({ posts: 5 }, "c1"));
    one.add("b", requestOf({ posts: 5 }, "own"));
    await passing(GATHERED_MS);
    script.last.answer({ posts: { version: 6 } }, { cursor: "c2" });
    await passing(0);
    expect(told).toEqual({ a: [{ posts: node(6) }, "c2"], b: [{ posts: node(6) }, "own"] });
    one.add("a", requestOf({ posts: 6 }, "c2"));
    one.add("b", requestOf({ posts: 6 }, "own"));
    await passing(GATHERED_MS);
    script.last.answer({ posts: { version: 6 } }, { cursor: "c3", reset: true });
    await passing(0);
    expect(told).toEqual({ a: [{ posts: node(6) }, "c3"], b: [{ posts: node(6) }, "c3"] });
  });

  it("are not answered by what was asked before them (I1)", async () => {
    const { one, script, told } = joint();
    one.add("a", requestOf({ posts: 5 }, "c1"));
    await passing(GATHERED_MS);
    one.add("b", requestOf({ user: 5 }, "c1"));
    script.last.answer({}, { cursor: "c2" });
    await passing(0);
    expect(told).toEqual({ a: [{}, "c2"] });
    await passing(GATHERED_MS);
    expect(script.last.request.known).toEqual({ user: 5 });
  });

  it("replace what is under way when there are more of them", async () => {
    const { one, script } = joint();
    one.add("a", requestOf({ posts: 5 }, "c1"));
    await passing(GATHERED_MS);
    one.add("b", requestOf({ user: 5 }, "c1"));
    one.add("c", requestOf({ user: 6 }, "c1"));
    await passing(GATHERED_MS);
    expect(script.questions.map(({ signal }) => signal.aborted)).toEqual([true, false]);
  });

  it("wait as long as the server wants to be left alone (P15)", async () => {
    const { one, script } = joint();
    one.add("a", requestOf({ posts: 5 }, "c1"));
    one.add("b", requestOf({ user: 5 }, "c1"));
    await passing(GATHERED_MS);
    script.last.answer({ posts: { version: 6 } }, { cursor: "c2", retryAfterMs: 3_000 });
    await passing(2_900);
    expect(script.questions).toHaveLength(1);
    await passing(100);
    expect(script.questions).toHaveLength(2);
  });

  it("all fail with the one that was asked", async () => {
    const { one, script, told } = joint();
    one.add("a", requestOf({ posts: 5 }));
    one.add("b", requestOf({ user: 5 }));
    await passing(GATHERED_MS);
    const error = unreachable();
    script.last.fail(error);
    await passing(1_000);
    expect(told).toEqual({ a: error, b: error });
    expect(script.questions).toHaveLength(1);
  });

  it("end with the last of them", async () => {
    const { one, script, told } = joint();
    one.add("a", requestOf({ posts: 5 }, "c1"));
    await passing(GATHERED_MS);
    one.add("a");
    expect(script.last.signal.aborted).toBe(true);
    await passing(1_000);
    expect([told, script.questions.length]).toEqual([{}, 1]);
  });
});
