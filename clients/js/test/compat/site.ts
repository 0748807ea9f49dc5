// A site on this machine: an embedded Reality server at /reality, and bodies at paths of its own.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { EmbeddedRealityServer } from "../../src/embedded/index.ts";

/** What a path serves. */
interface Served {
  body: string;
  type: string;
  status: number;
}

export class Site {
  reality = new EmbeddedRealityServer({ serverId: "site" });
  /** Requests so far, as `GET /events`. */
  readonly requests: { readonly line: string; readonly headers: IncomingMessage["headers"] }[] = [];
  readonly #served = new Map<string, Served>();
  #server: Server | undefined;
  #port = 0;

  /** Where it is, without a path. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Listen, after the first time at the same port again. */
  async start(): Promise<this> {
    const server = createServer((request, response) => void this.#answer(request, response));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
    return this;
  }

  /** Refuse connections, and end those that there are. */
  async stop(): Promise<void> {
    const server = this.#server;
    await new Promise((resolve) => {
      server?.close(resolve);
      server?.closeAllConnections();
    });
  }

  serve(path: string, body: string, { type = "text/plain", status = 200 } = {}): void {
    this.#served.set(path, { body, type, status });
  }

  /** How often a path was asked for. */
  count(line: string): number {
    return this.requests.filter((each) => each.line === line).length;
  }

  /** A `fetch` for pages of this site: URLs without a host, and those of jsdom's page, are here. */
  readonly fetch: typeof globalThis.fetch = (input, init) => {
    const { pathname, search, hostname, href } = new URL(String(input), "http://localhost:3000");
    return realFetch(hostname === "localhost" ? this.url + pathname + search : href, init);
  };

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "GET", url = "/", headers } = request;
    this.requests.push({ line: `${method} ${url}`, headers });
    if (!url.startsWith("/reality/")) {
      const { status, type, body } = this.#served.get(url) ?? { status: 404, type: "", body: "" };
      response.writeHead(status, { "content-type": type }).end(body);
      return;
    }
    const leaving = new AbortController();
    response.on("close", () => leaving.abort());
    const body: Uint8Array[] = [];
    for await (const chunk of request) body.push(chunk as Uint8Array);
    try {
      const asked = JSON.parse(Buffer.concat(body).toString());
      const answer = await this.reality.handleSync(asked, { signal: leaving.signal });
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
    } catch {
      response.destroy();
    }
  }
}

// As it is before a test puts another in its place.
const realFetch = globalThis.fetch;
