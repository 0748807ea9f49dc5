// The board: posts that are fresh in every open page, and one's own at once.

import { type FormEvent, useState } from "react";
import { type RealityResult, useMutation, useReality } from "reality-sync/react";
import { addPost, type Draft, fetchPosts, likePost, type Post } from "./api.ts";

type Posts = readonly Post[];

export function Board() {
  const posts = useReality<Posts>("posts", {
    fetcher: (_key, _meta, { signal }) => fetchPosts(signal),
    fallback: [],
  });
  const adding = useMutation("posts", addPost, {
    optimisticUpdate: (current: Posts = [], draft) => [
      pendingPost(draft),
      ...without(current, draft),
    ],
  });
  const liking = useMutation("posts", likePost, {
    optimisticUpdate: (current: Posts = [], id) =>
      current.map((post) => (post.id === id ? { ...post, likes: post.likes + 1 } : post)),
  });

  return (
    <main>
      <header>
        <h1>Noticeboard</h1>
        <Freshness posts={posts} />
      </header>
      <Composer onPost={adding.mutate} problem={adding.error} />
      {posts.isLoading && <p className="hint">Loading…</p>}
      {!posts.isLoading && posts.data.length === 0 && (
        <p className="hint">Nothing here yet. Open this page in a second window, and write.</p>
      )}
      <ol>
        {posts.data.map((post) => (
          <Notice key={post.id} post={post} onLike={() => liking.mutate(post.id)} />
        ))}
      </ol>
    </main>
  );
}

function pendingPost(draft: Draft): Post {
  return { ...draft, at: Date.now() / 1000, likes: 0, isPending: true };
}

/** The posts but this one: it may have been fetched before its own mutation was over. */
function without(posts: Posts, { id }: Draft): Posts {
  return posts.filter((post) => post.id !== id);
}

function Freshness({ posts }: { readonly posts: RealityResult<Posts, Posts> }) {
  const [name, text] = posts.error
    ? ["lost", "reconnecting"]
    : posts.isSyncing || posts.isLoading
      ? ["syncing", "catching up"]
      : ["live", "live"];
  return (
    <output className={`freshness ${name}`} title={posts.error?.message}>
      <i />
      {text}
    </output>
  );
}

interface ComposerProps {
  readonly onPost: (draft: Draft) => Promise<unknown>;
  readonly problem: Error | null;
}

function Composer({ onPost, problem }: ComposerProps) {
  const [author, setAuthor] = useState("");
  const [text, setText] = useState("");
  const isReady = author.trim() !== "" && text.trim() !== "";

  async function post(event: FormEvent) {
    event.preventDefault();
    if (!isReady) return;
    setText("");
    try {
      await onPost({ id: crypto.randomUUID(), author, text });
    } catch {
      setText((present) => present || text); // nothing that was written is lost
    }
  }

  return (
    <form onSubmit={post}>
      <textarea
        aria-label="Message"
        maxLength={280}
        placeholder="What should everybody see?"
        rows={2}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <div>
        <input
          aria-label="Your name"
          maxLength={40}
          placeholder="Your name"
          value={author}
          onChange={(event) => setAuthor(event.target.value)}
        />
        <button type="submit" disabled={!isReady}>
          Pin it up
        </button>
      </div>
      {problem && <p role="alert">{problem.message}</p>}
    </form>
  );
}

function Notice({ post, onLike }: { readonly post: Post; readonly onLike: () => void }) {
  const { author, text, at, likes, isPending = false } = post;
  const hue = ([...author].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) * 137) % 360;
  const time = new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return (
    <li className={isPending ? "pending" : ""} style={{ "--hue": hue }}>
      <span className="portrait" aria-hidden>
        {author.trim().charAt(0).toUpperCase()}
      </span>
      <article>
        <p>
          <b>{author}</b> <time>{isPending ? "sending…" : time}</time>
        </p>
        <p className="text">{text}</p>
      </article>
      <button type="button" className="like" disabled={isPending} onClick={onLike}>
        <span aria-hidden>♥</span> <span className="count">{likes}</span>
        <span className="unseen">likes; like the post of {author}</span>
      </button>
    </li>
  );
}
