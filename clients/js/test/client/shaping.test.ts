// What becomes of a fetcher's data: schema, transform, fallback.
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { dehydrate } from "../../src/client/hydration.ts";
import type { KeyOptions, StandardSchema } from "../../src/client/types.ts";
import { Audience, inVirtualTime, newClient, passing, Server, Source } from "./support.ts";

inVirtualTime();

const Post = z.object({ id: z.number(), tags: z.array(z.string()).default([]) });

/** A validator made by hand. */
function standard(validate: StandardSchema["~standard"]["validate"]): StandardSchema {
  return { "~standard": { version: 1, vendor: "mine", validate } };
}

async function loaded(data: unknown, options: KeyOptions) {
  const source = new Source(data);
  const audience = new Audience();
  const client = newClient({ transport: new Server() });
  client.subscribe("post", audience.callback, { fetcher: source.fetcher, ...options });
  await passing(50);
  return { client, source, audience, state: audience.last };
}

describe("a schema", () => {
  it("of zod makes the data", async () => {
    const { state } = await loaded({ id: 1, more: true }, { schema: Post });
    expect(state).toMatchObject({ data: { id: 1, tags: [] }, status: "idle" });
  });

  it("of zod that does not fit is an error that names the place, and is tried again", async () => {
    const { state, source, audience } = await loaded({ id: 1, tags: ["a", 2] }, { schema: Post });
    expect(state).toMatchObject({ data: undefined, status: "error" });
    expect(state.error).toMatchObject({ code: "invalid_data" });
    expect(state.error?.message).toMatch(/"post".* at tags\.1: /);
    source.data = { id: 1, tags: [] };
    await passing(1_000);
    expect(audience.last).toMatchObject({ data: { id: 1, tags: [] }, status: "idle", error: null });
  });

  it("may be asynchronous, and give other data", async () => {
    const schema = standard(async (value) => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      return { value: String(value) };
    });
    expect((await loaded(7, { schema })).state.data).toBe("7");
  });

  it.each([
    [
      "a path of objects",
      { message: "no", path: [{ key: "a" }, 0, Symbol("s")] },
      " at a.0.Symbol(s): no",
    ],
    ["no path", { message: "no" }, "asks for: no"],
    ["an empty path", { message: "no", path: [] }, "asks for: no"],
  ])("tells its first issue: %s", async (_, issue, text) => {
    const { state } = await loaded(7, { schema: standard(() => ({ issues: [issue] })) });
    expect(state.error?.message).toContain(text);
  });

  it.each([
    [
      "throws",
      () => {
        throw new Error("broken");
      },
    ],
    ["rejects", () => Promise.reject(new Error("broken"))],
  ])("that %s is an error", async (_, validate) => {
    const { state } = await loaded(7, { schema: standard(validate) });
    expect(state).toMatchObject({ status: "error", error: new Error("broken") });
  });
});

describe("a transform", () => {
  it("makes the data of what the fetcher gave, after the schema", async () => {
    const transform = ({ tags }: { tags: string[] }) => tags.length;
    expect((await loaded({ id: 1 }, { schema: Post, transform })).state.data).toBe(0);
  });

  it("that throws is an error, and the data before it stays", async () => {
    const transform = (data: number) => {
      if (data > 1) throw new Error("too much");
      return data;
    };
    const { client, source, audience } = await loaded(1, { transform });
    source.data = 2;
    await client.invalidate("post");
    await passing(10);
    expect(audience.last).toMatchObject({ data: 1, status: "error", error: new Error("too much") });
  });
});

describe("a fallback", () => {
  it("is the data until there is some, and does not count as fetched", async () => {
    const { audience, client } = await loaded(["a"], { fallback: [] });
    expect(audience.told[0]).toMatchObject({ data: [], status: "loading", isLoading: true });
    expect(audience.last).toMatchObject({ data: ["a"], status: "idle" });
    const [state] = dehydrate(client);
    expect(state?.nodes.post).toMatchObject({ data: ["a"] });
  });

  it("is never kept", async () => {
    const client = newClient({ transport: new Server() });
    client.subscribe("post", () => {}, { fallback: [] });
    await passing(500);
    const [state] = dehydrate(client);
    expect(state?.nodes.post).not.toHaveProperty("data");
  });

  it("stays while the first fetch fails", async () => {
    const source = new Source("data");
    source.failure = new Error("down");
    const client = newClient({ transport: new Server() });
    client.subscribe("post", () => {}, { fetcher: source.fetcher, fallback: "none" });
    await passing(50);
    expect(client.getState("post")).toMatchObject({ data: "none", status: "error" });
  });

  it("does not replace data that another subscriber has", async () => {
    const { client } = await loaded("data", {});
    client.subscribe("post", () => {}, { fallback: "none" });
    await passing(10);
    expect(client.getState("post")?.data).toBe("data");
  });
});

describe("data of the client's default fetcher", () => {
  it("is checked and transformed as the subscriber wants", async () => {
    const client = newClient({ transport: new Server(), fetcher: () => ({ id: 1 }) });
    const audience = new Audience();
    client.subscribe("post", () => {});
    client.subscribe("post", audience.callback, {
      schema: Post,
      transform: (post: z.infer<typeof Post>) => post.tags,
    });
    await passing(1_000);
    expect(audience.last).toMatchObject({ data: [], status: "idle" });
  });
});
