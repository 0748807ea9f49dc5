// Plays the scripts of `conformance/vectors/graph.json`: operations on several named graphs.

import type { RealityError } from "../../src/core/errors.ts";
import { decodeCursor, type Position, START } from "../../src/embedded/cursor.ts";
import type { Delta, Touched } from "../../src/embedded/delta.ts";
import { Graph } from "../../src/embedded/graph.ts";
import type { Vector } from "../vectors.ts";

/** The members of a step that say what it gives, by operation. */
const OUTCOMES: Record<string, readonly string[]> = {
  touch: ["sequence"],
  renew: [],
  fork: [],
  pages: ["pages"],
  merge: ["applied", "touched", "newOrigin"],
  pull: [],
  answer: ["changed", "nextCursor", "reset"],
  version: ["version"],
  node: ["node"],
  listing: ["listed", "more"],
  state: ["digest", "position", "versionMax", "names"],
};

/** What a step says that it gives. */
export function expectedOf(step: Vector): Vector {
  const names = "code" in step ? ["code"] : (OUTCOMES[step.do] as readonly string[]);
  return comparable(Object.fromEntries(names.map((name) => [name, step[name]])));
}

/** The graphs of one script by name, and the pages that were saved. */
export class Stage {
  readonly #graphs = new Map<string, Graph>();
  readonly #saved = new Map<string, readonly Delta[]>();

  constructor(graphs: Record<string, Vector>) {
    for (const [name, { origin, register, originsMax }] of Object.entries(graphs)) {
      this.#graphs.set(name, new Graph(origin, { register, originsMax: originsMax ?? 64 }));
    }
  }

  /** What one step gives. */
  play(step: Vector): Vector {
    try {
      return comparable(this.#perform(step));
    } catch (error) {
      if (!("code" in step)) throw error;
      return { code: (error as RealityError).code };
    }
  }

  #perform(step: Vector): Vector {
    switch (step.do) {
      case "touch":
        return { sequence: this.#at(step).touch(step.names, { nowMs: step.now, ...batch(step) }) };
      case "renew":
        this.#graphs.set(step.at, this.#at(step).renewed(step.origin, step.now));
        return {};
      case "fork":
        this.#graphs.set(step.as, this.#at(step).forked(step.origin, step.now));
        return {};
      case "pages":
        return { pages: this.#pages(step).map(written) };
      case "merge":
        return this.#merge(step);
      case "pull":
        this.#pull(step);
        return {};
      case "answer": {
        const { known, cursor, hidden } = step;
        const answer = this.#at(step).answer(known, cursor, new Set(hidden ?? []));
        const changed = Object.fromEntries(answer.changed);
        return { changed, nextCursor: answer.cursor, reset: answer.reset };
      }
      case "version":
        return { version: this.#at(step).version(step.key) };
      case "node":
        return { node: this.#at(step).node(step.key) };
      case "listing":
        return this.#at(step).listing(step.since, step.limit);
      case "state": {
        const { cursor: digest, position, versionMax, size: names } = this.#at(step);
        return { digest, position, versionMax, names };
      }
      default:
        throw new Error(`no such operation: ${step.do}`);
    }
  }

  #pages(step: Vector): readonly Delta[] {
    const graph = this.#at(step);
    const pages: Delta[] = [];
    const since = { sequence: step.since, tag: 0 };
    for (const page of graph.delta(step.origin, since, step.pageMax)) {
      if (step.between && pages.length === 0) {
        graph.touch(step.between.names, { nowMs: step.between.now });
      }
      pages.push({ ...page, register: step.register ?? page.register });
    }
    this.#saved.set(step.save, pages);
    return pages;
  }

  #merge(step: Vector): Vector {
    const [name, number] = String(step.page).split(".");
    const saved = this.#saved.get(name as string)?.[Number(number)];
    const page = "delta" in step ? read(step.delta) : (saved as Delta);
    const { applied, touched, newOrigin } = this.#at(step).merge(page);
    return { applied, touched: [...touched].sort(), newOrigin };
  }

  #pull(step: Vector): void {
    const sender = this.#graphs.get(step.from) as Graph;
    const receiver = this.#graphs.get(step.to) as Graph;
    const held = new Map(receiver.digest);
    for (const [origin, position] of sender.digest) {
      const { sequence } = held.get(origin) ?? START;
      if (sequence > position.sequence) continue;
      for (const page of sender.delta(origin, { sequence, tag: 0 })) receiver.merge(page);
    }
  }

  #at(step: Vector): Graph {
    return this.#graphs.get(step.at) as Graph;
  }
}

function batch({ hash, deleted }: Vector): { hash?: string; deleted?: boolean } {
  return { hash: hash ?? "", deleted: deleted ?? false };
}

/** Cursors are compared by what they hold: the order of their entries is not part of a script. */
function comparable(outcomes: Vector): Vector {
  const read = ([name, value]: [string, unknown]) =>
    name === "nextCursor" || name === "digest"
      ? [name, decodeCursor(String(value))]
      : [name, value];
  return Object.fromEntries(Object.entries(outcomes).map(read));
}

/** A page as the vectors have it, where what is at its default is left out. */
function written(page: Delta): Vector {
  const { since, upto, past, touched, ...same } = page;
  return {
    ...same,
    since: since.sequence,
    ...(since.tag && { since_tag: since.tag }),
    upto: [upto.sequence, upto.tag],
    touched: touched.map(({ updatedAt, ...each }) => ({ ...each, updated_at: updatedAt })),
    ...(past.length > 0 && { past: past.map(({ sequence, tag }) => [sequence, tag]) }),
  };
}

/** A page that the vectors write out. */
function read(page: Vector): Delta {
  const position = ([sequence, tag]: [number, number]): Position => ({ sequence, tag });
  return {
    ...(page as Delta),
    since: { sequence: page.since, tag: page.since_tag ?? 0 },
    upto: position(page.upto),
    past: (page.past ?? []).map(position),
    touched: page.touched.map(({ updated_at: updatedAt, ...each }: Vector) => {
      return { ...each, updatedAt } as Touched;
    }),
  };
}
