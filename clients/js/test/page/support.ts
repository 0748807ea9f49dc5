// What the tests of plain pages have in common: virtual time, a page at an embedded server, and the
// fragments that its application would render.

import { afterEach, beforeEach, vi } from "vitest";
// What a client loads when it needs it first is there from the start, so that loading takes no time.
import "../../src/client/later.ts";
import "../../src/core/hash.ts";
import "../../src/page/fragment.ts";
import { createReality } from "../../src/client/client.ts";
import type { SyncRequest } from "../../src/client/types.ts";
import { EmbeddedRealityServer } from "../../src/embedded/index.ts";
import { Page } from "../../src/page/page.ts";

/** A server in this process, and what it was asked. */
export class Server extends EmbeddedRealityServer {
  readonly requests: SyncRequest[] = [];
  isReachable = true;
  /** Whether it can no longer tell what the next asker knows. */
  isNewHere = false;

  override async sync(request: SyncRequest, context: { readonly signal: AbortSignal }) {
    this.requests.push(request);
    if (!this.isReachable) throw new Error("nobody is there");
    if (!this.isNewHere) return this.handleSync(request, context);
    this.isNewHere = false;
    return this.handleSync({ ...request, cursor: "" }, context);
  }

  /** Touch a key; its version. */
  async touch(key: string): Promise<number> {
    return (await this.invalidate([key]))[key] as number;
  }
}

/** One request for a fragment, which the test answers. */
export interface Asked {
  readonly source: string;
  readonly signal: AbortSignal;
  answer(html: string, status?: number): void;
}

export let server: Server;
/** The requests for fragments, in order. */
export let asked: Asked[];
/** Events on the body, by their type. */
export let heard: CustomEvent[];
let pages: Page[];

/** Each test has a document, a server and a clock of its own. */
export function onPages(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] });
    document.body.replaceWith(document.createElement("body"));
    [server, asked, heard, pages] = [new Server(), [], [], []];
    vi.stubGlobal("fetch", (source: string, { signal }: { signal: AbortSignal }) => {
      return new Promise<Response>((resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
        const answer = (html: string, status = 200) => resolve(new Response(html, { status }));
        asked.push({ source, signal, answer });
      });
    });
  });
  afterEach(() => {
    for (const page of pages) page.destroy();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
    vi.useRealTimers();
  });
}

/** Let so many milliseconds pass, and all that happens in them. */
export async function passing(ms = 10): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** A page with this markup in its body, which has begun and was answered. */
export async function opened(html: string): Promise<Page> {
  document.body.innerHTML = html;
  for (const name of ["reality:posts", "reality:change", "reality:swap", "reality:error"]) {
    document.body.addEventListener(name, (event) => heard.push(event as CustomEvent));
  }
  const page = new Page((options) => createReality({ transport: server, ...options }));
  pages.push(page);
  page.start();
  await passing();
  return page;
}

/** The element with this id. */
export function element(id: string): HTMLElement {
  return document.getElementById(id) as HTMLElement;
}

/** How often an event of this name was heard. */
export function times(name: string): number {
  return heard.filter(({ type }) => type === name).length;
}

/** The answers to give to the newest request. */
export function last(): Asked {
  return asked.at(-1) as Asked;
}
