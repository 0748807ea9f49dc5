// biome-ignore-all format: the snippet stands here as in the guide that users were given
// biome-ignore-all lint: the same
// The guide's Pattern 3, with nothing changed but the names of imports.

import { createEmbeddedRealityServer } from '../../src/embedded/index.ts';
// routes/posts.tsx
import { createRealityTanStackAdapter } from '../../src/ssr/index.ts';
import { db, posts, redirect } from "./posts-database.ts";

// Create embedded server once
const embedded = createEmbeddedRealityServer({ serverId: 'ssr' });

export async function loader() {
  const adapter = createRealityTanStackAdapter({ keys: ['posts'] });
  const realityState = await adapter.prefetch();
  const posts = await db.query.posts.findMany();
  
  return { posts, realityState };
}

// @ts-expect-error the guide gives the request no type
export async function action({ request }) {
  const data = await request.formData();
  await db.insert(posts).values({ title: data.get('title') });
  await embedded.invalidate(['posts']);
  return redirect('/posts');
}
