// What every replacement can be told.

import type { RealityClient } from "../client/client.ts";
import type { RealityOptions } from "../client/types.ts";

type Replaced = "credentials" | "fetcher" | "live" | "mode" | "servers" | "storage" | "transport";

/** Where the server is, and how to ask it; the rest is as in `createReality`. */
export interface EndpointOptions extends Omit<RealityOptions, Replaced> {
  /**
   * Where the Reality server is: the URL of its `/sync`, or the one above it; also several. Default:
   * `/reality` of this page's host.
   */
  readonly realityEndpoint?: string | readonly string[] | undefined;
  /**
   * Ask through this client, which may have other subscribers of the same keys, instead of a client of
   * its own. When it asks a server, and which, is then as this client was told.
   */
  readonly client?: RealityClient | undefined;
  /**
   * Send cookies to other origins too, both for the application's data and to the Reality server.
   * Default false.
   */
  readonly withCredentials?: boolean | undefined;
}

/** Where one GET goes, and for how long. */
export interface Getting extends Pick<EndpointOptions, "fetch" | "withCredentials"> {
  readonly url: string | URL;
  readonly signal: AbortSignal;
}
