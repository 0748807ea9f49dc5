// `reality-sync/ssr`: pages that are rendered on a server, and go on live in the browser.

export {
  createRealityTanStackAdapter,
  type TanStackAdapterOptions,
  TanStackRealityAdapter,
} from "./adapter.ts";
export { createSSRContext, type SSRContext, type StateScriptOptions } from "./context.ts";
export { isHydrated, isSSR, readRealityState } from "./page.ts";
export type { EmbeddedServer, SourceOptions } from "./source.ts";
export { deserializeRealityState, serializeRealityState } from "./state.ts";
