// @vitest-environment jsdom
// The programs in the documents do what the text around them says.

import { cleanup, configure, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { createElement, type FunctionComponent, StrictMode, Suspense } from "react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { PollingAdapter, RealityEventSource } from "../src/compat/index.ts";
import { EmbeddedRealityServer, sharedEmbeddedServer } from "../src/embedded/index.ts";
import type { RealityClient, RealityState, SyncRequest } from "../src/index.ts";
import { RealityProvider } from "../src/react/index.ts";
import { members, problems, programs, read, run } from "./documents.ts";

configure({ asyncUtilTimeout: 20_000 }); // only a failure takes that long
vi.setConfig({ testTimeout: 30_000 });

const GUIDE = "../../docs/javascript.md";
const tested = new Set<string>();
let server: EmbeddedRealityServer;
let made: RealityClient[];
let asked: string[];
let syncs: SyncRequest[];
let api: Map<string, unknown>;

beforeEach(() => {
  server = new EmbeddedRealityServer({ serverId: "documents" });
  made = [];
  asked = [];
  syncs = [];
  api = new Map([["/api/posts", [{ text: "first" }]]]);
  const handler = server.getFetchHandler("/reality");
  vi.stubGlobal("fetch", async (input: string | URL, init: RequestInit = {}) => {
    const url = new URL(input, location.href);
    // Signals of jsdom are none for Node's `Request`.
    const { signal: _, ...rest } = init;
    if (url.pathname === "/reality/sync") syncs.push(JSON.parse(String(rest.body)));
    if (url.pathname.startsWith("/reality/")) return handler(new Request(url, rest));
    asked.push(`${rest.method ?? "GET"} ${url.pathname}`);
    const data = api.get(url.pathname);
    if (rest.method !== "POST") return Response.json(data);
    if (Array.isArray(data)) api.set(url.pathname, [...data, JSON.parse(String(rest.body))]);
    return new Response(rest.body as string | undefined);
  });
});

afterEach(() => {
  cleanup();
  for (const each of made) each.destroy();
  server.close();
  localStorage.clear();
  document.body.innerHTML = "";
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** Run the program of this name. */
function running<Exports>(name: string, others?: Record<string, unknown>): Promise<Exports> {
  const found = programs().find((each) => each.name === name);
  if (!found) throw new Error(`no document has ${name}`);
  tested.add(name);
  return run<Exports>(found, made, others);
}

/** A component of a program, shown as an application shows it. */
function show<Props extends object>(component: FunctionComponent<Props>, props: Props): void {
  render(
    <StrictMode>
      <RealityProvider>
        <Suspense fallback="waiting">{createElement(component, props)}</Suspense>
      </RealityProvider>
    </StrictMode>,
  );
}

async function post(text: string): Promise<void> {
  api.set("/api/posts", [...(api.get("/api/posts") as object[]), { text }]);
  await server.invalidate("posts");
}

test("every program is correct for the strictest compiler", () => {
  expect(problems(programs())).toEqual([]);
}, 60_000);

test("every option has its row, and every row is an option", () => {
  const [, options = "", keyOptions = ""] =
    /### Options\n(.*?)And of a key(.*?)### States/s.exec(read(GUIDE)) ?? [];
  const rows = (text: string) => [...text.matchAll(/^\| `(\w+)` /gm)].map(([, name]) => name);
  expect(rows(options).sort()).toEqual(members("RealityOptions").sort());
  expect(rows(keyOptions).sort()).toEqual(members("KeyOptions").sort());
});

test("the sizes are those that builds are held to", () => {
  const limits: { path: string; limit: string }[] = JSON.parse(read(".size-limit.json"));
  const limitOf = (path: string) => limits.find((each) => each.path.endsWith(`/${path}`))?.limit;
  const [, rows = ""] = /## Sizes\n.*?\n((?:\|.*\n)+)/s.exec(read(GUIDE)) ?? [];
  const sizes = [...rows.matchAll(/^\| \S.*? \| ([\d.]+) \|/gm)].map(([, size]) => `${size} kB`);
  const files = ["core", "core-and-react", "core-and-compat", "client", "later", "tabs"];
  expect(sizes).toEqual(files.map((name) => limitOf(`${name}.js`)));
});

test("posts.ts tells of the posts, and again when they changed", async () => {
  const log = vi.spyOn(console, "log").mockReturnValue();
  const { leave } = await running<{ leave: () => void }>("posts.ts");
  await waitFor(() => expect(log).toHaveBeenLastCalledWith([{ text: "first" }]));
  await post("second");
  await waitFor(() => {
    expect(log).toHaveBeenLastCalledWith([{ text: "first" }, { text: "second" }]);
  });
  expect(asked).toEqual(["GET /api/posts", "GET /api/posts"]);
  leave();
});

test("adding.ts shows a post at once, and takes it back if it was refused", async () => {
  const { add } = await running<{ add: (text: string) => Promise<unknown> }>("adding.ts");
  const [reality] = made as [RealityClient];
  const fetcher = async () => (await fetch("/api/posts")).json();
  reality.subscribe("posts", () => {}, { fetcher });
  const shown = () => JSON.stringify(reality.getState("posts")?.data);
  await waitFor(() => expect(shown()).toContain("first"));

  const adding = add("mine");
  await waitFor(() => expect(shown()).toContain("mine"));
  await adding;
  await waitFor(() => expect(reality.getState("posts")?.status).toBe("idle"));
  expect(shown()).toContain("mine");

  vi.stubGlobal("fetch", async () => new Response("", { status: 500 }));
  await expect(add("bad")).rejects.toThrow("this was not posted: 500");
  expect(shown()).not.toContain("bad");
});

test("kept.ts keeps data over page loads, and nothing after logging out", async () => {
  const kept = await running<{ reality: RealityClient; logOut: () => void }>("kept.ts");
  const fetcher = async () => (await fetch("/api/posts")).json();
  kept.reality.subscribe("posts", () => {}, { fetcher });
  await waitFor(() => expect(localStorage.getItem("reality-sync")).toContain("first"));

  const again = await running<{ reality: RealityClient; logOut: () => void }>("kept.ts");
  const told = vi.fn();
  again.reality.subscribe("posts", told, { fetcher });
  await waitFor(() => {
    expect(told).toHaveBeenCalledWith(expect.objectContaining({ data: [{ text: "first" }] }));
  });
  await waitFor(() => expect(again.reality.getStats().syncs).toBeGreaterThan(0));
  expect(asked).toEqual(["GET /api/posts"]);
  again.logOut();
  expect(localStorage.getItem("reality-sync")).toBeNull();
});

test("native.ts asks when the application is active again", async () => {
  let tell = (_: string) => {};
  const AppState = {
    currentState: "active",
    addEventListener: (_: string, listener: (state: string) => void) => {
      tell = listener;
      return { remove: () => {} };
    },
  };
  const { reality } = await running<{ reality: RealityClient }>("native.ts", {
    "react-native": { AppState },
  });
  reality.subscribe("posts", () => {});
  await waitFor(() => expect(syncs.at(-1)?.wait).toBe(25_000));
  for (const state of ["background", "active"]) {
    AppState.currentState = state;
    tell(state);
  }
  await waitFor(() => expect(syncs.some(({ hint }) => hint === "focus")).toBe(true));
  expect(syncs[0]?.clientId).toMatch(/^app-0\.\d+$/);
});

test("inside.ts asks a server of its own", async () => {
  const inside = await running<{ server: EmbeddedRealityServer; reality: RealityClient }>(
    "inside.ts",
  );
  const told = vi.fn();
  inside.reality.subscribe("posts", ({ meta }) => told(meta?.version));
  await waitFor(() => expect(inside.server.stats().waiters).toBe(1));
  const { posts } = await inside.server.invalidate("posts");
  await waitFor(() => expect(told).toHaveBeenLastCalledWith(posts));
  expect(syncs).toEqual([]);
  inside.server.close();
});

test("watched.ts writes down what happens", async () => {
  const { reality, lines } = await running<{ reality: RealityClient; lines: string[] }>(
    "watched.ts",
  );
  reality.subscribe("posts", () => {}, { fetcher: () => 1 });
  reality.subscribe("bad", () => {}, { fetcher: () => Promise.reject(new Error("no")) });
  const expected = [
    /^posts is at \d+, false$/,
    /^2 of 2, [\d.]+ ms$/,
    /^posts was fetched in /,
    /^bad failed: the application's own$/,
  ];
  await waitFor(() => {
    for (const each of expected) expect(lines).toContainEqual(expect.stringMatching(each));
  });
});

test("app.tsx shows the posts, and new ones", async () => {
  const { App } = await running<{ App: FunctionComponent }>("app.tsx");
  render(<App />);
  expect(await screen.findByText("first")).toBeTruthy();
  await post("second");
  expect(await screen.findByText("second")).toBeTruthy();
});

test("board.tsx, board-in-react.tsx and board.ts show the same", async () => {
  const log = vi.spyOn(console, "log").mockReturnValue();
  const { Board } = await running<{ Board: FunctionComponent }>("board.tsx");
  const { App } = await running<{ App: FunctionComponent }>("board-in-react.tsx");
  api.set("/api/posts", [{ id: 1, text: "first", title: "one" }]);
  render(<Board />);
  render(<App />);
  await running("board.ts");
  expect(await screen.findByText("first")).toBeTruthy();
  expect(await screen.findByText("one")).toBeTruthy();
  await waitFor(() => expect(log).toHaveBeenLastCalledWith("idle", api.get("/api/posts")));
  api.set("/api/posts", [{ id: 1, text: "second", title: "two" }]);
  await server.invalidate("posts");
  expect(await screen.findByText("second")).toBeTruthy();
  expect(await screen.findByText("two")).toBeTruthy();
  await waitFor(() => expect(log).toHaveBeenLastCalledWith("idle", api.get("/api/posts")));
});

test("keys.tsx asks for the keys that there are", async () => {
  type Ids = { id: string | null } & { id: string } & { ids: readonly string[] };
  type Components = Record<"Name" | "Names" | "NameThere", FunctionComponent<Ids>>;
  const { Name, Names, NameThere } = await running<Components>("keys.tsx");
  api.set("/api/user:1", "ada");
  api.set("/api/user:2", "grace");
  show(Name as FunctionComponent<{ id: null }>, { id: null });
  expect(screen.getByText("nobody")).toBeTruthy();
  expect(syncs).toEqual([]);
  show(Names as FunctionComponent<Pick<Ids, "ids">>, { ids: ["1", "2"] });
  expect(await screen.findByText('"ada", "grace"')).toBeTruthy();
  show(NameThere as FunctionComponent<{ id: string }>, { id: "1" });
  expect(await screen.findByText('"ADA"')).toBeTruthy();
});

test("doing.tsx does things, and asks when it is told to", async () => {
  const { Doing } = await running<{ Doing: FunctionComponent }>("doing.tsx");
  show(Doing, {});
  await waitFor(() => expect(syncs.length).toBeGreaterThan(0)); // it was mounted
  const press = (name: string) => fireEvent.click(screen.getByRole("button", { name }));
  press("Like");
  press("Clear");
  await waitFor(() => expect(asked).toEqual(["POST /api/like", "POST /api/clear"]));
  const before = syncs.length;
  fireEvent.pointerEnter(screen.getByText(/keys/));
  await waitFor(() => expect(syncs.length).toBeGreaterThan(before));
  await waitFor(() => press("Refresh"));
});

test("streams.ts gets bodies and data, and again after a touch", async () => {
  interface Streams {
    readonly seen: unknown[];
    readonly source: RealityEventSource;
    readonly adapter: PollingAdapter;
    readonly stop: () => void;
  }
  api.set("/api/likes", 7);
  const { seen, source, adapter, stop } = await running<Streams>("streams.ts");
  await waitFor(() => expect([...seen].sort()).toEqual([7, '[{"text":"first"}]']));
  expect(source.readyState).toBe(1);

  await post("second");
  await waitFor(() => expect(seen).toContain('[{"text":"first"},{"text":"second"}]'));
  api.set("/api/likes", 8);
  await server.invalidate("likes");
  fireEvent.pointerDown(document.body);
  await waitFor(() => expect(seen).toContain(8));
  stop();
  adapter.stop();
  source.close();
});

test("server.ts and page.tsx render a page that fetches only what changed", async () => {
  interface Server {
    readonly answer: (request: Request) => Promise<Response>;
    readonly loader: () => Promise<{ posts: string[]; realityState: RealityState }>;
    readonly action: (text: string) => Promise<void>;
  }
  const { answer, loader, action } = await running<Server>("server.ts");
  expect((await answer(new Request("http://localhost/reality/health"))).status).toBe(200);
  const { Page } = await running<{ Page: FunctionComponent<Awaited<ReturnType<typeof loader>>> }>(
    "page.tsx",
  );
  const data = await loader();
  render(<Page {...data} />);
  expect(screen.getByText("first")).toBeTruthy();
  await waitFor(() => expect(sharedEmbeddedServer().stats().waiters).toBe(1));
  expect(asked).toEqual([]);

  await action("second");
  api.set("/api/posts", (await loader()).posts);
  expect(await screen.findByText("first, second")).toBeTruthy();
  sharedEmbeddedServer().close();
});

test("rendering.ts writes a state into the page that rendered.ts finds", async () => {
  const shared = sharedEmbeddedServer();
  const { posts: version } = await shared.invalidate("posts");
  const { render: rendering } = await running<{
    render: (read: () => Promise<string>) => Promise<string>;
  }>("rendering.ts");
  document.body.innerHTML = await rendering(async () => "the posts");
  expect(document.querySelector("main")?.textContent).toBe("the posts");

  const { reality } = await running<{ reality: RealityClient }>("rendered.ts");
  expect(reality.getState("posts")?.meta?.version).toBe(version);
  shared.close();
});

test("no program is left out", () => {
  expect(
    programs()
      .map(({ name }) => name)
      .sort(),
  ).toEqual([...tested].sort());
});
