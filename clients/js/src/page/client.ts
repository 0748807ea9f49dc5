// The client for plain pages: what the server serves as `client.js`. As a module it exports
// what scripts need; without any script, it keeps fresh what stands in the page's markup:
//
//   <script type="module" src="/reality/client.js"></script>
//   <ul data-reality="posts" data-src="/fragments/posts"></ul>
//   <ul hx-get="/fragments/posts" hx-trigger="reality:posts from:body"></ul>

import { RealityClient as Client } from "../client/client.ts";
import type { RealityOptions } from "../client/types.ts";
import { RealityError } from "../core/errors.ts";
import { Page } from "./page.ts";

// The server is where this file came from, wherever it is mounted.
const SERVER = new URL(/* @vite-ignore */ ".", import.meta.url).href;

/** As the package's, but its default server is the one that this file came from. */
class RealityClient extends Client {
  constructor(options: RealityOptions = {}) {
    super({ ...options, servers: options.servers ?? SERVER });
  }
}

/** A client; `createReality` and `createRealityClient` are the same function. */
function createReality(options?: RealityOptions): RealityClient {
  return new RealityClient(options);
}

/** What scripts that import nothing find as `reality`. */
interface PageGlobal {
  readonly createReality: typeof createReality;
  readonly createRealityClient: typeof createReality;
  readonly RealityClient: typeof RealityClient;
  readonly RealityError: typeof RealityError;
  /** The client that everything in the page's markup shares; made when it is first needed. */
  readonly client: Client;
  /** Dispatch `reality:KEY` on the body when a key changes; the returned function ends this. */
  listen(key: string): () => void;
}

const MADE = Symbol.for("reality-sync.page");

/** Only one file of a page makes its markup live, however many copies of it are loaded. */
function openPage(): void {
  if (!globalThis.document || MADE in document) return;
  const page = new Page(createReality);
  Object.defineProperty(document, MADE, { value: page });
  const shared: PageGlobal = {
    createReality,
    createRealityClient: createReality,
    RealityClient,
    RealityError,
    get client() {
      return page.client;
    },
    listen: (key) => page.listen(key),
  };
  (globalThis as { reality?: PageGlobal }).reality = shared;
  page.start();
}

openPage();

export { createReality, createReality as createRealityClient, RealityClient, RealityError };
