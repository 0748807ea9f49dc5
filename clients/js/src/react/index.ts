// `reality-sync/react`: hooks that keep components fresh, and the provider of their client.
"use client";

export { RealityProvider, type RealityProviderProps, useRealityClient } from "./provider.ts";
export type {
  DataAtOnce,
  HookKey,
  MutationResult,
  PlainOptions,
  RealityResult,
  SyncResult,
  TransformingOptions,
  UseInvalidationOptions,
  UseMutationOptions,
  UseRealityOptions,
} from "./types.ts";
export { useMutation, useMutationWithInvalidation } from "./use-mutation.ts";
export {
  type KeyWithOptions,
  useReality,
  useRealityMultiple,
  useRealitySuspense,
} from "./use-reality.ts";
export { useSync, useSyncOnInteraction, useSyncOnMount } from "./use-sync.ts";
