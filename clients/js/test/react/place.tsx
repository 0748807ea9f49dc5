// Where components are tested: a server in this process, an API beside it, and a provider for both.

import type { ReactNode } from "react";
import type {
  Fetcher,
  RealityOptions,
  RealityState,
  RealityTransport,
} from "../../src/client/types.ts";
import { RealityError } from "../../src/core/errors.ts";
import type { SyncRequest } from "../../src/core/messages.ts";
import { EmbeddedRealityServer } from "../../src/embedded/server.ts";
import { RealityProvider } from "../../src/react/index.ts";

/** A server, an API, and what both were asked. */
export class Place {
  readonly server = new EmbeddedRealityServer({ serverId: "test" });
  /** What the API gives, by key; an error is thrown. */
  readonly api = new Map<string, unknown>();
  readonly requests: SyncRequest[] = [];
  /** The keys that were fetched, in their order. */
  readonly fetched: string[] = [];
  isDown = false;
  #opened: Promise<void> | undefined;
  #open = () => {};

  readonly transport: RealityTransport = {
    sync: async (request, context) => {
      this.requests.push(request);
      if (this.isDown) throw new RealityError("server_unavailable", "the server is down");
      return this.server.handleSync(request, context);
    },
  };

  /** The application's own API. */
  readonly fetcher: Fetcher = async (key) => {
    this.fetched.push(key);
    const data = this.api.get(key);
    await this.#opened;
    if (data instanceof Error) throw data;
    return data;
  };

  /** Answers of the API are held back until `release`. */
  hold(): void {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  release(): void {
    this.#open();
    this.#opened = undefined;
  }

  /** Change data, and tell of it. */
  async write(key: string, data: unknown): Promise<void> {
    this.api.set(key, data);
    await this.server.invalidate([key]);
  }

  /** What a server-rendered page carries: the position was taken before the data is read. */
  async state(...keys: string[]): Promise<RealityState> {
    const { known, cursor } = await this.server.hydration(keys);
    const nodes = keys.map((key) => {
      return [key, { version: known[key] ?? 0, data: this.api.get(key) }];
    });
    return { cursor, nodes: Object.fromEntries(nodes) };
  }

  get options(): RealityOptions {
    return { transport: this.transport, fetcher: this.fetcher, retryBaseDelay: 10 };
  }

  readonly Provider = ({ children }: { children?: ReactNode }): ReactNode => (
    <RealityProvider {...this.options}>{children}</RealityProvider>
  );
}
