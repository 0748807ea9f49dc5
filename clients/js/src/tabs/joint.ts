// Requests of several tabs, asked as one. Each is answered as a server would have answered it alone: when there is
// news for it, or when there is none for anybody.

import type { Answer } from "../client/shard.ts";
import type { RealityTransport } from "../client/types.ts";
import type { SyncRequest } from "../core/messages.ts";

// What tabs want to know at about the same time is asked in one request.
const GATHER_MS = 100;

interface Waiting {
  readonly request: SyncRequest;
  cursor: string | undefined;
  isAsked: boolean;
}

/** What comes of the request with this id. */
export type Tell = (id: string, outcome: Answer | Error) => void;

export class Joint {
  readonly #transport: RealityTransport;
  readonly #tell: Tell;
  readonly #waiting = new Map<string, Waiting>();
  #asking: AbortController | undefined;
  #cursor: string | undefined;
  #clock: ReturnType<typeof setTimeout> | undefined;

  constructor(transport: RealityTransport, tell: Tell) {
    this.#transport = transport;
    this.#tell = tell;
  }

  /** Ask for this, too; without a request: no more. */
  add(id: string, request?: SyncRequest): void {
    if (request) this.#waiting.set(id, { request, cursor: request.cursor, isAsked: false });
    else this.#waiting.delete(id);
    this.#goOn(GATHER_MS);
  }

  /** Ask no more; nobody is told anything. */
  close(): void {
    this.#waiting.clear();
    this.#goOn(0);
  }

  #goOn(ms: number): void {
    if (this.#waiting.size > 0) {
      this.#clock ??= setTimeout(() => this.#ask(), ms);
      return;
    }
    clearTimeout(this.#clock);
    this.#asking?.abort();
    this.#clock = this.#asking = this.#cursor = undefined;
  }

  async #ask(): Promise<void> {
    const known = new Map<string, number>();
    let request = {} as SyncRequest;
    for (const each of this.#waiting.values()) {
      each.isAsked = true;
      request = each.request;
      // It goes on where the last answer ended. Those who came later have versions that tell what they missed.
      this.#cursor ??= each.cursor;
      for (const [key, version] of Object.entries(request.known)) {
        // Whoever knows the oldest version has to be told of all that came after it.
        known.set(key, Math.min(version, known.get(key) ?? version));
      }
    }
    this.#clock = undefined;
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    request = { ...request, known: Object.fromEntries(known), cursor: this.#cursor as string };
    try {
      const answer = await this.#transport.sync(request, asking);
      if (this.#asking === asking) this.#answered(answer);
    } catch (error) {
      if (this.#asking !== asking) return;
      for (const id of this.#waiting.keys()) this.#tell(id, error as Error);
      this.close();
    }
  }

  #answered(answer: Answer): void {
    const { changed, cursor, reset, retryAfterMs } = answer;
    const nodes = Object.entries(changed);
    const newsOf = ({ request: { known } }: Waiting) =>
      nodes.filter(
        ([key, { version }]) => Object.hasOwn(known, key) && (reset || known[key] !== version),
      );
    const asked = [...this.#waiting].filter(([, { isAsked }]) => isAsked);
    // A cursor only moves on from where it was.
    for (const [, each] of asked) if (reset || each.cursor === this.#cursor) each.cursor = cursor;
    const news = asked.filter(([, each]) => newsOf(each).length > 0);
    // What all know by their versions is told once: the next request has a cursor that is past it.
    const isPast = nodes.length > 0 && cursor !== this.#cursor;
    this.#cursor = cursor;
    this.#asking = undefined;
    for (const [id, each] of news.length > 0 || isPast ? news : asked) {
      this.#waiting.delete(id);
      const told = { ...answer, changed: Object.fromEntries(newsOf(each)), cursor: each.cursor };
      this.#tell(id, told as Answer);
    }
    this.#goOn(retryAfterMs || GATHER_MS);
  }
}
