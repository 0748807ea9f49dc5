// Parts of a page that React hides and shows again, which it can since version 19.2.
// biome-ignore-all lint/correctness/noComponentHookFactories: each test has components of its own

import { act, render, screen } from "@testing-library/react";
import { Activity } from "react";
import { test } from "vitest";
import { useReality } from "../../src/react/index.ts";
import { Place } from "./place.tsx";

const Posts = () => <p>{useReality<string[]>("posts").data?.join() ?? "loading"}</p>;
const soon = () => act(() => new Promise((resolve) => setTimeout(resolve, 5)));

test("a provider that is hidden and shown again is live again", async () => {
  const place = new Place();
  place.api.set("posts", ["a"]);
  const page = (mode: "hidden" | "visible") => (
    <Activity mode={mode}>
      <place.Provider>
        <Posts />
      </place.Provider>
    </Activity>
  );
  const { rerender } = render(page("visible"));
  await screen.findByText("a");
  rerender(page("hidden"));
  await soon();
  await place.write("posts", ["b"]);
  rerender(page("visible"));
  await screen.findByText("b");
  await place.write("posts", ["c"]);
  await screen.findByText("c");
});

test("a component that is hidden asks for nothing, and is fresh when it is shown again (I1)", async () => {
  const place = new Place();
  place.api.set("posts", ["a"]);
  const page = (mode: "hidden" | "visible") => (
    <place.Provider>
      <Activity mode={mode}>
        <Posts />
      </Activity>
    </place.Provider>
  );
  const { rerender } = render(page("visible"));
  await screen.findByText("a");
  rerender(page("hidden"));
  await place.write("posts", ["b"]);
  rerender(page("visible"));
  await screen.findByText("b");
});
