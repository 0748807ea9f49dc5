// The stack of optimistic updates of one key.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MutationStack, type Pending } from "../../src/core/mutations.ts";

const adding = (text: string): Pending => ({
  update: (data) => [...(data as string[]), text],
  isSettled: false,
});

describe("pending mutations", () => {
  it("are applied over the data, the oldest first", () => {
    const stack = new MutationStack();
    stack.push(adding("a"));
    stack.push(adding("b"));
    expect(stack.applied(["data"])).toEqual(["data", "a", "b"]);
    expect(stack.applied(["newer"])).toEqual(["newer", "a", "b"]);
  });

  it("leave the data itself as it is where there are none", () => {
    const data = ["data"];
    expect(new MutationStack().applied(data)).toBe(data);
  });

  it("go one by one: the first that fails leaves the second", () => {
    const stack = new MutationStack();
    const [first, second] = [adding("a"), adding("b")];
    stack.push(first);
    stack.push(second);
    stack.remove(first);
    expect(stack.applied([])).toEqual(["b"]);
  });

  it("go with a fetch that began after they were settled, and not with one begun before", () => {
    const stack = new MutationStack();
    const pending = adding("a");
    stack.push(pending);
    stack.fetchStarted();
    pending.isSettled = true;
    stack.fetchSucceeded();
    expect(stack.applied([])).toEqual(["a"]);
    stack.fetchStarted();
    expect(stack.applied([])).toEqual(["a"]);
    stack.fetchSucceeded();
    expect(stack.applied([])).toEqual([]);
  });

  it("stay when a fetch fails", () => {
    const stack = new MutationStack();
    const pending = adding("a");
    stack.push(pending);
    pending.isSettled = true;
    stack.fetchStarted();
    stack.fetchStarted(); // the first one failed
    expect(stack.applied([])).toEqual(["a"]);
  });

  it("show exactly those that no fetch has covered, in their order", () => {
    const step = fc.record({
      do: fc.constantFrom("push", "settle", "drop", "start", "succeed"),
      which: fc.nat(4),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const stack = new MutationStack();
        let model: { pending: Pending; name: string; isCovered: boolean }[] = [];
        for (const [at, { do: what, which }] of steps.entries()) {
          const chosen = model[which];
          if (what === "push") {
            const pending = adding(String(at));
            stack.push(pending);
            model.push({ pending, name: String(at), isCovered: false });
          } else if (what === "settle" && chosen) chosen.pending.isSettled = true;
          else if (what === "drop" && chosen) {
            stack.remove(chosen.pending);
            model = model.filter((each) => each !== chosen);
          } else if (what === "start") {
            stack.fetchStarted();
            for (const each of model) each.isCovered = each.pending.isSettled;
          } else if (what === "succeed") {
            stack.fetchSucceeded();
            model = model.filter((each) => !each.isCovered);
          }
          expect(stack.applied([])).toEqual(model.map((each) => each.name));
        }
      }),
    );
  });
});
