// The client that a replacement has for itself.

import { RealityClient } from "../client/client.ts";
import type { Mode } from "../client/types.ts";
import type { EndpointOptions } from "./options.ts";

/** A client of a replacement's own. */
export interface OwnClient {
  readonly client: RealityClient;
  readonly close: () => void;
}

/**
 * A client that asks through the one in the options, or else the server at the endpoint.
 *
 * @throws TypeError an option cannot be; the text says which.
 */
export function openClient(options: EndpointOptions, mode: Mode): OwnClient {
  const { client: other, realityEndpoint, withCredentials, ...rest } = options;
  const through =
    other && import("./through.ts").then(({ ThroughClient }) => new ThroughClient(other));
  const client = new RealityClient({
    ...rest,
    mode,
    credentials: withCredentials ? "include" : "same-origin",
    servers:
      realityEndpoint && [realityEndpoint].flat().map((url) => url.replace(/\/sync\/?$/, "")),
    ...(through && {
      tabs: false,
      transport: { sync: async (...request) => (await through).sync(...request) },
    }),
  });
  const close = () => {
    client.destroy();
    through?.then(
      (asked) => asked.close(),
      () => {}, // it could not be loaded, as the client was told
    );
  };
  return { client, close };
}
