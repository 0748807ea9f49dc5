// One live element: `<ul data-reality="posts" data-src="/fragments/posts">`.
//
// It has at most one request under way, so that a late answer can never replace a newer one.

import { fullJitter } from "../core/backoff.ts";
import { asError } from "../core/errors.ts";
import type { Cause } from "./following.ts";
import { swap } from "./swapping.ts";

const FETCH_MS_MAX = 60_000;
const RETRY_MS = 100;
const RETRY_MS_MAX = 30_000;

/**
 * Keeps one element fresh. Events on the element, which bubble: `reality:change` before its content is
 * asked for, which `preventDefault` keeps from happening; `reality:swap` after new content is there;
 * `reality:error`. Their `detail` has `key` and `meta`, and `html` or `error`.
 */
export class Fragment {
  readonly #moved: (from: Element, to: Element) => void;
  #element: Element;
  #html: string | undefined;
  #cause: Cause | undefined; // of the request that is due
  #loading: AbortController | undefined;
  #clock: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #isClosed = false;

  /** @param moved is told which element took whose place. */
  constructor(element: Element, moved: (from: Element, to: Element) => void) {
    this.#element = element;
    this.#moved = moved;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#clock);
    this.#loading?.abort();
  }

  /** A key of the element changed, or nothing is shown of it yet. */
  changed(cause: Cause): void {
    const isWanted = this.#dispatch("change", cause);
    if (!isWanted || !this.#element.hasAttribute("data-src")) return;
    this.#cause = cause;
    if (!this.#loading) this.#loadAfter(0); // several keys that change in one step load once
  }

  #loadAfter(ms: number): void {
    clearTimeout(this.#clock);
    if (!this.#isClosed) this.#clock = setTimeout(() => this.#load(), ms);
  }

  async #load(): Promise<void> {
    const cause = this.#cause as Cause;
    const loading = new AbortController();
    this.#cause = undefined;
    this.#loading = loading;
    let retryMs = 0;
    try {
      const html = await this.#ask(loading);
      if (html !== this.#html) await this.#show(html, cause);
      this.#failures = 0;
    } catch (thrown) {
      if (this.#isClosed) return;
      this.#cause ??= cause;
      retryMs = Math.max(
        RETRY_MS,
        fullJitter(this.#failures++, RETRY_MS, RETRY_MS_MAX, Math.random()),
      );
      this.#dispatch("error", { ...cause, error: asError(thrown) });
    }
    this.#loading = undefined;
    if (this.#cause) this.#loadAfter(retryMs);
  }

  async #ask(loading: AbortController): Promise<string> {
    const source = this.#element.getAttribute("data-src") ?? "";
    const late = new Error(`GET ${source} took more than ${FETCH_MS_MAX} ms`);
    const clock = setTimeout(() => loading.abort(late), FETCH_MS_MAX);
    try {
      // What the browser has in its cache is checked first: it may be from before the change.
      const answer = await fetch(source, {
        cache: "no-cache",
        headers: { accept: "text/html" },
        signal: loading.signal,
      });
      if (!answer.ok) throw new Error(`GET ${source} gave ${answer.status}`);
      return await answer.text();
    } finally {
      clearTimeout(clock);
    }
  }

  async #show(html: string, cause: Cause): Promise<void> {
    const before = this.#element;
    const after = await swap(before, html, () => this.#isClosed);
    if (!after) return;
    this.#html = html;
    this.#element = after;
    if (after !== before) this.#moved(before, after);
    this.#dispatch("swap", { ...cause, html });
  }

  #dispatch(name: string, detail: object): boolean {
    const options = { bubbles: true, cancelable: true, detail };
    return this.#element.dispatchEvent(new CustomEvent(`reality:${name}`, options));
  }
}

/** Whether it came with the content of an element of the same source: it would contain itself forever. */
export function isInItself(element: Element): boolean {
  const source = element.getAttribute("data-src");
  for (let above = element.parentElement; source !== null && above; above = above.parentElement) {
    if (above.getAttribute("data-src") !== source || !above.hasAttribute("data-reality")) continue;
    console.warn(`reality: the content of ${source} has itself in it; use data-swap="outerHTML"`);
    return true;
  }
  return false;
}
