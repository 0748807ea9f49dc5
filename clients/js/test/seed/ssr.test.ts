// biome-ignore-all format: the snippets stand here as in the guide that users were given
// biome-ignore-all lint: the same
// The guide's snippets of server-side rendering, with nothing changed but the names of imports.
import { afterEach, expect, it } from "vitest";
import { sharedEmbeddedServer } from "../../src/embedded/index.ts";
import { 
  createRealityTanStackAdapter,
  createSSRContext,
  TanStackRealityAdapter,
} from '../../src/ssr/index.ts';

afterEach(() => sharedEmbeddedServer().close());

it("SSR / TanStack Integration", async () => {
  // Create adapter for SSR
  const adapter = createRealityTanStackAdapter({
    keys: ['posts', 'user:123'],
    serverId: 'tanstack-ssr',
  });

  // In loader
  async function loader() {
    // Prefetch and get hydration state
    const realityState = await adapter.prefetch();
    
    return {
      realityState,
    };
  }

  const before = await loader();

  // Invalidate from server actions
  await adapter.invalidate(['posts']);

  const after = await loader();
  const version = ({ realityState }: typeof after, key: string) => realityState.nodes[key]?.version;
  expect(version(after, 'posts')).toBeGreaterThan(Number(version(before, 'posts')));
  expect(version(after, 'user:123')).toBe(version(before, 'user:123'));
  expect(adapter).toBeInstanceOf(TanStackRealityAdapter);
  expect(createSSRContext).toBeTypeOf('function');
});
