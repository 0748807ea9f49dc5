// What TypeScript makes of the hooks. Only checked, never run.
// biome-ignore-all lint/correctness/noComponentHookFactories: each test has components of its own

import { expectTypeOf } from "vitest";
import { z } from "zod";
import {
  RealityProvider,
  type RealityResult,
  type UseRealityOptions,
  useMutation,
  useMutationWithInvalidation,
  useReality,
  useRealityMultiple,
  useRealitySuspense,
  useSync,
  useSyncOnInteraction,
} from "../../src/react/index.ts";

interface Post {
  id: number;
  title: string;
}
declare function fetchPosts(): Promise<Post[]>;

// Hooks are called by hooks.
export function useEverything() {
  // What is not told is unknown, and may be missing.
  expectTypeOf(useReality("posts").data).toEqualTypeOf<unknown>();
  expectTypeOf(useReality<Post[]>("posts").data).toEqualTypeOf<Post[] | undefined>();

  // The fetcher tells.
  expectTypeOf(useReality("posts", { fetcher: fetchPosts }).data).toEqualTypeOf<
    Post[] | undefined
  >();
  expectTypeOf(
    useReality("posts", {
      fetcher: async (key, meta, { signal }) => [key, meta?.version, signal.aborted],
    }).data,
  ).toEqualTypeOf<(string | number | boolean | undefined)[] | undefined>();

  // A fallback, or initial data, is there at once.
  expectTypeOf(useReality("posts", { fetcher: fetchPosts, fallback: [] }).data).toEqualTypeOf<
    Post[]
  >();
  expectTypeOf(useReality<Post[]>("posts", { fallback: [] }).data).toEqualTypeOf<Post[]>();
  expectTypeOf(useReality("posts", { initialData: 1 }).data).toEqualTypeOf<number>();

  // What makes the data tells, not the fetcher.
  expectTypeOf(
    useReality("posts", { fetcher: fetchPosts, transform: (posts: Post[]) => posts.length }).data,
  ).toEqualTypeOf<number | undefined>();
  expectTypeOf(
    useReality("posts", {
      fetcher: fetchPosts,
      transform: (posts: Post[]) => posts.length,
      fallback: 0,
    }).data,
  ).toEqualTypeOf<number>();
  expectTypeOf(
    useReality<Post[]>("posts", {
      fetcher: () => fetch("/api/posts"),
      schema: z.array(z.object({ id: z.number(), title: z.string() })),
    }).data,
  ).toEqualTypeOf<Post[] | undefined>();
  expectTypeOf(
    useReality("posts", {
      fetcher: () => fetch("/api/posts"),
      schema: z.array(z.object({ id: z.number(), title: z.string() })),
    }).data,
  ).toEqualTypeOf<Post[] | undefined>();

  // @ts-expect-error: the fetcher gives something else
  useReality<Post[]>("posts", { fetcher: () => 5 });
  // @ts-expect-error: the fallback is something else
  useReality<Post[]>("posts", { fallback: "none" });
  // @ts-expect-error: there is no such option
  useReality("posts", { refetchInterval: 5 });
  // @ts-expect-error: keys are strings
  useReality(5);

  // Without a key nothing is asked.
  useReality(null);
  useReality(undefined);
  useReality(false, { fallback: 1 });

  // Hooks made of these hooks.
  function usePosts(options: UseRealityOptions<Post[]>) {
    return useReality<Post[]>("posts", options);
  }
  expectTypeOf(usePosts({ staleTime: 1 })).toEqualTypeOf<RealityResult<Post[]>>();

  expectTypeOf(useRealitySuspense("posts", { fetcher: fetchPosts }).data).toEqualTypeOf<Post[]>();
  expectTypeOf(useRealitySuspense<Post[]>("posts").data).toEqualTypeOf<Post[]>();
  // @ts-expect-error: there is nothing to show in its stead
  useRealitySuspense<Post[]>("posts", { fallback: [] });

  expectTypeOf(useRealityMultiple<Post[]>(["a", null, { key: "b", staleTime: 5 }])).toEqualTypeOf<
    readonly RealityResult<Post[]>[]
  >();

  // The mutator tells what a mutation takes and gives.
  const adding = useMutation("posts", async (title: string) => ({ id: 1, title }));
  expectTypeOf(adding.mutate).toEqualTypeOf<(input: string) => Promise<Post>>();
  expectTypeOf(adding.data).toEqualTypeOf<Post | undefined>();
  // @ts-expect-error: it takes a title
  void adding.mutate(5);
  const clearing = useMutation("posts", async () => {});
  void clearing.mutate();
  useMutation("posts", async (title: string) => ({ id: 1, title }), {
    optimisticUpdate: (current: Post[] | undefined, title) => [
      ...(current ?? []),
      { id: 0, title: title.toUpperCase() },
    ],
    applyResult: (current, post) => [...(current ?? []), post],
    onSuccess: (post, title) => expectTypeOf([post.title, title]).toEqualTypeOf<string[]>(),
    onSettled: (post, error) =>
      expectTypeOf({ post, error }).toEqualTypeOf<{
        post: Post | undefined;
        error: Error | null;
      }>(),
  });
  useMutation<Post, string>("posts", async (title) => ({ id: 1, title }));
  expectTypeOf(
    useMutationWithInvalidation(async (id: number) => id > 0, ["posts", "user:*"]).mutate,
  ).toEqualTypeOf<(input: number) => Promise<boolean>>();
  // @ts-expect-error: it shows nothing before it is done
  useMutationWithInvalidation(async () => 1, "posts", { optimisticUpdate: () => 1 });

  expectTypeOf(useSync().isSyncing).toEqualTypeOf<boolean>();
  const Input = () => <input onFocus={useSyncOnInteraction("posts")} />;
  return Input;
}

export const App = () => (
  <RealityProvider servers={["/reality"]} live="poll" interval={1_000}>
    <p />
    <p />
  </RealityProvider>
);
// @ts-expect-error: there is no such option
export const Wrong = () => <RealityProvider server="/reality" />;
