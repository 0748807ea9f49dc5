// Gets what the application serves at a URL: data for the polling adapters, events for the event sources.
// Loaded when the first is due.

import { type Frame, framesOf } from "./frames.ts";
import type { Getting } from "./options.ts";

/** What one GET for an event source brought. */
export interface Events {
  readonly origin: string;
  readonly frames: readonly Frame[];
}

/**
 * The frames of an event stream that ends, or else the whole body as one.
 *
 * @param lastId that of the last frame that had one: as where an `EventSource` connects again, whoever
 *   serves events with ids may leave out the old.
 * @throws Error it was refused; the text has the status.
 */
export async function getEvents(getting: Getting, lastId: string | undefined): Promise<Events> {
  const response = await get(getting, lastId ? { "last-event-id": lastId } : {});
  const { origin } = new URL(response.url || getting.url);
  const body = await response.text();
  const isStream = /^text\/event-stream\b/i.test(typeOf(response));
  return { origin, frames: isStream ? framesOf(body) : [{ type: "", data: body, id: undefined }] };
}

/**
 * The data of a JSON response, or the text of another.
 *
 * @throws Error it was refused; the text has the status.
 */
export async function getData(getting: Getting): Promise<unknown> {
  const response = await get(getting, {});
  return /\bjson\b/i.test(typeOf(response)) ? response.json() : response.text();
}

async function get(
  { url, signal, withCredentials, fetch = globalThis.fetch }: Getting,
  headers: Record<string, string>,
): Promise<Response> {
  const credentials = withCredentials ? "include" : "same-origin";
  const response = await fetch(url, { cache: "no-store", credentials, headers, signal });
  if (!response.ok) throw new Error(`GET ${url} was answered with ${response.status}`);
  return response;
}

function typeOf(response: Response): string {
  return response.headers.get("content-type") ?? "";
}
