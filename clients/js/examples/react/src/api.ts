// The application's own API: Reality tells when to ask it, and has no part in the data.

export interface Draft {
  readonly id: string;
  readonly author: string;
  readonly text: string;
}

export interface Post extends Draft {
  /** Seconds since the epoch. */
  readonly at: number;
  readonly likes: number;
  /** It was not confirmed by the server yet. */
  readonly isPending?: boolean;
}

async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  const answer = await fetch(path, init);
  if (answer.ok) return answer.json() as Promise<T>;
  if (answer.status === 422) throw new Error("A post needs a name and 1 to 280 characters.");
  throw new Error(`The board answered with ${answer.status}. Try again.`);
}

export function fetchPosts(signal: AbortSignal): Promise<Post[]> {
  return ask("/api/posts", { signal });
}

export function addPost(draft: Draft): Promise<Post> {
  const headers = { "content-type": "application/json" };
  return ask("/api/posts", { method: "POST", headers, body: JSON.stringify(draft) });
}

export function likePost(id: string): Promise<Post> {
  return ask(`/api/posts/${encodeURIComponent(id)}/like`, { method: "POST" });
}
