// What pages can ask of the server. TanStack Start leaves the handlers out of what browsers load.

import { createServerFn } from "@tanstack/react-start";
import { insertPost, selectPosts } from "./posts.server.ts";
import { adapter } from "./reality.server.ts";

const TITLE_CHARS_MAX = 200;

/** A line of the board. */
export interface Post {
  readonly id: number;
  readonly title: string;
}

/** What the page is rendered with: first the position, then the data, so that no change is missed. */
export const loadBoard = createServerFn().handler(async () => {
  const realityState = await adapter.prefetch();
  const posts = await selectPosts();
  return { posts, realityState };
});

/** What the page fetches when `posts` has changed. */
export const readPosts = createServerFn().handler(() => selectPosts());

/** Add a post, and say that `posts` has changed. */
export const addPost = createServerFn({ method: "POST" })
  .validator((text: string) => {
    const title = text.trim().slice(0, TITLE_CHARS_MAX);
    if (title) return title;
    throw new Error("A post needs a title.");
  })
  .handler(async ({ data: title }) => {
    const post = await insertPost(title);
    await adapter.invalidate("posts");
    return post;
  });
