// The board: rendered on the server with its posts, live in the browser from there on.

import { createFileRoute } from "@tanstack/react-router";
import { RealityProvider, useMutation, useReality } from "reality-sync/react";
import { addPost, loadBoard, type Post, readPosts } from "../board.ts";

export const Route = createFileRoute("/")({
  loader: () => loadBoard(),
  component: Page,
});

function Page() {
  const { posts, realityState } = Route.useLoaderData();
  return (
    <RealityProvider initialState={realityState}>
      <Board rendered={posts} />
    </RealityProvider>
  );
}

function Board({ rendered }: { readonly rendered: readonly Post[] }) {
  const { data: posts, error } = useReality<readonly Post[]>("posts", {
    initialData: rendered,
    fetcher: (_key, _meta, { signal }) => readPosts({ signal }),
  });
  const adding = useMutation("posts", (title: string) => addPost({ data: title }));
  return (
    <main>
      <h1>Board</h1>
      <ul>
        {posts.map(({ id, title }) => (
          <li key={id}>{title}</li>
        ))}
      </ul>
      <form action={(form) => void adding.mutate(String(form.get("title")))}>
        <input name="title" required aria-label="Title" />
        <button type="submit">Post</button>
      </form>
      <p role="status">{(adding.error ?? error)?.message}</p>
    </main>
  );
}
