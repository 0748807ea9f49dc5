// `reality:KEY` events on the body, for whatever listens to events: htmx, Alpine, a script of the page.

import type { Following, Meta } from "./following.ts";

// htmx ends an event's name at a blank, a comma, or the bracket that begins a filter.
const NAMED = /reality:([^\s,[]+)/g;

interface Announced {
  listeners: number;
  end: () => void;
}

/** The keys that an element's `hx-trigger` names. */
export function keysOfTrigger(element: Element): string[] {
  const trigger =
    element.getAttribute("hx-trigger") ?? element.getAttribute("data-hx-trigger") ?? "";
  return [...trigger.matchAll(NAMED)].map(([, key = ""]) => key);
}

/** Announces the keys that somebody listens to: each change once, however many listen. */
export class Announcer {
  readonly #following: Following;
  readonly #rendered: (key: string) => number | undefined;
  readonly #announced = new Map<string, Announced>();

  /** @param rendered tells at which version the page was rendered. */
  constructor(following: Following, rendered: (key: string) => number | undefined) {
    this.#following = following;
    this.#rendered = rendered;
  }

  /**
   * Dispatch `reality:KEY` on the body when a key changes, and once at the beginning: nobody can tell
   * otherwise whether it changed since the page was rendered.
   *
   * @returns the function that ends this.
   * @throws RealityError the key is malformed.
   */
  listen(key: string): () => void {
    let announced = this.#announced.get(key);
    if (!announced) {
      const version = this.#rendered(key);
      const isRendered = (meta: Meta) => (meta?.version ?? 0) === version;
      const end = this.#follow(key, version === undefined ? undefined : isRendered);
      announced = { listeners: 0, end };
      this.#announced.set(key, announced);
    } else if (announced.listeners === 0) {
      // What is on the page now was put there after the beginning, by whoever listens.
      announced.end = this.#follow(key, () => true);
    }
    const held = announced;
    held.listeners += 1;
    let isEnded = false;
    return () => {
      if (isEnded) return;
      isEnded = true;
      held.listeners -= 1;
      if (held.listeners === 0) held.end();
    };
  }

  #follow(key: string, isShown: ((meta: Meta) => boolean) | undefined): () => void {
    return this.#following.follow(key, { tell: (meta) => announce(key, meta), isShown });
  }
}

function announce(key: string, meta: Meta): void {
  const dispatch = () => {
    const detail = { key, meta };
    document.body.dispatchEvent(new CustomEvent(`reality:${key}`, { bubbles: true, detail }));
  };
  const isEarly = document.readyState !== "complete" && !("htmx" in globalThis);
  // htmx may be on its way, and would miss it.
  if (isEarly && document.querySelector("[hx-trigger],[data-hx-trigger]")) {
    addEventListener("load", dispatch, { once: true });
  } else {
    dispatch();
  }
}
