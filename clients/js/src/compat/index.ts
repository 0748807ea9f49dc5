// `reality-sync/compat`: in place of `EventSource`, and of polling, in applications that have them.

export { RealityEventSource, type RealityEventSourceOptions } from "./event-source.ts";
export {
  createEventSource,
  createEventSourceFactory,
  type EventSourceFactory,
} from "./factory.ts";
export {
  type InteractionSyncOptions,
  type Interactive,
  withInteractionSync,
} from "./interaction.ts";
export type { EndpointOptions } from "./options.ts";
export {
  type BatchPollingAdapterOptions,
  createBatchPollingAdapter,
  createPollingAdapter,
  type PollingAdapter,
  type PollingAdapterOptions,
} from "./polling.ts";
