// useRealitySuspense.
// biome-ignore-all lint/correctness/noComponentHookFactories: each test has components of its own

import { act, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { Component, type ReactNode, StrictMode, Suspense, useState } from "react";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RealityProvider, useReality, useRealitySuspense } from "../../src/react/index.ts";
import { Place } from "./place.tsx";

const complaints = vi.spyOn(console, "error");
beforeEach(() => {
  complaints.mockClear();
});
afterEach(() => {
  expect(complaints).not.toHaveBeenCalled();
});

class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state = { error: null };
  static getDerivedStateFromError = (error: Error) => ({ error });
  override render(): ReactNode {
    const error: Error | null = this.state.error;
    if (!error) return this.props.children;
    return (
      <button type="button" onClick={() => this.setState({ error: null })}>
        {String(error)}
      </button>
    );
  }
}

const Name = ({ id }: { id: number }) => {
  const { data, error } = useRealitySuspense<string>(`user:${id}`);
  return (
    <p>
      {data.toUpperCase()} {error?.message}
    </p>
  );
};

async function shown(place: Place, children: ReactNode) {
  const page = (
    <StrictMode>
      <place.Provider>
        <Boundary>
          <Suspense fallback={<p>loading</p>}>{children}</Suspense>
        </Boundary>
      </place.Provider>
    </StrictMode>
  );
  // What suspends goes on only after this, says React.
  await act(async () => render(page));
}

test("a component is suspended until there is data, and stays fresh after that", async () => {
  const place = new Place();
  place.api.set("user:1", "Ada");
  place.hold();
  await shown(place, <Name id={1} />);
  expect(screen.getByText("loading")).toBeTruthy();
  place.release();
  await screen.findByText("ADA");
  expect(place.fetched).toEqual(["user:1"]);

  await place.write("user:1", "Grace");
  await screen.findByText("GRACE");
  expect(screen.queryByText("loading")).toBeNull();
});

test("components with one key wait for one fetch, also beside useReality", async () => {
  const place = new Place();
  place.api.set("user:1", "Ada");
  const Plain = () => <p>{useReality<string>("user:1").data}</p>;
  await shown(
    place,
    <>
      <Name id={1} />
      <Name id={1} />
      <Plain />
    </>,
  );
  await waitFor(() => expect(screen.getAllByText("ADA")).toHaveLength(2));
  expect(place.fetched).toEqual(["user:1"]);
});

test("another key suspends anew", async () => {
  const place = new Place();
  place.api.set("user:1", "Ada").set("user:2", "Grace");
  const Chooser = () => {
    const [id, setId] = useState(1);
    return (
      <>
        <button type="button" onClick={() => setId(id + 1)}>
          next
        </button>
        <Suspense fallback={<p>loading</p>}>
          <Name id={id} />
        </Suspense>
      </>
    );
  };
  await shown(place, <Chooser />);
  await screen.findByText("ADA");
  place.hold();
  await act(async () => fireEvent.click(screen.getByText("next")));
  expect(screen.getByText("loading")).toBeTruthy();
  place.release();
  await screen.findByText("GRACE");
});

test("the first error goes to the boundary, which may be reset to try again", async () => {
  complaints.mockImplementation(() => {}); // React reports what boundaries catch
  const place = new Place();
  place.api.set("user:1", new Error("no such user"));
  await shown(place, <Name id={1} />);
  await screen.findByText("Error: no such user");
  const count = place.fetched.length;
  await act(() => new Promise((resolve) => setTimeout(resolve, 300)));
  expect(place.fetched.length).toBe(count);

  place.api.set("user:1", "Ada");
  await act(async () => fireEvent.click(screen.getByRole("button")));
  await screen.findByText("ADA");
  complaints.mockReset();
});

test("a later error leaves the data where it is", async () => {
  const place = new Place();
  place.api.set("user:1", "Ada");
  await shown(place, <Name id={1} />);
  await screen.findByText("ADA");
  await place.write("user:1", new Error("away"));
  await screen.findByText("ADA away");
});

test("a server that is down does not keep the data from coming", async () => {
  const place = new Place();
  place.api.set("user:1", "Ada");
  place.isDown = true;
  await shown(place, <Name id={1} />);
  await screen.findByText(/ADA/);
});

test("a page that carries versions only is hydrated when its data is there", async () => {
  const place = new Place();
  await place.write("user:1", "Ada");
  const { cursor, nodes } = await place.state("user:1");
  const state = { cursor, nodes: { "user:1": { version: nodes["user:1"]?.version ?? 0 } } };
  const User = ({ given }: { given?: string }) => (
    <p>{useRealitySuspense<string>("user:1", { initialData: given }).data}</p>
  );
  const page = (given?: string) => (
    <RealityProvider {...place.options} initialState={state}>
      <Suspense>{given ? <User given={given} /> : <User />}</Suspense>
    </RealityProvider>
  );
  const container = document.createElement("div");
  container.innerHTML = renderToString(page("Ada"));
  const paragraph = container.firstElementChild;
  const root = await act(async () => hydrateRoot(container, page()));
  await waitFor(() => expect(place.requests.at(-1)?.wait).toBeGreaterThan(0));
  expect(container.firstElementChild).toBe(paragraph);
  expect(paragraph?.textContent).toBe("Ada");

  await place.write("user:1", "Grace");
  await waitFor(() => expect(paragraph?.textContent).toBe("Grace"));
  act(() => root.unmount());
});

test("a malformed key goes to the boundary", async () => {
  complaints.mockImplementation(() => {}); // React reports what boundaries catch
  const Wrong = () => <p>{String(useRealitySuspense("a\nb").data)}</p>;
  await shown(new Place(), <Wrong />);
  await waitFor(() => expect(screen.getByRole("button").textContent).toMatch(/Error/));
  complaints.mockReset();
});
