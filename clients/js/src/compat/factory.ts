// Functions that make event sources, for code that is given one instead of the class.

import { RealityEventSource, type RealityEventSourceOptions } from "./event-source.ts";
import { openClient } from "./own-client.ts";

/** Makes event sources that share their defaults and one client. */
export type EventSourceFactory = (
  url: string | URL,
  options?: Omit<RealityEventSourceOptions, "client" | "realityEndpoint">,
) => RealityEventSource;

/**
 * The same as `new RealityEventSource(url, options)`.
 *
 * @throws as the constructor does.
 */
export function createEventSource(
  url: string | URL,
  options?: RealityEventSourceOptions,
): RealityEventSource {
  return new RealityEventSource(url, options);
}

/**
 * A function that makes event sources, each with its own options beside the `defaults`. All of them ask
 * through one client, so that however many there are, the server holds one request.
 *
 * @throws TypeError an option cannot be; the text says which.
 */
export function createEventSourceFactory(
  defaults: RealityEventSourceOptions = {},
): EventSourceFactory {
  const client = defaults.client ?? openClient(defaults, "sse-compat").client;
  return (url, options) => new RealityEventSource(url, { ...defaults, ...options, client });
}
