// useReality and useRealityMultiple.
// biome-ignore-all lint/correctness/noComponentHookFactories: each test has components of its own

import { act, render, renderHook, screen, waitFor } from "@testing-library/react";
import { type ReactNode, useState } from "react";
import { expect, test, vi } from "vitest";
import {
  RealityProvider,
  useReality,
  useRealityClient,
  useRealityMultiple,
} from "../../src/react/index.ts";
import { Place } from "./place.tsx";

interface Post {
  readonly title: string;
}

/** What a hook gave in every render. */
function recorded<T>(place: Place, hook: () => T, isStrict = false) {
  const seen: T[] = [];
  const rendered = renderHook(
    () => {
      const result = hook();
      seen.push(result);
      return result;
    },
    { wrapper: place.Provider, reactStrictMode: isStrict },
  );
  return { ...rendered, seen };
}

test("the data is loaded, and newer data replaces it", async () => {
  const place = new Place();
  place.api.set("posts", [{ title: "first" }]);
  const { result } = recorded(place, () => useReality<Post[]>("posts"));

  expect(result.current).toMatchObject({ isLoading: true, status: "loading", meta: null });
  await waitFor(() => expect(result.current.data).toEqual([{ title: "first" }]));
  expect(result.current).toMatchObject({ isLoading: false, status: "idle", error: null });

  await place.write("posts", [{ title: "second" }]);
  await waitFor(() => expect(result.current.data).toEqual([{ title: "second" }]));
  expect(result.current.meta).toMatchObject({ key: "posts" });
  expect(place.fetched).toEqual(["posts", "posts"]);
});

test("there is no render without a change", async () => {
  const place = new Place();
  place.api.set("posts", ["a"]);
  const { result, seen } = recorded(place, () => useReality<string[]>("posts", { fallback: [] }));
  await waitFor(() => expect(result.current.status).toBe("idle"));

  // Mounted; told of the version; told of the data.
  expect(seen.map(({ status, meta, data }) => [status, meta !== null, data])).toEqual([
    ["loading", false, []],
    ["loading", true, []],
    ["idle", true, ["a"]],
  ]);

  const before = result.current;
  await act(() => result.current.sync());
  expect(seen).toHaveLength(3);
  expect(result.current).toBe(before);
});

test("equal data that is fetched again keeps its object, and the functions stay the same", async () => {
  const place = new Place();
  place.api.set("posts", ["a"]);
  const { result, seen } = recorded(place, () => useReality<string[]>("posts"));
  await waitFor(() => expect(result.current.status).toBe("idle"));
  const { data } = result.current;

  await place.write("posts", ["a"]);
  await waitFor(() => expect(place.fetched).toHaveLength(2));
  await waitFor(() => expect(result.current.status).toBe("idle"));

  expect(result.current.data).toBe(data);
  expect(new Set(seen.map(({ sync }) => sync)).size).toBe(1);
  expect(new Set(seen.map(({ invalidate }) => invalidate)).size).toBe(1);
});

test("options made anew for every render neither subscribe nor fetch again, and the latest are used", async () => {
  const place = new Place();
  const subscribe = vi.fn();
  const fetched: number[] = [];
  const { result, rerender } = renderHook(
    ({ number }: { number: number }) => {
      const client = useRealityClient();
      const original = client.subscribe;
      client.subscribe = (...given) => {
        subscribe();
        return original.apply(client, given as Parameters<typeof original>);
      };
      return useReality("posts", {
        fetcher: () => {
          fetched.push(number);
          return { number };
        },
        fallback: { number: 0 },
      });
    },
    { wrapper: place.Provider, initialProps: { number: 1 } },
  );
  await waitFor(() => expect(result.current.data).toEqual({ number: 1 }));
  for (let number = 2; number < 6; number++) rerender({ number });
  expect(fetched).toEqual([1]);

  await place.server.invalidate(["posts"]);
  await waitFor(() => expect(result.current.data).toEqual({ number: 5 }));
  expect(fetched).toEqual([1, 5]);
  expect(subscribe).toHaveBeenCalledTimes(1);
});

test("an equal fallback made anew for every render keeps the result", () => {
  const place = new Place();
  const { result, rerender, seen } = recorded(place, () =>
    useRealityMultiple(["posts", null], { fallback: { title: "none" } }),
  );
  rerender();
  expect(seen).toHaveLength(2);
  expect(seen[0]).toBe(seen[1]);
  expect(result.current.map(({ key }) => key)).toEqual(["posts", null]);
});

test("another key shows nothing of the key before", async () => {
  const place = new Place();
  place.api.set("user:1", "Ada").set("user:2", "Grace");
  const { result, rerender } = renderHook(
    ({ id }: { id: number }) => useReality<string>(`user:${id}`, { fallback: "…" }),
    { wrapper: place.Provider, initialProps: { id: 1 } },
  );
  await waitFor(() => expect(result.current.data).toBe("Ada"));

  rerender({ id: 2 });
  expect(result.current).toMatchObject({ key: "user:2", data: "…", isLoading: true });
  await waitFor(() => expect(result.current.data).toBe("Grace"));

  rerender({ id: 1 });
  expect(result.current).toMatchObject({ key: "user:1", data: "Ada", isLoading: false });
  expect(place.fetched).toEqual(["user:1", "user:2"]);
});

test("nothing is asked without a key", async () => {
  const place = new Place();
  place.api.set("posts", ["a"]);
  const { result, rerender } = renderHook(
    ({ key }: { key: string | null | false | undefined }) =>
      useReality<string[]>(key, { fallback: [] }),
    { wrapper: place.Provider, initialProps: { key: null } as { key: string | null } },
  );
  expect(result.current).toMatchObject({ data: [], status: "idle", isLoading: false });
  await expect(result.current.sync()).resolves.toEqual([]);
  await expect(result.current.invalidate()).resolves.toEqual({});
  expect(place.requests).toEqual([]);

  rerender({ key: "posts" });
  expect(result.current.isLoading).toBe(true);
  await waitFor(() => expect(result.current.data).toEqual(["a"]));
  rerender({ key: null });
  expect(result.current).toMatchObject({ data: [], status: "idle" });
});

test("components with one key share a fetch", async () => {
  const place = new Place();
  place.api.set("posts", ["a"]);
  const List = () => <p>{useReality<string[]>("posts", { fallback: [] }).data.length}</p>;
  render(
    <place.Provider>
      <List />
      <List />
      <List />
    </place.Provider>,
  );
  await waitFor(() => expect(screen.getAllByText("1")).toHaveLength(3));
  expect(place.fetched).toEqual(["posts"]);
  expect(place.requests.filter(({ wait }) => !wait)).toHaveLength(1);
});

test("StrictMode makes one fetch and one subscription", async () => {
  const place = new Place();
  place.api.set("posts", ["a"]);
  const { result } = recorded(
    place,
    () => ({ posts: useReality<string[]>("posts"), client: useRealityClient() }),
    true,
  );
  await waitFor(() => expect(result.current.posts.data).toEqual(["a"]));
  await waitFor(() => expect(place.requests.at(-1)?.wait).toBeGreaterThan(0));

  expect(place.fetched).toEqual(["posts"]);
  expect(place.requests.filter(({ wait }) => !wait)).toHaveLength(1);
  expect(result.current.client.getStats()).toMatchObject({ keys: 1, subscribers: 1 });
});

test("an error keeps the data, and goes when a fetch succeeds", async () => {
  const place = new Place();
  place.api.set("posts", ["a"]);
  const { result } = recorded(place, () => useReality<string[]>("posts"));
  await waitFor(() => expect(result.current.data).toEqual(["a"]));

  await place.write("posts", new Error("the database is away"));
  await waitFor(() => expect(result.current.status).toBe("error"));
  expect(result.current.error?.message).toBe("the database is away");
  expect(result.current.data).toEqual(["a"]);
  expect(result.current.isStale).toBe(true);

  place.api.set("posts", ["b"]);
  await waitFor(() => expect(result.current.data).toEqual(["b"]));
  expect(result.current.error).toBeNull();
});

test("a sync that fails rejects, and is not reported as unhandled if nobody looks", async () => {
  const place = new Place();
  const unhandled = vi.fn();
  process.on("unhandledRejection", unhandled);
  const { result } = recorded(place, () => useReality("posts", { fallback: null }));
  await waitFor(() => expect(place.requests.at(-1)?.wait).toBeGreaterThan(0));
  place.isDown = true;

  await act(async () => {
    void result.current.sync();
    await expect(result.current.sync()).rejects.toThrow("the server is down");
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(unhandled).not.toHaveBeenCalled();
  process.off("unhandledRejection", unhandled);
});

test("invalidate fetches again", async () => {
  const place = new Place();
  place.api.set("posts", 1);
  const { result } = recorded(place, () => useReality<number>("posts"));
  await waitFor(() => expect(result.current.data).toBe(1));

  place.api.set("posts", 2);
  await act(() => result.current.invalidate());
  await waitFor(() => expect(result.current.data).toBe(2));
});

test("an unmount during a fetch is silent", async () => {
  const complaints = vi.spyOn(console, "error");
  const place = new Place();
  place.api.set("posts", ["a"]);
  place.hold();
  const { result, unmount, seen } = recorded(place, () => useReality("posts"));
  await waitFor(() => expect(place.fetched).toEqual(["posts"]));
  const count = seen.length;

  unmount();
  place.release();
  await new Promise((resolve) => setTimeout(resolve));
  expect(seen).toHaveLength(count);
  expect(result.current.isLoading).toBe(true);
  expect(complaints).not.toHaveBeenCalled();
});

test("a component that comes back at once finds its data without another fetch", async () => {
  const place = new Place();
  place.api.set("posts", ["a"]);
  const List = () => <p>{useReality<string[]>("posts").data?.join() ?? "loading"}</p>;
  const Page = () => {
    const [isShown, setShown] = useState(true);
    return (
      <button type="button" onClick={() => setShown(!isShown)}>
        {isShown && <List />}
      </button>
    );
  };
  render(<Page />, { wrapper: place.Provider });
  await screen.findByText("a");
  act(() => screen.getByRole("button").click());
  expect(screen.queryByText("a")).toBeNull();
  act(() => screen.getByRole("button").click());
  expect(screen.getByText("a")).toBeTruthy();
  expect(place.fetched).toEqual(["posts"]);
});

test("a fetcher that comes later is used", async () => {
  const place = new Place();
  const Provider = ({ children }: { children: ReactNode }) => (
    <RealityProvider transport={place.transport}>{children}</RealityProvider>
  );
  const initialProps: { fetcher?: () => string } = {};
  const { result, rerender } = renderHook(
    ({ fetcher }: { fetcher?: () => string }) => useReality("posts", { fetcher }),
    { wrapper: Provider, initialProps },
  );
  await waitFor(() => expect(result.current.status).toBe("idle"));
  expect(result.current.data).toBeUndefined();

  rerender({ fetcher: () => "here" });
  await waitFor(() => expect(result.current.data).toBe("here"));
});

test("several keys give their results in order, and only the one that changed is new", async () => {
  const place = new Place();
  place.api.set("a", 1).set("b", 2);
  const { result, seen } = recorded(place, () =>
    useRealityMultiple<number>(["a", null, { key: "b", fallback: 0 }], { staleTime: 1000 }),
  );
  expect(result.current.map(({ data, isLoading }) => [data, isLoading])).toEqual([
    [undefined, true],
    [undefined, false],
    [0, true],
  ]);
  await waitFor(() => expect(result.current.map(({ data }) => data)).toEqual([1, undefined, 2]));
  const [a] = result.current;
  const count = seen.length;

  await place.write("b", 3);
  await waitFor(() => expect(result.current[2]?.data).toBe(3));
  expect(result.current[0]).toBe(a);
  const later = seen.slice(count).map((each) => each[2]);
  expect(new Set(later).size).toBe(later.length);
  expect(later.at(-1)?.status).toBe("idle");
  expect(place.requests.filter(({ wait }) => !wait)).toHaveLength(1);
});

test("the list of keys may change with every render", async () => {
  const place = new Place();
  place.api.set("a", 1).set("b", 2).set("c", 3);
  const { result, rerender } = renderHook(
    ({ keys }: { keys: string[] }) => useRealityMultiple<number>(keys),
    { wrapper: place.Provider, initialProps: { keys: ["a", "b"] } },
  );
  const values = () => result.current.map(({ data }) => data);
  await waitFor(() => expect(values()).toEqual([1, 2]));

  rerender({ keys: ["b", "c"] });
  expect(values()).toEqual([2, undefined]);
  await waitFor(() => expect(values()).toEqual([2, 3]));
  rerender({ keys: [] });
  expect(values()).toEqual([]);
  expect(place.fetched).toEqual(["a", "b", "c"]);
});
