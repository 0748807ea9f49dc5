// What the compiler knows of the client: nothing here runs, `tsc` reads it.
import { expectTypeOf } from "vitest";
import { z } from "zod";
import {
  type AppStateLike,
  appEnvironment,
  createReality,
  createRealityClient,
  dehydrate,
  hydrate,
  type RealityClient,
  type RealityNodeMeta,
  type RealityNodeState,
  type RealityOptions,
  type RealityState,
  type RealityTransport,
  type Status,
} from "../../src/index.ts";

interface Post {
  readonly id: number;
}

const client = createReality({ servers: ["http://localhost:3456"] });
expectTypeOf(client).toEqualTypeOf<RealityClient>();
expectTypeOf(createRealityClient).toEqualTypeOf(createReality);

// A subscriber is told states of its type.
const leave = client.subscribe<Post[]>("posts", (state) => {
  expectTypeOf(state).toEqualTypeOf<RealityNodeState<Post[]>>();
  expectTypeOf(state.data).toEqualTypeOf<Post[] | undefined>();
  expectTypeOf(state.meta).toEqualTypeOf<RealityNodeMeta | null>();
  expectTypeOf(state.status).toEqualTypeOf<Status>();
  // @ts-expect-error: snapshots are read-only
  state.data = [];
});
expectTypeOf(leave).toEqualTypeOf<() => void>();
expectTypeOf(client.getState("posts")).toEqualTypeOf<RealityNodeState<unknown> | undefined>();
expectTypeOf(client.getState<Post>("post")?.data).toEqualTypeOf<Post | undefined>();

// Options of the wrong type are refused.
client.subscribe<number>("n", () => {}, { fallback: 1, schema: z.number(), staleTime: 1_000 });
// @ts-expect-error: the fallback is of the data's type
client.subscribe<number>("n", () => {}, { fallback: "1" });
// @ts-expect-error: a duration is a number of milliseconds
client.subscribe("n", () => {}, { staleTime: "1s" });
// @ts-expect-error: not a hint
void client.syncAll("whim");
// @ts-expect-error: not a mode
createReality({ mode: "push" });
// @ts-expect-error: not a way to be live
createReality({ live: true });

// An absent option and one that is undefined are the same.
createReality({ servers: undefined, live: undefined, token: undefined } satisfies RealityOptions);

// Fetchers take no, one or two parameters, and a signal.
client.setDefaultFetcher(() => 1);
client.setDefaultFetcher(async (key) => key);
client.setDefaultFetcher((key, meta, { signal }) => {
  expectTypeOf(key).toEqualTypeOf<string>();
  expectTypeOf(meta).toEqualTypeOf<RealityNodeMeta | null>();
  expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
});

// Mutations go from their input to their result.
const result = client.mutate("posts", { title: "t" }, async ({ title }) => ({ id: title.length }), {
  optimisticUpdate: (current: Post[] | undefined, input) => {
    expectTypeOf(input).toEqualTypeOf<{ title: string }>();
    return [...(current ?? []), { id: 0 }];
  },
  applyResult: (current, post) => [...(current ?? []), post],
  invalidateKeys: ["feed", "user:*"],
  rollbackOnError: true,
});
expectTypeOf(result).resolves.toEqualTypeOf<{ id: number }>();

const posts = client.realtime<Post[]>("posts", { fallback: [] });
expectTypeOf(posts.getState()).toEqualTypeOf<RealityNodeState<Post[]> | undefined>();

client.on("change", ({ key, meta }) => {
  expectTypeOf(key).toEqualTypeOf<string>();
  expectTypeOf(meta).toEqualTypeOf<RealityNodeMeta>();
});
// @ts-expect-error: no such event
client.on("changed", () => {});

expectTypeOf(client.invalidate("posts")).resolves.toEqualTypeOf<Record<string, number>>();
expectTypeOf(client.invalidate(["posts"], { remote: true })).resolves.toEqualTypeOf<
  Record<string, number>
>();
expectTypeOf(dehydrate(client)).toEqualTypeOf<RealityState[]>();
hydrate(client, { nodes: { posts: { version: 1 } } });

declare const appState: AppStateLike;
createReality({ environment: appEnvironment(appState) });
createReality({ storage: globalThis.localStorage });

const transport: RealityTransport = {
  sync: async () => ({ changed: {}, mesh: { peers: {}, serverVersion: 0 }, serverTime: 0 }),
};
createReality({ transport });
// @ts-expect-error: a transport can be asked
createReality({ transport: {} });
