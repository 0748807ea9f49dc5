// The package `reality-sync`: the client, and what goes with it in any environment.

export type { RealtimeKey } from "./client/client.ts";
export {
  createReality,
  createReality as createRealityClient,
  RealityClient,
} from "./client/client.ts";
export {
  type AppStateLike,
  appEnvironment,
  type Environment,
  type Signal,
} from "./client/environment.ts";
export { dehydrate, hydrate } from "./client/hydration.ts";
export { HttpTransport } from "./client/transport.ts";
export type * from "./client/types.ts";
export { RealityError } from "./core/errors.ts";
export { canonicalJson, createHash } from "./core/hash.ts";
export {
  createRealityTanStackAdapter,
  createSSRContext,
  deserializeRealityState,
  isHydrated,
  isSSR,
  readRealityState,
  type SSRContext,
  type StateScriptOptions,
  serializeRealityState,
  type TanStackAdapterOptions,
  TanStackRealityAdapter,
} from "./ssr/index.ts";
