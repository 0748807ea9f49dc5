// useSync, useSyncOnInteraction and useSyncOnMount.
// biome-ignore-all lint/correctness/noComponentHookFactories: each test has components of its own

import { act, fireEvent, render, renderHook, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  useReality,
  useSync,
  useSyncOnInteraction,
  useSyncOnMount,
} from "../../src/react/index.ts";
import { Place } from "./place.tsx";

const complaints = vi.spyOn(console, "error");
beforeEach(() => {
  complaints.mockClear();
});
afterEach(() => {
  expect(complaints).not.toHaveBeenCalled();
});

/** The requests that were made at once, as hint and keys. */
const asked = (place: Place, hint: string) =>
  place.requests.filter((each) => each.hint === hint).map(({ known }) => Object.keys(known));

test("syncAll asks for every key that is subscribed to, syncKeys for those that are named", async () => {
  const place = new Place();
  place.api.set("a", 1).set("b", 2);
  const { result } = renderHook(
    () => [useReality("a").data, useReality("b").data, useSync()] as const,
    { wrapper: place.Provider },
  );
  await waitFor(() => expect(result.current.slice(0, 2)).toEqual([1, 2]));
  const [, , { syncAll, syncKeys }] = result.current;

  await act(() => syncAll());
  expect(asked(place, "interaction")).toEqual([["a", "b"]]);
  await act(() => syncKeys(["b", "c"], "mutation"));
  expect(asked(place, "mutation")).toEqual([["b", "c"]]);
});

test("isSyncing tells of a call that is under way, and failures reject", async () => {
  const place = new Place();
  const { result } = renderHook(() => useSync(), { wrapper: place.Provider });
  expect(result.current.isSyncing).toBe(false);

  let done: Promise<unknown> | undefined;
  await act(async () => {
    done = result.current.syncKeys("posts");
    await Promise.resolve();
  });
  await act(async () => expect(await done).toEqual(["posts"]));
  expect(result.current.isSyncing).toBe(false);

  place.isDown = true;
  await act(async () => {
    await expect(result.current.syncKeys("posts")).rejects.toThrow("the server is down");
  });
  expect(result.current.isSyncing).toBe(false);
});

test("interactions are throttled, and the handler stays the same", async () => {
  const place = new Place();
  const handlers = new Set<unknown>();
  const Input = () => {
    const ask = useSyncOnInteraction(["posts", "users"], { throttle: 60_000 });
    handlers.add(ask);
    return <input onClick={ask} onFocus={ask} />;
  };
  const { rerender } = render(<Input />, { wrapper: place.Provider });
  const input = screen.getByRole("textbox");
  fireEvent.focus(input);
  fireEvent.click(input);
  rerender(<Input />);
  fireEvent.click(input);
  await waitFor(() => expect(asked(place, "interaction")).toEqual([["posts", "users"]]));
  expect(handlers.size).toBe(1);
});

test("interactions ask again once the throttle allows it", async () => {
  const place = new Place();
  const clock = vi.spyOn(performance, "now").mockReturnValue(0);
  const { result } = renderHook(() => useSyncOnInteraction("posts"), { wrapper: place.Provider });
  result.current();
  clock.mockReturnValue(999);
  result.current();
  clock.mockReturnValue(1_000);
  result.current();
  clock.mockRestore();
  await waitFor(() => expect(asked(place, "interaction")).toEqual([["posts"], ["posts"]]));
});

test("a mount asks once, in StrictMode too, and again for other keys", async () => {
  const place = new Place();
  const { rerender } = renderHook(({ keys }: { keys: string[] }) => useSyncOnMount(keys), {
    wrapper: place.Provider,
    initialProps: { keys: ["a", "b"] },
    reactStrictMode: true,
  });
  await waitFor(() => expect(asked(place, "mount")).toEqual([["a", "b"]]));
  rerender({ keys: ["a", "b"] });
  rerender({ keys: ["c"] });
  await waitFor(() => expect(asked(place, "mount")).toEqual([["a", "b"], ["c"]]));
});

test("no keys are nothing to ask for", async () => {
  const place = new Place();
  renderHook(() => useSyncOnMount([]), { wrapper: place.Provider });
  await act(() => new Promise((resolve) => setTimeout(resolve, 5)));
  expect(place.requests).toEqual([]);
});
