// RealityEventSource: what an application uses as an `EventSource`, without a stream.
//
// A server that pushes events keeps a connection for each page. Here a key is kept fresh, and what an
// `EventSource` would have been sent is got from the same URL whenever the key changed.

import type { RealityClient } from "../client/client.ts";
import type { RealityNodeState } from "../client/types.ts";
import type { Events } from "./body.ts";
import type { EndpointOptions } from "./options.ts";
import { openClient } from "./own-client.ts";

/** How a `RealityEventSource` differs from an `EventSource`. */
export interface RealityEventSourceOptions extends EndpointOptions {
  /** The key that stands for what the URL serves. Default: the URL's path, as `/events`. */
  readonly realityKey?: string | undefined;
  /** The type of events that have none of their own. Default `message`. */
  readonly eventName?: string | undefined;
}

type Handler<E> = ((this: EventSource, event: E) => unknown) | null;

// `EventTarget`, with the listeners' events typed as those of an `EventSource`.
type Target = new () => Pick<
  EventSource,
  "addEventListener" | "removeEventListener" | "dispatchEvent"
>;

/**
 * A drop-in replacement for `EventSource`.
 *
 * The body of GET `url` comes as one event: soon, and whenever the key was touched and the body is no
 * longer the same. If it is an event stream (`text/event-stream`) that ends, each of its frames comes as
 * an event. Events have the key's version as `lastEventId`, unless their frames have ids.
 *
 * While no server can be reached, or the URL is refused, `readyState` is `CONNECTING` after an `error`
 * event; an `open` event tells that all is well again. Only `close` is final.
 */
export class RealityEventSource extends (EventTarget as Target) implements EventSource {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSED = 2;
  readonly url: string;
  readonly withCredentials: boolean;
  onopen: Handler<Event> = null;
  onmessage: Handler<MessageEvent> = null;
  onerror: Handler<Event> = null;
  readonly #eventName: string;
  readonly #close: () => void;
  #readyState: 0 | 1 | 2 = 0;
  #events: Events | undefined;
  #error: Error | null = null;
  #version = "";
  #frameId: string | undefined;

  /**
   * @throws TypeError `url` is none, or is relative where there is no page; or an option cannot be.
   * @throws RealityError the key is malformed: pass another as `realityKey`.
   */
  constructor(url: string | URL, options?: RealityEventSourceOptions);
  constructor(url: string | URL, client: RealityClient, options?: RealityEventSourceOptions);
  constructor(
    at: string | URL,
    second: RealityClient | RealityEventSourceOptions = {},
    third: RealityEventSourceOptions = {},
  ) {
    super();
    const options = "subscribe" in second ? { ...third, client: second } : second;
    const { eventName = "message", realityKey, withCredentials = false } = options;
    const { href: url, pathname } = new URL(at, globalThis.document?.baseURI);
    this.url = url;
    this.withCredentials = withCredentials;
    this.#eventName = eventName;
    for (const name of ["open", "message", "error"] as const) {
      this.addEventListener(name, (event) => this[`on${name}`]?.(event as never));
    }
    const { client, close } = openClient(options, "sse-compat");
    this.#close = close;
    client.subscribe<Events>(realityKey ?? pathname, (state) => this.#told(state), {
      fetcher: async (_key, _meta, { signal }) =>
        (await import("./body.ts")).getEvents({ ...options, url, signal }, this.#frameId),
    });
  }

  get readyState(): 0 | 1 | 2 {
    return this.#readyState;
  }

  /** That of the last event. */
  get lastEventId(): string {
    return this.#frameId ?? this.#version;
  }

  /** Ask for nothing any more; no event comes after it. */
  close(): void {
    this.#readyState = 2;
    this.#close();
  }

  // ---- inside -------------------------------------------------------------------------------------

  #told({ data: events, error, meta }: RealityNodeState<Events>): void {
    if (error && error !== this.#error) this.#turn(0, "error");
    if (!error && events && this.#readyState === 0) this.#turn(1, "open");
    this.#error = error;
    if (!events || events === this.#events) return;
    this.#events = events;
    this.#version = String(meta?.version ?? "");
    for (const { type, data, id } of events.frames) {
      if (this.#readyState === 2) return; // a listener closed it
      this.#frameId = id ?? this.#frameId;
      if (data === undefined) continue; // it is no event
      const { lastEventId } = this;
      const init = { data, origin: events.origin, lastEventId };
      this.dispatchEvent(new MessageEvent(type || this.#eventName, init));
    }
  }

  #turn(readyState: 0 | 1, type: string): void {
    this.#readyState = readyState;
    this.dispatchEvent(new Event(type));
  }
}
