// The server that this process shares.
//
// Bundlers of server-rendered applications evaluate one module several times: once for each route, and
// anew after each edit. All of these have to mean the same server, or an invalidation would go to one
// that no client asks.

import { place, SHARED } from "../core/place.ts";
import { EmbeddedRealityServer, type EmbeddedServerOptions } from "./server.ts";

/**
 * A server in this process. The first one becomes the one that the process shares, until it is closed.
 * Asked for another under the `serverId` of the shared one, this returns that, with the limits that it
 * was created with; use `new EmbeddedRealityServer(…)` for one that shares nothing.
 *
 * @throws RangeError if a limit is no whole number from 1, or `serverId` is none.
 */
export function createEmbeddedRealityServer(
  options: EmbeddedServerOptions = {},
): EmbeddedRealityServer {
  const server = new EmbeddedRealityServer(options);
  const shared = registered();
  if (shared?.serverId === server.serverId) return shared;
  if (shared === undefined) place[SHARED] = server;
  return server;
}

/** The server that this process shares; it is created if there is none. */
export function sharedEmbeddedServer(): EmbeddedRealityServer {
  return registered() ?? createEmbeddedRealityServer();
}

function registered(): EmbeddedRealityServer | undefined {
  return place[SHARED] as EmbeddedRealityServer | undefined;
}
