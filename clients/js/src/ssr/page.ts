// The other end of a rendered page: what the browser finds in it.

import type { RealityClient } from "../client/client.ts";
import type { RealityState } from "../client/types.ts";
import { deserializeRealityState, STATE_ID } from "./state.ts";

/** Whether this runs where pages are rendered, not where they are shown: there is no `document`. */
export function isSSR(): boolean {
  return globalThis.document === undefined;
}

/**
 * The state that this page was rendered with; undefined if it has none, or there is no page. It is for
 * `hydrate`, or the `initialState` of a `RealityProvider`.
 *
 * @param id of the element, if `script` was given another.
 * @throws TypeError the element holds something else.
 */
export function readRealityState(id: string = STATE_ID): RealityState | undefined {
  const text = globalThis.document?.getElementById(id)?.textContent;
  return text ? deserializeRealityState(text) : undefined;
}

/**
 * Whether this page was rendered with a state (see {@link readRealityState}) and `client`, if one is
 * given, knows every key of it. So false on a server, and on pages that were not rendered.
 *
 * @throws TypeError the element holds something else.
 */
export function isHydrated(client?: RealityClient, id: string = STATE_ID): boolean {
  const state = readRealityState(id);
  if (!state) return false;
  return !client || Object.keys(state.nodes).every((key) => client.getState(key) !== undefined);
}
