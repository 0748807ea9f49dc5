// Server-side rendering without a framework's loaders: one request collects its keys, and its page carries
// their state.

import type { RealityState } from "../client/types.ts";
import { Source, type SourceOptions } from "./source.ts";
import { STATE_ID, serializeRealityState } from "./state.ts";

/** What the <script> element is given. */
export interface StateScriptOptions {
  /** Its `id`. Default `reality-state`. */
  readonly id?: string | undefined;
  /** Its `nonce`, where a content security policy asks for one. */
  readonly nonce?: string | undefined;
}

/** The keys of one rendered page. Make one for each request: its state is that of one visitor. */
export interface SSRContext {
  /** What was registered so far. */
  readonly keys: readonly string[];
  /** What `prefetch` gave last. */
  readonly state: RealityState | undefined;
  /** Add a key of this page. */
  register(...keys: readonly string[]): void;
  /**
   * Ask for the keys that were registered since the last call. Call it BEFORE their data is read. The
   * first position stays: it is earlier than all data, so no change is missed.
   *
   * @returns the state of all keys.
   * @throws RealityError there is no server, it refused, or a key is malformed.
   */
  prefetch(options?: { readonly signal?: AbortSignal | undefined }): Promise<RealityState>;
  /**
   * The state as an element for the page, for `readRealityState` in the browser.
   *
   * @throws Error nothing was prefetched.
   */
  script(options?: StateScriptOptions): string;
}

/**
 * A context for one request. Options as those of the TanStack adapter; keys can be given at once.
 *
 * @throws TypeError a server's URL is none.
 */
export function createSSRContext(
  options: SourceOptions & { readonly keys?: readonly string[] | undefined } = {},
): SSRContext {
  const source = new Source(options);
  const registered = new Set(options.keys);
  let state: RealityState | undefined;
  return {
    get keys() {
      return [...registered];
    },
    get state() {
      return state;
    },
    register(...keys) {
      for (const key of keys) registered.add(key);
    },
    async prefetch({ signal = new AbortController().signal } = {}) {
      const missing = [...registered].filter((key) => !Object.hasOwn(state?.nodes ?? {}, key));
      if (state && missing.length === 0) return state;
      const added = await source.state(missing, signal);
      state = joined(state, added);
      return state;
    },
    script({ id = STATE_ID, nonce } = {}) {
      if (!state) throw new Error("this page has no state yet: await context.prefetch() before");
      const attributes = [`id="${escaped(id)}"`, nonce && `nonce="${escaped(nonce)}"`];
      const opening = ['<script type="application/json"', ...attributes].filter(Boolean).join(" ");
      return `${opening}>${serializeRealityState(state)}</script>`;
    },
  };
}

/** Both, at the position of the first; without any, as soon as one has none: nothing is proven then. */
function joined(first: RealityState | undefined, second: RealityState): RealityState {
  if (!first) return second;
  const nodes = [...Object.entries(second.nodes), ...Object.entries(first.nodes)];
  const { cursor } = second.cursor === undefined ? second : first;
  return { ...(cursor !== undefined && { cursor }), nodes: Object.fromEntries(nodes) };
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}
