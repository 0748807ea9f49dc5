// Types of server-side rendering. Checked by the compiler, never run.
import { expectTypeOf } from "vitest";
import type { RealityClient } from "../../src/client/client.ts";
import type {
  RealityPosition,
  RealityState,
  SyncRequest,
  SyncResponse,
} from "../../src/client/types.ts";
import { createEmbeddedRealityServer } from "../../src/embedded/index.ts";
import {
  createRealityTanStackAdapter,
  createSSRContext,
  deserializeRealityState,
  isHydrated,
  isSSR,
  readRealityState,
  type SSRContext,
  serializeRealityState,
  TanStackRealityAdapter,
} from "../../src/ssr/index.ts";

declare const client: RealityClient;
declare const state: RealityState;

const adapter = createRealityTanStackAdapter({ keys: ["posts"], serverId: "ssr" });
expectTypeOf(adapter).toEqualTypeOf<TanStackRealityAdapter>();
expectTypeOf(adapter.prefetch()).toEqualTypeOf<Promise<RealityPosition>>();
expectTypeOf(adapter.prefetch(["user:1"], { signal: new AbortController().signal })).toExtend<
  Promise<RealityState>
>();
expectTypeOf(adapter.invalidate("posts")).toEqualTypeOf<Promise<Record<string, number>>>();
expectTypeOf(adapter.invalidate(["posts", "chat:*"])).toExtend<Promise<unknown>>();
adapter.hydrate(client, state);
expectTypeOf(adapter.dehydrate(client)).toEqualTypeOf<RealityState[]>();
// @ts-expect-error the keys of an adapter are fixed
adapter.keys.push("more");

// Every way to a server; the embedded one is one.
new TanStackRealityAdapter({ server: createEmbeddedRealityServer() });
new TanStackRealityAdapter({ servers: "http://localhost:3456", token: "secret" });
new TanStackRealityAdapter({
  syncHandler: async (request) => {
    expectTypeOf(request).toEqualTypeOf<SyncRequest>();
    return {} as SyncResponse;
  },
});
// @ts-expect-error keys are a list
createRealityTanStackAdapter({ keys: "posts" });
// @ts-expect-error it is no server
createRealityTanStackAdapter({ server: {} });

const context = createSSRContext({ keys: ["posts"] });
expectTypeOf(context).toEqualTypeOf<SSRContext>();
expectTypeOf(context.state).toEqualTypeOf<RealityState | undefined>();
expectTypeOf(context.script({ id: "state", nonce: "n" })).toEqualTypeOf<string>();
context.register("posts", "user:1");
// @ts-expect-error a state is taken, not given
context.state = state;

expectTypeOf(serializeRealityState(state)).toEqualTypeOf<string>();
expectTypeOf(deserializeRealityState("")).toEqualTypeOf<RealityState>();
expectTypeOf(readRealityState()).toEqualTypeOf<RealityState | undefined>();
expectTypeOf([isSSR(), isHydrated(), isHydrated(client)]).toEqualTypeOf<boolean[]>();
