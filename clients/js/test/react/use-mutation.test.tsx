// useMutation and useMutationWithInvalidation.
// biome-ignore-all lint/correctness/noComponentHookFactories: each test has components of its own

import { act, renderHook, waitFor } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { useMutation, useMutationWithInvalidation, useReality } from "../../src/react/index.ts";
import { Place } from "./place.tsx";

/** A promise that the test settles. */
function deferred<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<T>((resolved, rejected) => {
    resolve = resolved;
    reject = rejected;
  });
  return { promise, resolve, reject };
}

/** A list of texts, and a mutation that adds one. */
async function listed(place: Place, add: (text: string) => Promise<unknown>, options = {}) {
  place.api.set("posts", ["a"]);
  const rendered = renderHook(
    () => ({
      posts: useReality<string[]>("posts", { fallback: [] }),
      adding: useMutation("posts", add, {
        optimisticUpdate: (current: string[] | undefined, text) => [...(current ?? []), text],
        ...options,
      }),
    }),
    { wrapper: place.Provider },
  );
  await waitFor(() => expect(rendered.result.current.posts.data).toEqual(["a"]));
  return rendered.result;
}

test("an optimistic update shows at once, and what is fetched replaces it", async () => {
  const place = new Place();
  const answer = deferred<void>();
  const result = await listed(place, () => answer.promise);

  let done: Promise<unknown> | undefined;
  await act(async () => {
    done = result.current.adding.mutate("b");
  });
  await waitFor(() => expect(result.current.posts.data).toEqual(["a", "b"]));
  expect(result.current.adding.isLoading).toBe(true);

  place.api.set("posts", ["a", "B"]);
  await act(async () => {
    answer.resolve();
    await done;
  });
  expect(result.current.adding).toMatchObject({ isLoading: false, error: null });
  await waitFor(() => expect(result.current.posts.data).toEqual(["a", "B"]));
});

test("an optimistic update is taken back when the mutation fails", async () => {
  const place = new Place();
  const answer = deferred<void>();
  const result = await listed(place, () => answer.promise);
  await act(async () => {
    void result.current.adding.mutate("b");
  });
  await waitFor(() => expect(result.current.posts.data).toEqual(["a", "b"]));

  await act(async () => answer.reject(new Error("refused")));
  expect(result.current.posts.data).toEqual(["a"]);
  expect(result.current.adding).toMatchObject({ isLoading: false, data: undefined });
  expect(result.current.adding.error?.message).toBe("refused");
  expect(place.fetched).toEqual(["posts"]);
});

test("mutate rejects for those who wait, and is not reported as unhandled for those who do not", async () => {
  const place = new Place();
  const unhandled = vi.fn();
  process.on("unhandledRejection", unhandled);
  const result = await listed(place, () => Promise.reject(new Error("refused")));

  await act(async () => {
    void result.current.adding.mutate("b");
    await expect(result.current.adding.mutate("c")).rejects.toThrow("refused");
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(unhandled).not.toHaveBeenCalled();
  process.off("unhandledRejection", unhandled);
});

test("callbacks are called with what came of it", async () => {
  const calls: unknown[][] = [];
  const options = {
    onSuccess: (...given: unknown[]) => calls.push(["success", ...given]),
    onError: (...given: unknown[]) => calls.push(["error", ...given]),
    onSettled: (...given: unknown[]) => calls.push(["settled", ...given]),
  };
  const place = new Place();
  const refused = new Error("refused");
  const add = (text: string) => (text ? Promise.resolve({ id: 7 }) : Promise.reject(refused));
  const result = await listed(place, add, options);

  await act(async () => {
    await result.current.adding.mutate("b");
    await result.current.adding.mutate("").catch(() => {});
  });
  expect(calls).toEqual([
    ["success", { id: 7 }, "b"],
    ["settled", { id: 7 }, null, "b"],
    ["error", refused, ""],
    ["settled", undefined, refused, ""],
  ]);
});

test("what a callback throws is reported, and does not make the mutation fail", async () => {
  const unhandled = vi.fn();
  const listeners = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", unhandled);
  const result = await listed(new Place(), () => Promise.resolve(1), {
    onSuccess: () => {
      throw new Error("a slip");
    },
  });
  await act(async () => {
    await expect(result.current.adding.mutate("b")).resolves.toBe(1);
  });
  await waitFor(() => expect(unhandled).toHaveBeenCalledTimes(1));
  expect(unhandled.mock.calls[0]?.[0]).toMatchObject({ message: "a slip" });
  process.removeAllListeners("unhandledRejection");
  for (const each of listeners) process.on("unhandledRejection", each);
});

test("the last call is the one that is told of, and reset forgets it", async () => {
  const place = new Place();
  const answers = [deferred<string>(), deferred<string>(), deferred<string>()];
  const result = await listed(place, (text) => answers[Number(text)]?.promise ?? fail());
  const { mutate } = result.current.adding;
  await act(async () => {
    void mutate("0");
    void mutate("1");
  });
  await act(async () => answers[0]?.resolve("early"));
  expect(result.current.adding).toMatchObject({ isLoading: true, data: undefined });
  await act(async () => answers[1]?.resolve("late"));
  expect(result.current.adding).toMatchObject({ isLoading: false, data: "late" });

  await act(async () => {
    void mutate("2");
    result.current.adding.reset();
  });
  expect(result.current.adding).toMatchObject({ isLoading: false, data: undefined });
  await act(async () => answers[2]?.resolve("forgotten"));
  expect(result.current.adding.data).toBeUndefined();
  expect(result.current.adding.mutate).toBe(mutate);
});

function fail(): never {
  throw new Error("no such answer");
}

test("the latest mutator and key are used, though the function is the same", async () => {
  const place = new Place();
  const { result, rerender } = renderHook(
    ({ by }: { by: number }) => useMutation("count", async (value: number) => value * by),
    { wrapper: place.Provider, initialProps: { by: 2 } },
  );
  const { mutate } = result.current;
  rerender({ by: 3 });
  expect(result.current.mutate).toBe(mutate);
  await act(async () => expect(await mutate(2)).toBe(6));
  expect(result.current.data).toBe(6);
});

test("an unmount during a mutation is silent, and its callbacks are called", async () => {
  const complaints = vi.spyOn(console, "error");
  const answer = deferred<string>();
  const onSuccess = vi.fn<(result: string) => void>();
  const { result, unmount } = renderHook(
    () => useMutation("posts", () => answer.promise, { onSuccess }),
    { wrapper: new Place().Provider },
  );
  let done: Promise<unknown> | undefined;
  await act(async () => {
    done = result.current.mutate();
  });
  unmount();
  await new Promise((resolve) => setTimeout(resolve, 5));
  answer.resolve("done");
  await expect(done).resolves.toBe("done");
  expect(onSuccess).toHaveBeenCalledWith("done", undefined);
  expect(complaints).not.toHaveBeenCalled();
});

test("a mutation of several keys fetches all of them anew", async () => {
  const place = new Place();
  place.api.set("posts", 1).set("user:1", 1).set("user:2", 1).set("other", 1);
  const { result } = renderHook(
    () => ({
      posts: useReality("posts"),
      ada: useReality("user:1"),
      grace: useReality("user:2"),
      other: useReality("other"),
      clear: useMutationWithInvalidation(async () => "cleared", ["posts", "user:*"]),
    }),
    { wrapper: place.Provider },
  );
  await waitFor(() => expect(place.fetched).toHaveLength(4));
  await act(async () => expect(await result.current.clear.mutate()).toBe("cleared"));
  await waitFor(() => expect(place.fetched).toHaveLength(7));
  expect(place.fetched.slice(4).sort()).toEqual(["posts", "user:1", "user:2"]);
  expect(result.current.clear.data).toBe("cleared");
});

test("a mutation of no keys at all is carried out, too", async () => {
  const { result } = renderHook(() => useMutationWithInvalidation(async () => 1, []), {
    wrapper: new Place().Provider,
  });
  await act(async () => expect(await result.current.mutate()).toBe(1));
});
