// The React code that users were promised, with only the names of imports changed.
// biome-ignore-all lint/correctness/noComponentHookFactories: each test has components of its own

import { act, render, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EmbeddedRealityServer } from "../../src/embedded/index.ts";
import {
  RealityProvider,
  useMutation,
  useReality,
  useRealityClient,
  useSync,
} from "../../src/react/index.ts";

interface Post {
  readonly id: number;
  readonly title: string;
}

let server: EmbeddedRealityServer;
let posts: Post[];
let asked: string[];

beforeEach(() => {
  server = new EmbeddedRealityServer({ serverId: "seed" });
  posts = [{ id: 1, title: "first" }];
  asked = [];
  const handler = server.getFetchHandler("/reality");
  vi.stubGlobal("fetch", (input: string, init?: RequestInit) => {
    asked.push(`${init?.method ?? "GET"} ${input}`);
    // Signals of jsdom are none for Node's `Request`.
    const { signal: _, ...rest } = init ?? {};
    if (input.startsWith("http://localhost:3456/reality/"))
      return handler(new Request(input, rest));
    if (input === "/api/posts") return Promise.resolve(Response.json(posts));
    return Promise.reject(new Error(`nothing is at ${input}`));
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
  server.close();
});

test("pattern 1 shows the posts, and new ones when the server says so", async () => {
  function App() {
    return (
      <RealityProvider servers={["http://localhost:3456"]}>
        <PostsList />
      </RealityProvider>
    );
  }

  function PostsList() {
    const { data: posts, isLoading } = useReality<Post[]>("posts", {
      fallback: [],
      fetcher: () => fetch("/api/posts").then((r) => r.json()),
    });

    if (isLoading) return <div>Loading...</div>;
    return (
      <ul>
        {posts.map((p) => (
          <li key={p.id}>{p.title}</li>
        ))}
      </ul>
    );
  }

  render(<App />);
  expect(screen.getByText("Loading...")).toBeTruthy();
  await screen.findByText("first");

  posts = [...posts, { id: 2, title: "second" }];
  await server.invalidate("posts");
  await screen.findByText("second");
  expect(asked).toContain("POST http://localhost:3456/reality/sync");
});

test("the React integration fetches, mutates optimistically and syncs", async () => {
  const saved = vi.fn();

  function App() {
    return (
      <RealityProvider servers={["http://localhost:3456"]} executionMode="auto">
        <MyComponent />
      </RealityProvider>
    );
  }

  function MyComponent() {
    // Subscribe to data
    const {
      data: posts,
      isLoading,
      isSyncing,
      error,
      sync,
    } = useReality<Post[]>("posts", {
      fallback: [],
      fetcher: async (key) => {
        expect(key).toBe("posts");
        const res = await fetch("/api/posts");
        return res.json();
      },
      refetchOnFocus: true,
      refetchOnReconnect: true,
    });

    // Mutation
    const { mutate, isLoading: isSending } = useMutation(
      "posts",
      async (text: string) => {
        // Your mutation logic
        await saved(text);
      },
      {
        optimisticUpdate: (current, text) => [...current, { text, pending: true }],
      },
    );

    // Direct client access
    const client = useRealityClient();

    // Sync controls
    const { syncAll, syncKeys } = useSync();

    return (
      <div>
        <p>{[isLoading, isSyncing, isSending, error !== null].join()}</p>
        <ul>{posts.length}</ul>
        <button type="button" onClick={() => mutate("hello")}>
          add
        </button>
        <button type="button" onClick={() => sync()}>
          sync
        </button>
        <button type="button" onClick={() => syncAll()}>
          all
        </button>
        <button type="button" onClick={() => syncKeys(["posts"])}>
          keys
        </button>
        <button type="button" onClick={() => client.invalidate(["posts"])}>
          invalidate
        </button>
      </div>
    );
  }

  render(<App />);
  await screen.findByText("false,false,false,false");
  expect(screen.getByRole("list").textContent).toBe("1");

  let save = () => {};
  saved.mockReturnValue(
    new Promise<void>((resolve) => {
      save = resolve;
    }),
  );
  act(() => screen.getByText("add").click());
  await waitFor(() => expect(screen.getByRole("list").textContent).toBe("2"));
  expect(screen.getByText("false,false,true,false")).toBeTruthy();
  posts = [...posts, { id: 2, title: "hello" }, { id: 3, title: "another" }];
  await act(async () => save());
  await waitFor(() => expect(screen.getByRole("list").textContent).toBe("3"));

  for (const name of ["sync", "all", "keys", "invalidate"]) {
    const count = asked.length;
    act(() => screen.getByText(name).click());
    await waitFor(() => expect(asked.length).toBeGreaterThan(count));
  }
});
