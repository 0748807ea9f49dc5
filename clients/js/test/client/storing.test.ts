// What is kept over page loads.
import { describe, expect, it, vi } from "vitest";
import type { RealityStorage } from "../../src/client/types.ts";
import { inVirtualTime, newClient, passing, Server, Source } from "./support.ts";

inVirtualTime();

/** A storage like `localStorage`, or one that takes its time. */
class Shelf implements RealityStorage {
  readonly texts = new Map<string, string>();
  writes = 0;
  readonly #delayMs: number;

  constructor(delayMs = 0) {
    this.#delayMs = delayMs;
  }

  getItem(name: string): string | null | Promise<string | null> {
    return this.#later(this.texts.get(name) ?? null);
  }

  setItem(name: string, value: string): unknown {
    this.writes += 1;
    this.texts.set(name, value);
    return this.#later(undefined);
  }

  get saved() {
    return JSON.parse([...this.texts.values()][0] ?? "[]");
  }

  #later<T>(value: T): T | Promise<T> {
    if (!this.#delayMs) return value;
    return new Promise((resolve) => setTimeout(resolve, this.#delayMs, value));
  }
}

/** One page load: a client that is subscribed to `posts`. */
function load(server: Server, storage: RealityStorage, source: Source) {
  const client = newClient({ transport: server, storage });
  client.subscribe("posts", () => {}, source);
  return client;
}

describe.each([0, 50])("a storage that takes %i ms", (delayMs) => {
  it("lets the next page load show data at once, and fetch nothing that is fresh", async () => {
    const [server, storage, source] = [new Server(), new Shelf(delayMs), new Source("first")];
    const first = load(server, storage, source);
    await passing(5_000);
    first.destroy();
    await passing(60_000);
    const second = load(server, storage, source);
    await passing(delayMs + 10);
    expect(second.getState("posts")).toMatchObject({ data: "first", status: "idle" });
    await passing(10_000);
    expect(source.calls).toBe(1);
  });

  it("misses nothing that was touched in between (I1)", async () => {
    const [server, storage, source] = [new Server(), new Shelf(delayMs), new Source("first")];
    const first = load(server, storage, source);
    await passing(5_000);
    first.destroy();
    source.data = "second";
    await server.invalidate("posts");
    const second = load(server, storage, source);
    await passing(10_000);
    expect(second.getState("posts")).toMatchObject({ data: "second", status: "idle" });
  });

  it("brings back as stale what was due when the page went (I1)", async () => {
    const [server, storage, source] = [new Server(), new Shelf(delayMs), new Source("first")];
    const first = load(server, storage, source);
    await passing(5_000);
    source.failure = new Error("down");
    source.data = "second";
    await server.invalidate("posts");
    await passing(5_000);
    first.destroy();
    await passing(1_000);
    expect(storage.saved[0].nodes.posts).toMatchObject({ data: "first", isStale: true });
    source.failure = undefined;
    const second = load(server, storage, source);
    await passing(10_000);
    expect(second.getState("posts")).toMatchObject({ data: "second", status: "idle" });
  });
});

describe("what is kept", () => {
  it("is one whole at any time: data, versions and cursor (I1)", async () => {
    const [server, storage, source] = [new Server(), new Shelf(), new Source("0")];
    load(server, storage, source);
    await passing(5_000);
    for (let number = 1; number < 30; number += 1) {
      source.data = String(number);
      source.delayMs = 37 * number;
      await server.invalidate("posts");
      await passing(500);
      // Whatever is on the shelf at this moment, the next page load ends with the newest data.
      const shelf = new Shelf();
      for (const [name, text] of storage.texts) shelf.texts.set(name, text);
      const other = load(server, shelf, source);
      await passing(5_000);
      expect(other.getState("posts")).toMatchObject({ data: String(number), status: "idle" });
      other.destroy();
    }
  });

  it("is written soon, not with every change, and when the page goes", async () => {
    const [server, storage, source] = [new Server(), new Shelf(), new Source("first")];
    const client = load(server, storage, source);
    await passing(5_000);
    const writes = storage.writes;
    await passing(60_000);
    expect(storage.writes).toBe(writes);
    for (let times = 0; times < 4; times += 1) {
      source.data = `next ${times}`;
      await server.invalidate("posts");
      await passing(200);
    }
    expect(storage.writes).toBe(writes);
    client.destroy();
    expect(storage.writes).toBe(writes + 1);
    expect(storage.saved[0].nodes.posts.data).toBe("next 3");
  });
});

describe("a storage", () => {
  it.each([
    [
      "cannot be read",
      {
        getItem: () => {
          throw new Error("forbidden");
        },
        setItem: () => {},
      },
    ],
    [
      "rejects",
      {
        getItem: () => Promise.reject(new Error("no")),
        setItem: () => Promise.reject(new Error("no")),
      },
    ],
    [
      "is full",
      {
        getItem: () => null,
        setItem: () => {
          throw new Error("quota");
        },
      },
    ],
    ["has something else", { getItem: () => "<html>", setItem: () => {} }],
    ["has another shape", { getItem: () => '{"nodes":7}', setItem: () => {} }],
    ["has null", { getItem: () => "null", setItem: () => {} }],
    [
      "has a strange version",
      {
        getItem: () => '[{"cursor":"1;0;s~1=1","nodes":{"posts":{"version":"x","data":"old"}}}]',
        setItem: () => {},
      },
    ],
    [
      "has a strange cursor",
      {
        getItem: () => '[{"cursor":7,"nodes":{"posts":{"version":1,"data":"old"}}}]',
        setItem: () => {},
      },
    ],
    [
      "has a strange key",
      {
        getItem: () =>
          '[{"cursor":"c","nodes":{"":{"version":1},"posts":{"version":1,"data":"old"}}}]',
        setItem: () => {},
      },
    ],
  ])("that %s does no harm", async (_, storage) => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const [server, source] = [new Server(), new Source("first")];
    const client = load(server, storage as RealityStorage, source);
    await passing(10_000);
    expect(client.getState("posts")).toMatchObject({ data: "first", status: "idle" });
    source.data = "second";
    await server.invalidate("posts");
    await passing(10_000);
    expect(client.getState("posts")?.data).toBe("second");
  });

  it("that fails is told of", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const failing = {
      getItem: () => null,
      setItem: () => {
        throw new Error("quota");
      },
    };
    load(new Server(), failing, new Source("first"));
    await passing(10_000);
    expect(warn.mock.calls.flat().join(" ")).toMatch(/reality: the storage .*quota/);
  });
});

describe("what is saved", () => {
  it("is not written again by what ends after the client", async () => {
    const [server, storage, source] = [new Server(), new Shelf(), new Source(["first"])];
    const client = load(server, storage, source);
    await passing(5_000);
    const send = () => new Promise((resolve) => setTimeout(resolve, 300, "second"));
    const applyResult = (list: string[] | undefined, added: unknown) => [
      ...(list ?? []),
      `${added}`,
    ];
    void client.mutate("posts", null, send, { applyResult });
    client.destroy();
    storage.texts.clear();
    await passing(10_000);
    expect(storage.texts.size).toBe(0);
  });

  it("is kept apart for clients of other servers", async () => {
    const [storage, source] = [new Shelf(), new Source("first")];
    for (const servers of [undefined, "http://a", ["http://a", "http://b"]]) {
      const client = newClient({ transport: new Server(), storage, servers });
      client.subscribe("posts", () => {}, source);
      await passing(5_000);
      client.destroy();
    }
    expect([...storage.texts.keys()]).toEqual([
      "reality-sync",
      "reality-sync http://a",
      "reality-sync http://a http://b",
    ]);
  });
});
