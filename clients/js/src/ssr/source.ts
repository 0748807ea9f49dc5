// Where a rendering server takes positions from: a Reality server in its process, or one elsewhere.

import { HttpTransport } from "../client/transport.ts";
import type {
  RealityOptions,
  RealityPosition,
  RealityTransport,
  SavedNode,
  SyncRequest,
  SyncResponse,
} from "../client/types.ts";
import { RealityError } from "../core/errors.ts";
import { checkKey } from "../core/keys.ts";
import { readSyncResponse } from "../core/messages.ts";
import { place, SHARED } from "../core/place.ts";

type Asking = "credentials" | "discover" | "fetch" | "headers" | "maxRetries" | "retryBaseDelay";

/** A server in this process, as `reality-sync/embedded` makes them. */
export interface EmbeddedServer {
  handleSync(
    request: SyncRequest,
    context?: { readonly signal?: AbortSignal },
  ): Promise<SyncResponse>;
  invalidate(names: readonly string[]): Promise<Record<string, number>>;
}

/**
 * Which server is asked: the first that is given of `server`, `syncHandler` and `servers`; else the
 * embedded server that this process shares, or in a page, `/reality` of its host.
 */
export interface SourceOptions extends Pick<RealityOptions, Asking | "timeout" | "token"> {
  /** An embedded server. */
  readonly server?: EmbeddedServer | undefined;
  /** Asks any server, as one written in Python, and gives its answer. */
  readonly syncHandler?: ((request: SyncRequest) => PromiseLike<SyncResponse>) | undefined;
  /** URLs of servers. To invalidate through them takes their `token`. */
  readonly servers?: string | readonly string[] | undefined;
  /**
   * Where none of the others is given and this process has no embedded server yet, one is made under
   * this name, and shared. It also names this process to servers elsewhere.
   */
  readonly serverId?: string | undefined;
}

/** Takes positions, and says what changed. */
export class Source {
  readonly #options: SourceOptions;
  readonly #http: HttpTransport | undefined;

  /** @throws TypeError a server's URL is none. */
  constructor(options: SourceOptions) {
    const { servers = globalThis.document?.location.origin } = options;
    this.#options = options;
    this.#http = servers ? new HttpTransport([servers].flat(), options) : undefined;
  }

  /**
   * The position as it is now, and the versions of these keys.
   *
   * @throws RealityError `no_server`, or as the server refused; a key is malformed.
   */
  async state(keys: readonly string[], signal: AbortSignal): Promise<RealityPosition> {
    const request: SyncRequest = {
      known: Object.fromEntries(keys.map((key) => [checkKey(key), 0])),
      clientId: this.#options.serverId ?? "ssr",
      mode: "native",
      hint: "mount",
    };
    const transport = await this.#transport();
    const answer = readSyncResponse(await transport.sync(request, { signal }));
    const { cursor, serverTime: updatedAt } = answer;
    const changed = new Map(Object.entries(answer.changed));
    const nodes = keys.map((key): [string, SavedNode] => {
      // What was never touched is not among the changes.
      const { version = 0, hash = "", deleted = false } = changed.get(key) ?? {};
      return [key, { version, hash, updatedAt, deleted }];
    });
    return { ...(cursor !== undefined && { cursor }), nodes: Object.fromEntries(nodes) };
  }

  /**
   * Say that the data of these keys and patterns changed.
   *
   * @throws RealityError `no_server`, or as the server refused.
   */
  async invalidate(names: readonly string[]): Promise<Record<string, number>> {
    const transport = await this.#transport();
    if (transport.invalidate) return transport.invalidate(names);
    const text =
      "a `syncHandler` only asks: also pass `servers` and `token`, or invalidate where it asks";
    throw new RealityError("no_server", text);
  }

  async #transport(): Promise<RealityTransport> {
    const { server, syncHandler, servers, serverId } = this.#options;
    if (server) return transportTo(server);
    if (syncHandler) {
      const http = servers ? this.#http : undefined;
      return {
        sync: async (request) => syncHandler(request),
        ...(http && { invalidate: (names) => http.invalidate(names) }),
      };
    }
    const shared = servers ? undefined : (place[SHARED] as EmbeddedServer | undefined);
    if (shared) return transportTo(shared);
    if (this.#http) return this.#http;
    if (serverId !== undefined) {
      // Loaded here only: what renders from another server has no need of it.
      const { createEmbeddedRealityServer } = await import("../embedded/index.ts");
      return transportTo(createEmbeddedRealityServer({ serverId }));
    }
    throw new RealityError(
      "no_server",
      "this process has no embedded server: make one with createEmbeddedRealityServer, or pass " +
        "`serverId`, `server`, `syncHandler` or `servers`",
    );
  }
}

function transportTo(server: EmbeddedServer): RealityTransport {
  return {
    sync: (request, { signal }) => server.handleSync(request, { signal }),
    invalidate: (names) => server.invalidate(names),
  };
}
