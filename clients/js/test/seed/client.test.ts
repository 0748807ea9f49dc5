// @vitest-environment jsdom
// biome-ignore-all format: the snippets stand here as in the guide that users were given
// biome-ignore-all lint: the same
// The guide's snippets of the client, in its order, with nothing changed but the names of imports.
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { createReality, createRealityClient } from '../../src/index.ts';
import { Site } from "../compat/site.ts";

interface Post {
  id: string;
  title: string;
}

const site = await new Site().start();

beforeAll(() => {
  vi.stubGlobal("fetch", site.fetch);
  vi.spyOn(console, "log").mockReturnValue();
  site.serve("/api/posts", '[{"id":"1","title":"First"}]', { type: "application/json" });
});

afterAll(async () => {
  reality.destroy();
  vi.unstubAllGlobals();
  await site.stop();
});

// createReality and createRealityClient are aliases
const reality = createReality({
  // Server URLs (required for 'client' mode)
  servers: ['http://localhost:3456'],
  
  // Execution mode
  executionMode: 'auto', // 'auto' | 'client' | 'ssr-embedded'
  
  // Compatibility mode (usually 'native')
  mode: 'native', // 'native' | 'sse-compat' | 'polling-compat'
  
  // Optional configuration
  timeout: 10000,
  maxRetries: 3,
  retryBaseDelay: 100,
  debug: false,
});

it("Basic Client Usage", () => {
  expect(createRealityClient).toBe(createReality);
});

it("Subscribe to Changes", async () => {
  // Subscribe to a single key
  const unsubscribe = reality.subscribe('posts', (state) => {
    // state.data - current data (if fetcher provided)
    // state.meta - { key, version, hash, updatedAt }
    // state.status - 'idle' | 'loading' | 'syncing' | 'error' | 'stale'
    // state.error - any error
    // state.isLoading, state.isSyncing, state.isStale
    
    console.log('Posts changed:', state);
  });

  await vi.waitFor(() => expect(reality.getState('posts')?.meta?.version).toBeGreaterThan(0));
  await site.reality.invalidate('posts');
  const { version } = (await site.reality.getNode('posts')) ?? {};
  await vi.waitFor(() => {
    expect(console.log).toHaveBeenCalledWith('Posts changed:', expect.objectContaining({
      meta: expect.objectContaining({ key: 'posts', version }),
    }));
  });

  // Cleanup
  unsubscribe();
});

it("Manual Sync", async () => {
  const asked = vi.spyOn(site.reality, "handleSync");
  // Sync specific keys
  await reality.syncKeys(['posts', 'user:123'], 'interaction');

  // Sync all subscribed keys
  await reality.syncAll('focus');

  // Invalidate keys (triggers sync)
  await reality.invalidate(['posts']);
  const hints = asked.mock.calls.map(([{ hint }]) => hint);
  expect(hints).toEqual(expect.arrayContaining(['interaction', 'focus']));
});

it("Realtime Helper", async () => {
  const posts = reality.realtime<Post[]>('posts', {
    fallback: [],
    // @ts-expect-error this project forbids parameters that are not used, as the guide's two
    fetcher: async (key, meta) => {
      const res = await fetch('/api/posts');
      return res.json();
    },
  });

  // Subscribe
  const unsub = posts.subscribe((state) => {
    console.log(state.data);
  });

  // Get current state
  const currentState = posts.getState();

  // Manual sync
  await posts.sync('interaction');

  expect(currentState?.data).toEqual([]);
  await vi.waitFor(() => expect(posts.getState()?.data).toEqual([{ id: '1', title: 'First' }]));
  expect(console.log).toHaveBeenCalledWith([]);
  unsub();
});

it("Mutations", async () => {
  const seen: unknown[] = [];
  const fetcher = async () => (await fetch('/api/posts')).json();
  const unsubscribe = reality.subscribe('posts', ({ data }) => seen.push(data), { fetcher });
  await vi.waitFor(() => expect(seen.at(-1)).toHaveLength(1));

  const result = await reality.mutate(
    'posts',
    { title: 'New Post' },
    async (input) => {
      const res = await fetch('/api/posts', {
        method: 'POST',
        body: JSON.stringify(input),
      });
      return res.json();
    },
    {
      // Optimistic update
      optimisticUpdate: (current, input) => [
        ...(current ?? []),
        { id: 'temp', ...input, pending: true },
      ],
      rollbackOnError: true,
      invalidateKeys: ['feed'],
    }
  );

  expect(result).toEqual([{ id: '1', title: 'First' }]);
  const shown = [{ id: '1', title: 'First' }, { id: 'temp', title: 'New Post', pending: true }];
  await vi.waitFor(() => expect(seen).toContainEqual(shown));
  await vi.waitFor(() => expect(seen.at(-1)).toHaveLength(1));
  unsubscribe();
});
