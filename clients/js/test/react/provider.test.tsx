// RealityProvider: whose client it is, and what a server-rendered page begins with.
// biome-ignore-all lint/correctness/noComponentHookFactories: each test has components of its own

import { act, render, renderHook, screen, waitFor } from "@testing-library/react";
import { StrictMode, Suspense } from "react";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RealityClient } from "../../src/client/client.ts";
import type { RealityState } from "../../src/client/types.ts";
import { RealityProvider, useReality, useRealityClient } from "../../src/react/index.ts";
import { Place } from "./place.tsx";

const complaints = vi.spyOn(console, "error");
beforeEach(() => {
  complaints.mockClear();
});
afterEach(() => {
  expect(complaints).not.toHaveBeenCalled();
});

const soon = () => act(() => new Promise((resolve) => setTimeout(resolve, 5)));

test("hooks outside of a provider say what to do", () => {
  complaints.mockImplementation(() => {}); // React reports what components throw
  expect(() => renderHook(() => useReality("posts"))).toThrow(/put <RealityProvider> around/);
  expect(() => renderHook(() => useRealityClient())).toThrow(
    expect.objectContaining({ code: "no_provider" }),
  );
  complaints.mockReset();
});

test("each provider has one client, which ends with it", async () => {
  const place = new Place();
  const { result, rerender, unmount } = renderHook(useRealityClient, { wrapper: place.Provider });
  const client = result.current;
  rerender();
  await soon();
  expect(result.current).toBe(client);
  expect(() => client.subscribe("posts", () => {})()).not.toThrow();

  unmount();
  await soon();
  expect(() => client.subscribe("posts", () => {})).toThrow(/destroyed/);
});

test("StrictMode does not end the client that is used", async () => {
  const place = new Place();
  place.api.set("posts", ["a"]);
  const { result } = renderHook(() => ({ ...useReality("posts"), client: useRealityClient() }), {
    wrapper: place.Provider,
    reactStrictMode: true,
  });
  await waitFor(() => expect(result.current.data).toEqual(["a"]));
  await soon();
  await place.write("posts", ["b"]);
  await waitFor(() => expect(result.current.data).toEqual(["b"]));
});

test("a client that is given is used, and left to who made it", async () => {
  const place = new Place();
  place.api.set("posts", ["a"]);
  const client = new RealityClient(place.options);
  const { result, unmount } = renderHook(
    () => ({ posts: useReality("posts"), client: useRealityClient() }),
    {
      wrapper: ({ children }) => <RealityProvider client={client}>{children}</RealityProvider>,
    },
  );
  expect(result.current.client).toBe(client);
  await waitFor(() => expect(result.current.posts.data).toEqual(["a"]));

  unmount();
  await soon();
  expect(() => client.subscribe("posts", () => {})()).not.toThrow();
  client.destroy();
});

test("options that change later do nothing, and options made anew neither", async () => {
  const [place, other] = [new Place(), new Place()];
  place.api.set("posts", ["a"]);
  const List = () => <p>{useReality<string[]>("posts").data?.join()}</p>;
  const { rerender } = render(
    <RealityProvider {...place.options}>
      <List />
    </RealityProvider>,
  );
  await screen.findByText("a");
  rerender(
    <RealityProvider {...other.options}>
      <List />
    </RealityProvider>,
  );
  await place.write("posts", ["b"]);
  await screen.findByText("b");
  expect(other.requests).toEqual([]);
});

test("two providers on one page share nothing", async () => {
  const [place, other] = [new Place(), new Place()];
  place.api.set("posts", "here");
  other.api.set("posts", "there");
  const Post = () => <p>{useReality<string>("posts").data}</p>;
  render(
    <>
      <place.Provider>
        <Post />
      </place.Provider>
      <other.Provider>
        <Post />
      </other.Provider>
    </>,
  );
  await screen.findByText("here");
  await screen.findByText("there");
});

/** A page that writes down what it shows. */
function pageOf(place: Place, state: RealityState) {
  const seen: string[] = [];
  const Posts = () => {
    const { data, isLoading, status } = useReality<string[]>("posts");
    seen.push(status);
    return <p>{isLoading ? "loading" : data?.join()}</p>;
  };
  const page = (
    <StrictMode>
      <RealityProvider {...place.options} initialState={state}>
        <Posts />
      </RealityProvider>
    </StrictMode>
  );
  return { page, seen };
}

/** Puts what a server rendered into the document. */
function delivered(html: string): HTMLElement {
  const container = document.createElement("div");
  container.innerHTML = html;
  document.body.replaceChildren(container);
  return container;
}

test("a server-rendered page is hydrated without a flash and without a second fetch", async () => {
  const place = new Place();
  await place.write("posts", ["a", "b"]);
  const { page, seen } = pageOf(place, await place.state("posts"));
  const html = renderToString(page);
  expect(html).toContain("a,b");
  expect(place.requests).toEqual([]);

  seen.length = 0;
  const onRecoverableError = vi.fn();
  const container = delivered(html);
  const text = container.firstChild;
  const root = await act(async () => hydrateRoot(container, page, { onRecoverableError }));
  await waitFor(() => expect(place.requests.at(-1)?.wait).toBeGreaterThan(0));
  expect(container.firstChild).toBe(text);
  expect(new Set(seen)).toEqual(new Set(["idle"]));
  expect(place.fetched).toEqual([]);
  expect(onRecoverableError).not.toHaveBeenCalled();

  await place.write("posts", ["c"]);
  await screen.findByText("c");
  expect(place.fetched).toEqual(["posts"]);
  act(() => root.unmount());
});

test("a touch between the rendering and the hydration is fetched (I1)", async () => {
  const place = new Place();
  await place.write("posts", ["a"]);
  const { page, seen } = pageOf(place, await place.state("posts"));
  const html = renderToString(page);
  await place.write("posts", ["b"]);

  seen.length = 0;
  const root = await act(async () => hydrateRoot(delivered(html), page));
  await screen.findByText("b");
  expect(seen).not.toContain("loading");
  expect(place.fetched).toEqual(["posts"]);
  act(() => root.unmount());
});

test("versions and the data of a loader need no second fetch either", async () => {
  const place = new Place();
  await place.write("posts", ["a"]);
  const { cursor, nodes } = await place.state("posts");
  const state = { cursor, nodes: { posts: { version: nodes.posts?.version ?? 0 } } };
  const seen: [string, boolean][] = [];
  const Posts = () => {
    const { data, status, isLoading } = useReality("posts", { initialData: ["a"] });
    seen.push([status, isLoading]);
    return <p>{data.join()}</p>;
  };
  render(
    <RealityProvider {...place.options} initialState={[state]}>
      <Posts />
    </RealityProvider>,
  );
  await waitFor(() => expect(place.requests.at(-1)?.wait).toBeGreaterThan(0));
  expect(seen).toEqual([["idle", false]]);
  expect(place.fetched).toEqual([]);
});

test("a part that is hydrated late begins with what the server rendered, though it has changed", async () => {
  const place = new Place();
  await place.write("posts", ["a"]);
  const state = await place.state("posts");
  let isReady = true;
  let ready = () => {};
  const code = new Promise<void>((resolve) => {
    ready = resolve;
  });
  const Posts = () => <p>{useReality<string[]>("posts").data?.join()}</p>;
  const Late = () => {
    if (!isReady) throw code;
    return <Posts />;
  };
  const page = (
    <RealityProvider {...place.options} initialState={state}>
      <Posts />
      <Suspense>
        <Late />
      </Suspense>
    </RealityProvider>
  );
  const html = renderToString(page);
  isReady = false;
  const onRecoverableError = vi.fn();
  const root = await act(async () => hydrateRoot(delivered(html), page, { onRecoverableError }));
  await place.write("posts", ["b"]);
  await screen.findByText("b");
  expect(screen.getByText("a")).toBeTruthy();

  isReady = true;
  await act(async () => ready());
  await waitFor(() => expect(screen.getAllByText("b")).toHaveLength(2));
  expect(onRecoverableError).not.toHaveBeenCalled();
  act(() => root.unmount());
});

test("what is rendered below it is no option of its client", () => {
  render(<RealityProvider>{-1}</RealityProvider>);
  expect(screen.getByText("-1")).toBeTruthy();
});
