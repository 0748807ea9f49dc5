// Mutations: what is shown before, during and after, whatever happens meanwhile.
import { describe, expect, it } from "vitest";
import { Audience, inVirtualTime, newClient, passing, Server, Source } from "./support.ts";

inVirtualTime();

/** A client that shows a list, its API, and a way to end mutations when the test likes. */
async function list(options: { fallback?: string[]; fetches?: boolean } = {}) {
  const server = new Server();
  const source = new Source<string[]>(["a"]);
  const audience = new Audience<string[]>();
  const client = newClient({ transport: server });
  const { fallback, fetches = true } = options;
  client.subscribe("list", audience.callback, {
    fallback,
    ...(fetches && { fetcher: source.fetcher }),
  });
  await passing(200);
  const shown = () => client.getState<string[]>("list")?.data;
  return { server, source, audience, client, shown };
}

const adding = {
  optimisticUpdate: (current: string[] | undefined, input: string) => [...(current ?? []), input],
};

/** A mutator whose end the test decides. */
function pending<T = void>() {
  let succeed: (value: T) => void = () => {};
  let fail: (error: Error) => void = () => {};
  const promise = new Promise<T>((resolve, reject) => {
    succeed = resolve;
    fail = reject;
  });
  return { mutator: () => promise, succeed, fail };
}

const down = new Error("down");

describe("an optimistic update", () => {
  it("is shown at once, and replaced by what is fetched after the mutation", async () => {
    const { client, source, shown, audience } = await list();
    const { mutator, succeed } = pending<string>();
    const mutation = client.mutate("list", "b", mutator, adding);
    await passing(0);
    expect(shown()).toEqual(["a", "b"]);
    source.data = ["a", "b*"];
    succeed("done");
    expect(await mutation).toBe("done");
    expect(shown()).toEqual(["a", "b"]);
    await passing(10);
    expect(shown()).toEqual(["a", "b*"]);
    // Never without what was added.
    const lists = audience.told
      .map((each) => each.data?.length)
      .filter((each) => each !== undefined);
    expect(lists).toEqual([...lists].sort());
  });

  it("stays on what is shown before the first fetch when somebody else subscribes", async () => {
    const { client, shown } = await list({ fallback: ["none"], fetches: false });
    const { mutator, succeed } = pending();
    const mutation = client.mutate("list", "b", mutator, adding);
    client.subscribe("list", () => {}, { fallback: ["other"] });
    await passing(10);
    expect(shown()).toEqual(["none", "b"]);
    succeed();
    await mutation;
  });

  it("is taken back at once by a failure, which is passed on", async () => {
    const { client, shown } = await list();
    const { mutator, fail } = pending();
    const mutation = client.mutate("list", "b", mutator, adding);
    await passing(0);
    fail(down);
    await expect(mutation).rejects.toBe(down);
    expect(shown()).toEqual(["a"]);
  });

  it("is taken back too where the mutator throws at once", async () => {
    const { client, shown } = await list();
    const mutator = () => {
      throw down;
    };
    await expect(client.mutate("list", "b", mutator, adding)).rejects.toBe(down);
    expect(shown()).toEqual(["a"]);
  });

  it("is taken back with the next fetch if that is wanted", async () => {
    const { client, shown } = await list();
    const { mutator, fail } = pending();
    const options = { ...adding, rollbackOnError: false };
    const mutation = client.mutate("list", "b", mutator, options);
    fail(down);
    await expect(mutation).rejects.toBe(down);
    expect(shown()).toEqual(["a", "b"]);
    await client.invalidate("list");
    await passing(10);
    expect(shown()).toEqual(["a"]);
  });

  it("that throws leaves everything as it was, and nothing is mutated", async () => {
    const { client, shown } = await list();
    let calls = 0;
    const optimisticUpdate = () => {
      throw down;
    };
    const mutation = client.mutate(
      "list",
      "b",
      () => {
        calls += 1;
      },
      { optimisticUpdate },
    );
    await expect(mutation).rejects.toBe(down);
    expect([calls, shown()]).toEqual([0, ["a"]]);
  });

  it("goes on being shown where nothing is ever fetched", async () => {
    const { client, shown } = await list({ fallback: ["f"], fetches: false });
    await client.mutate("list", "b", () => {}, adding);
    await passing(1_000);
    expect(shown()).toEqual(["f", "b"]);
  });
});

describe("mutations that overlap", () => {
  it("do not undo each other: the first fails, the second stays", async () => {
    const { client, source, shown } = await list();
    const [first, second] = [pending(), pending()];
    const failing = client.mutate("list", "b", first.mutator, adding);
    const lasting = client.mutate("list", "c", second.mutator, adding);
    await passing(0);
    expect(shown()).toEqual(["a", "b", "c"]);
    first.fail(down);
    await expect(failing).rejects.toBe(down);
    expect(shown()).toEqual(["a", "c"]);
    source.data = ["a", "c"];
    second.succeed();
    await lasting;
    await passing(10);
    expect(shown()).toEqual(["a", "c"]);
  });

  it("keep what is pending while the other is fetched", async () => {
    const { client, source, shown } = await list();
    const [first, second] = [pending(), pending()];
    const done = client.mutate("list", "b", first.mutator, adding);
    const waiting = client.mutate("list", "c", second.mutator, adding);
    await passing(0);
    source.data = ["a", "b"];
    first.succeed();
    await done;
    await passing(10);
    expect(shown()).toEqual(["a", "b", "c"]);
    source.data = ["a", "b", "c"];
    second.succeed();
    await waiting;
    await passing(10);
    expect(shown()).toEqual(["a", "b", "c"]);
  });
});

describe("a mutation", () => {
  it("that a fetch begun before it overtakes stays shown until a later fetch has landed", async () => {
    const { client, server, source, audience, shown } = await list();
    source.delayMs = 100;
    await server.invalidate("list");
    await passing(10); // reads the list as it was
    audience.told.length = 0;
    const { mutator, succeed } = pending();
    const mutation = client.mutate("list", "b", mutator, adding);
    await passing(0);
    source.data = ["a", "b"];
    succeed();
    await mutation;
    await passing(500);
    expect(shown()).toEqual(["a", "b"]);
    expect(audience.told.map((each) => each.data)).not.toContainEqual(["a"]);
    expect(source.mostUnderWay).toBe(1);
  });

  it("races an invalidation, and the newest data is shown (I1)", async () => {
    const { client, server, source, shown } = await list();
    source.delayMs = 50;
    const { mutator, succeed } = pending();
    const mutation = client.mutate("list", "b", mutator, adding);
    await passing(10);
    source.data = ["z"];
    await server.invalidate("list"); // somebody else
    await passing(20);
    source.data = ["z", "b"];
    await server.invalidate("list");
    succeed();
    await mutation;
    await passing(500);
    expect(shown()).toEqual(["z", "b"]);
    expect(client.getState("list")).toMatchObject({ status: "idle" });
  });

  it("fetches its key and those of invalidateKeys, patterns too", async () => {
    const { client } = await list();
    const other = new Source("other");
    for (const key of ["feed", "user:1", "user:2", "users"]) client.subscribe(key, () => {}, other);
    await passing(300);
    const calls = other.calls;
    await client.mutate("list", "b", () => {}, { invalidateKeys: ["feed", "user:*"] });
    await passing(10);
    expect(other.calls).toBe(calls + 3);
  });

  it("may be of a key that nobody holds", async () => {
    const client = newClient({ transport: new Server() });
    expect(await client.mutate("list", "b", (input) => `${input}!`, adding)).toBe("b!");
    expect(await client.mutate("list", 1, async (input) => input + 1)).toBe(2);
  });

  it("of a key that is none is refused before anything is done", async () => {
    const { client } = await list();
    let calls = 0;
    const mutator = () => {
      calls += 1;
    };
    await expect(client.mutate("", 1, mutator)).rejects.toMatchObject({ code: "invalid_key" });
    const options = { invalidateKeys: ["feed", ""] };
    await expect(client.mutate("list", 1, mutator, options)).rejects.toMatchObject({
      code: "invalid_key",
    });
    expect(calls).toBe(0);
  });
});

describe("applyResult", () => {
  const apply = {
    ...adding,
    applyResult: (current: string[] | undefined, result: string) => [...(current ?? []), result],
  };

  it("makes the data of the result, and nothing is fetched for it", async () => {
    const { client, source, shown } = await list();
    await client.mutate("list", "b", () => "b*", apply);
    expect(shown()).toEqual(["a", "b*"]);
    await passing(100);
    expect(source.calls).toBe(1);
  });

  it("gets the fallback where nothing was fetched", async () => {
    const { client, shown } = await list({ fallback: ["f"], fetches: false });
    await client.mutate("list", "b", () => "b*", apply);
    expect(shown()).toEqual(["f", "b*"]);
  });

  it("is not lost to a fetch that began before the mutation was done", async () => {
    const { client, source, shown } = await list();
    source.delayMs = 100;
    await client.invalidate("list");
    await passing(10); // reads the list as it was
    source.data = ["a", "b*"];
    await client.mutate("list", "b", () => "b*", apply);
    expect(shown()).toEqual(["a", "b*"]);
    await passing(5_000);
    expect(shown()).toEqual(["a", "b*"]);
  });

  it("that throws takes the optimistic update back", async () => {
    const { client, source, shown } = await list();
    const applyResult = () => {
      throw down;
    };
    const mutation = client.mutate("list", "b", () => "b*", { ...adding, applyResult });
    await expect(mutation).rejects.toBe(down);
    source.data = ["a"];
    await passing(100);
    expect(shown()).toEqual(["a"]);
  });
});
