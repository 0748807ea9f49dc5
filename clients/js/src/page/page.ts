// A page that is kept fresh by what stands in its markup: which elements are live, and who listens.

import type { RealityClient } from "../client/client.ts";
import { hydrate } from "../client/hydration.ts";
import type { RealityOptions, RealityState } from "../client/types.ts";
import { Announcer, keysOfTrigger } from "./announcing.ts";
import { type Cause, Following, type Meta } from "./following.ts";

const TRIGGERS = '[hx-trigger*="reality:"],[data-hx-trigger*="reality:"]';
const SELECTOR = `[data-reality],${TRIGGERS}`;
const ATTRIBUTES = ["data-reality", "data-src", "hx-trigger", "data-hx-trigger"];

const LOAD_AGAIN_MS = 2_000;

/** What there is for one element. */
interface Watch {
  /** The values of its attributes. */
  readonly signature: string;
  readonly close: () => void;
}

/**
 * One page. Its client is made when it is first needed, with the options of
 * `<script type="application/json" id="reality-options">`, and takes over the state of
 * `<script type="application/json" id="reality-state">`.
 */
export class Page {
  readonly #createClient: (options: RealityOptions) => RealityClient;
  readonly #watches = new Map<Element, Watch>();
  readonly #observer = new MutationObserver((records) => this.#noticed(records));
  #loading: ReturnType<typeof loadFragment> | undefined;
  #parts: { client: RealityClient; following: Following; announcer: Announcer } | undefined;

  constructor(createClient: (options: RealityOptions) => RealityClient) {
    this.#createClient = createClient;
  }

  /** The client that everything in the page's markup shares. */
  get client(): RealityClient {
    return this.#made().client;
  }

  /**
   * Dispatch `reality:KEY` events on the body, as for the keys that some `hx-trigger` names.
   *
   * @returns the function that ends this.
   * @throws RealityError the key is malformed.
   */
  listen(key: string): () => void {
    return this.#made().announcer.listen(key);
  }

  /** Watch the document, once all of it is there. */
  start(): void {
    const begin = () => {
      stop();
      this.#look(document.documentElement);
      this.#observer.observe(document, {
        attributeFilter: ATTRIBUTES,
        childList: true,
        subtree: true,
      });
    };
    const stop = () => {
      document.removeEventListener("DOMContentLoaded", begin);
      removeEventListener("load", begin);
    };
    if (document.readyState === "complete") {
      begin();
      return;
    }
    // Whoever comes between the two does not see the first.
    document.addEventListener("DOMContentLoaded", begin);
    addEventListener("load", begin);
  }

  /** Stop watching, for good; the client is destroyed. */
  destroy(): void {
    this.#observer.disconnect();
    for (const element of [...this.#watches.keys()]) this.#forget(element);
    this.#parts?.client.destroy();
  }

  #made() {
    if (this.#parts) return this.#parts;
    const client = this.#createClient(readJson<RealityOptions>("reality-options") ?? {});
    const following = new Following(client);
    const states = [readJson<RealityState | RealityState[]>("reality-state") ?? []].flat();
    try {
      for (const state of states) hydrate(client, state);
    } catch (error) {
      console.warn("reality: the page's state cannot be used, so everything is asked for:", error);
    }
    const versionAtStart = (key: string) =>
      states.find(({ nodes }) => nodes && Object.hasOwn(nodes, key))?.nodes[key]?.version;
    const announcer = new Announcer(following, versionAtStart);
    this.#parts = { client, following, announcer };
    return this.#parts;
  }

  #noticed(records: readonly MutationRecord[]): void {
    // What was added first: a key that somebody still listens to is not given up in between.
    for (const { type, target, addedNodes } of records) {
      for (const node of type === "attributes" ? [target] : addedNodes) this.#look(node);
    }
    for (const element of this.#watches.keys()) if (!element.isConnected) this.#forget(element);
  }

  #look(node: Node): void {
    if (!(node instanceof Element)) return;
    for (const element of [node, ...node.querySelectorAll(SELECTOR)]) {
      const isLive = element.isConnected && element.matches(SELECTOR);
      const before = this.#watches.get(element);
      const signature = isLive ? signatureOf(element) : undefined;
      if (before?.signature === signature) continue;
      this.#watches.delete(element);
      if (signature !== undefined) this.#watch(element, signature);
      before?.close();
    }
  }

  #forget(element: Element): void {
    this.#watches.get(element)?.close();
    this.#watches.delete(element);
  }

  #watch(element: Element, signature: string): void {
    const { announcer } = this.#made();
    const ends: (() => void)[] = [];
    const close = () => {
      for (const end of ends) end();
    };
    this.#watches.set(element, { signature, close });
    try {
      for (const key of keysOfTrigger(element)) ends.push(announcer.listen(key));
      this.#follow(element, ends);
    } catch (error) {
      close();
      console.warn("reality: this element cannot be live:", element, error);
    }
  }

  /** Follow the keys of `data-reality`, and load meanwhile what shows their changes. */
  #follow(element: Element, ends: (() => void)[]): void {
    const keys = words(element, "data-reality");
    const versions = words(element, "data-reality-version");
    const told = new Map<string, Cause>();
    let tell = (cause: Cause): unknown => told.set(cause.key, cause);
    // One for all keys: what changes them together leads to one request.
    const chance = Math.random();
    for (const [index, key] of keys.entries()) {
      const version = versions[index];
      const isRendered = (meta: Meta) => String(meta?.version ?? 0) === version;
      const end = this.#made().following.follow(key, {
        tell: (meta) => tell({ key, meta }),
        isShown: version ? isRendered : undefined,
        chance,
      });
      ends.push(end);
    }
    if (keys.length === 0) return;
    let isClosed = false;
    ends.push(() => {
      isClosed = true;
    });
    // One promise for all, so that what waits for it goes on in one step.
    this.#loading ??= loadFragment();
    void this.#loading.then((loaded) => {
      if (isClosed || loaded.isInItself(element)) return;
      const fragment = new loaded.Fragment(element, (from, to) => this.#moved(from, to));
      ends.push(() => fragment.close());
      tell = (cause) => fragment.changed(cause);
      for (const cause of told.values()) tell(cause);
    });
  }

  /** Another element took the place of one; if it stands for the same keys, it is as fresh as that was. */
  #moved(from: Element, to: Element): void {
    const watch = this.#watches.get(from);
    if (!watch || from.getAttribute("data-reality") !== to.getAttribute("data-reality")) return;
    this.#watches.delete(from);
    this.#watches.set(to, { ...watch, signature: signatureOf(to) });
  }
}

/** What shows the changes of elements; until it can be loaded, they stay as they are. */
async function loadFragment(): Promise<typeof import("./fragment.ts")> {
  for (;;) {
    try {
      return await import("./fragment.ts");
    } catch (error) {
      console.warn("reality: a part of the client could not be loaded, trying again:", error);
      await new Promise((resolve) => setTimeout(resolve, LOAD_AGAIN_MS));
    }
  }
}

function signatureOf(element: Element): string {
  return JSON.stringify(ATTRIBUTES.map((name) => element.getAttribute(name)));
}

/** The data of a `<script type="application/json">`, if there is one. */
function readJson<T>(id: string): T | undefined {
  const script = document.getElementById(id);
  if (!script) return undefined;
  try {
    return JSON.parse(script.textContent ?? "") as T;
  } catch (error) {
    console.warn(`reality: what the element "${id}" has in it is no JSON:`, error);
    return undefined;
  }
}

/** The words of an attribute. */
function words(element: Element, name: string): string[] {
  return element.getAttribute(name)?.match(/\S+/g) ?? [];
}
