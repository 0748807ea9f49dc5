// `reality-sync/embedded`: a server in this process, for server-rendered applications and tests.

export type { Node as EmbeddedNode } from "./graph.ts";
export type { FetchHandlerOptions } from "./handler.ts";
export type { EmbeddedLimits } from "./limits.ts";
export {
  EmbeddedRealityServer,
  type EmbeddedServerOptions,
  type EmbeddedServerStats,
  type Hydration,
} from "./server.ts";
export { createEmbeddedRealityServer, sharedEmbeddedServer } from "./shared.ts";
