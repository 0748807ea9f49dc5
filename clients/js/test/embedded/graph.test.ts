// The graph: `conformance/vectors/graph.json`, and the invariants under random histories.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { covers } from "../../src/core/keys.ts";
import { START } from "../../src/embedded/cursor.ts";
import { Graph } from "../../src/embedded/graph.ts";
import { type Vector, vectors } from "../vectors.ts";
import { expectedOf, Stage } from "./graph-script.ts";

describe("a script of the vectors", () => {
  it.each(vectors("graph").scripts as Vector[])(
    "gives what it says: $about",
    ({ graphs, steps }) => {
      const stage = new Stage(graphs);
      for (const [number, step] of steps.entries()) {
        expect(stage.play(step), `step ${number}: ${JSON.stringify(step)}`).toEqual(
          expectedOf(step),
        );
      }
    },
  );
});

const KEYS = ["a", "a:1", "a:1:x", "a:2", "b", "b:1", "c"];
const names = fc.uniqueArray(fc.constantFrom(...KEYS, "*", "a:*", "a:1:*", "b:*"), {
  minLength: 1,
  maxLength: 3,
});
const batch = fc.record({ names, hash: fc.constantFrom("", "h1", "h2"), deleted: fc.boolean() });
const asked = fc.uniqueArray(fc.constantFrom(...KEYS), { minLength: 1 });

function pull(receiver: Graph, sender: Graph, pageMax: number): void {
  for (const origin of sender.digest.keys()) {
    const since = receiver.digest.get(origin) ?? START;
    if (since.sequence > (sender.digest.get(origin) ?? START).sequence) continue;
    for (const page of sender.delta(origin, since, pageMax)) receiver.merge(page);
  }
}

function view(graph: Graph) {
  return { nodes: KEYS.map((key) => [graph.version(key), graph.node(key)]), digest: graph.digest };
}

describe("servers that exchange state", () => {
  const step = fc.record({
    at: fc.nat(2),
    from: fc.nat(2),
    batch,
    pages: fc.integer({ min: 1, max: 4 }),
  });
  const steps = fc.array(fc.record({ kind: fc.constantFrom("touch", "pull"), step }), {
    maxLength: 40,
  });

  it("end alike in whatever order they do (I8), and no version ever falls (I4)", () => {
    fc.assert(
      fc.property(steps, (history) => {
        const graphs = [0, 1, 2].map((id) => new Graph(`s${id}~1`, { register: 1_000 * (id + 1) }));
        const highest = graphs.map(() => new Map<string, number>());
        for (const [now, { kind, step: each }] of history.entries()) {
          const graph = graphs[each.at] as Graph;
          if (kind === "touch") graph.touch(each.batch.names, { ...each.batch, nowMs: now });
          else pull(graph, graphs[each.from] as Graph, each.pages);
          for (const key of KEYS) {
            const before = highest[each.at]?.get(key) ?? 0;
            expect(graph.version(key)).toBeGreaterThanOrEqual(before);
            highest[each.at]?.set(key, graph.version(key));
          }
        }
        for (const _ of graphs) {
          for (const to of graphs) for (const from of graphs) pull(to, from, 2);
        }
        const [first, ...others] = graphs.map(view);
        for (const other of others) expect(other).toEqual(first);
      }),
    );
  });

  it("take in the same page twice as once, and two in either order", () => {
    fc.assert(
      fc.property(fc.array(batch), fc.array(batch), (ofFirst, ofSecond) => {
        const senders = [ofFirst, ofSecond].map((batches, id) => {
          const graph = new Graph(`s${id}~1`, { register: id });
          for (const each of batches) graph.touch(each.names, { ...each, nowMs: 1 });
          return [...graph.delta(graph.ownOrigin, START)];
        });
        const [first = [], second = []] = senders;
        const views = [
          [...first, ...second],
          [...second, ...first],
          [...first, ...first, ...second, ...first],
        ].map((pages) => {
          const receiver = new Graph("r~1", { register: 5 });
          for (const page of pages) receiver.merge(page);
          return view(receiver);
        });
        expect(views[1]).toEqual(views[0]);
        expect(views[2]).toEqual(views[0]);
      }),
    );
  });
});

describe("a client that keeps its cursor and its versions, and asks one server or another", () => {
  const at = fc.nat(1);
  const event = fc.oneof(
    { weight: 4, arbitrary: fc.record({ at, touch: batch }) },
    { weight: 3, arbitrary: fc.record({ at, sync: asked }) },
    { weight: 1, arbitrary: fc.record({ at, syncAll: fc.constant(true) }) },
    { weight: 1, arbitrary: fc.record({ at, pull: fc.constant(true) }) },
    { weight: 1, arbitrary: fc.record({ at, renew: fc.constant(true) }) },
  );

  it("is told of every touch once servers have exchanged state (I1), and nothing twice (I2)", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), at, (events, last) => {
        const graphs = [0, 1].map((id) => new Graph(`s${id}~0`, { register: 1_000 - 900 * id }));
        const client = new ModelClient();
        for (const [now, each] of events.entries()) {
          const graph = graphs[each.at] as Graph;
          if ("touch" in each) {
            graph.touch(each.touch.names, { ...each.touch, nowMs: now });
            client.touched(each.touch.names, graph);
          } else if ("sync" in each) client.sync(graph, each.sync);
          else if ("syncAll" in each) client.sync(graph, KEYS);
          else {
            // Nothing that only this server knew may be lost, or nobody could tell of it.
            pull(graphs[1 - each.at] as Graph, graph, 2);
            if ("renew" in each) graphs[each.at] = graph.renewed(`s${each.at}~${now + 1}`, now);
          }
        }
        const [first, second] = graphs as [Graph, Graph];
        pull(first, second, 2);
        pull(second, first, 2);
        client.sync(graphs[last] as Graph, KEYS);
        expect(client.missing).toEqual([]);
        const { changed, reset } = client.sync(graphs[last] as Graph, KEYS);
        expect({ changed, reset }).toEqual({ changed: new Map(), reset: false });
      }),
      { numRuns: 300 },
    );
  });
});

/** A client, and the touches since its last fetch of each key began. */
class ModelClient {
  missing: { key: string; origin: string; sequence: number }[] = [];
  /** The versions of the keys that it holds: those that it has ever asked for. */
  readonly #known = new Map<string, number>();
  #cursor: string | null = null;

  touched(touched: readonly string[], { ownOrigin: origin, digest }: Graph): void {
    const { sequence } = digest.get(origin) ?? START;
    for (const key of KEYS) {
      const isTouched = touched.some((name) => covers(name, key));
      if (isTouched) this.missing.push({ key, origin, sequence });
    }
  }

  sync(graph: Graph, keys: readonly string[]) {
    for (const key of keys) this.#known.set(key, this.#known.get(key) ?? 0);
    const known = Object.fromEntries(keys.map((key) => [key, this.#known.get(key) as number]));
    const answer = graph.answer(known, this.#cursor);
    for (const [key, { version }] of answer.changed) this.#known.set(key, version);
    // P10: only an answer about every key held moves the cursor.
    if (keys.length === this.#known.size) this.#cursor = answer.cursor;
    // What was reported is fetched from the application, and so is as new as all touches before.
    this.missing = this.missing.filter(({ key }) => !answer.changed.has(key));
    // P1: of what this server has heard of, everything is told.
    const unheeded = this.missing.filter(({ key, origin, sequence }) => {
      return keys.includes(key) && (graph.digest.get(origin)?.sequence ?? 0) >= sequence;
    });
    expect(unheeded).toEqual([]);
    return answer;
  }
}
