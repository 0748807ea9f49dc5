// The posts. They are in this process; an application has a database in this place.

import type { Post } from "./board.ts";

const posts: Post[] = [{ id: 1, title: "This page was rendered on the server." }];

/** All posts, the oldest first. */
export async function selectPosts(): Promise<readonly Post[]> {
  return posts;
}

/** Add a post. */
export async function insertPost(title: string): Promise<Post> {
  const post = { id: posts.length + 1, title };
  posts.push(post);
  return post;
}
