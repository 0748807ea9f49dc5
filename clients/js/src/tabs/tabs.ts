// One held request per browser: of the tabs that somebody looks at, one leads. What the others would hold they
// give to it; it asks for all, and each is told what a server would have told it. Only metadata travels between
// tabs: each fetches its own data with its own code, and keeps a cursor of its own.
//
// The lead is a Web Lock, which the browser gives to the next tab when one is closed or crashes. A leader that is
// stuck (frozen, a debugger, an endless loop) goes silent, and loses the lock to a tab that waits for it.

import type { Answer } from "../client/shard.ts";
import type { Surroundings } from "../client/surroundings.ts";
import type { RealityTransport } from "../client/types.ts";
import type { SyncRequest } from "../core/messages.ts";
import { Joint } from "./joint.ts";

const BEAT_MS = 500;
// A leader that is silent for so long is stuck.
const SILENCE_MS_MAX = 1_200;

type Message =
  /** A tab waits for the answer to a request; without one: no more. */
  | { readonly id: string; readonly request?: SyncRequest | undefined }
  /** The leader is there; with an id, it is done with that request. Without an answer, there was none. */
  | { readonly term: number; readonly id?: string; readonly answer?: Answer };

interface Context {
  readonly signal: AbortSignal;
}

/** A request of this tab. */
interface Own {
  readonly request: SyncRequest;
  readonly tell: (answer: Answer | Promise<Answer>) => void;
  /** Ask the server instead, without waiting. */
  readonly ask: () => void;
}

export class Tabs {
  readonly #transport: RealityTransport;
  readonly #name: string;
  readonly #joint: Joint;
  readonly #own = new Map<string, Own>();
  #channel: BroadcastChannel | undefined;
  #queue = new AbortController(); // ends the wait for the lock, or gives it back
  #clock: ReturnType<typeof setInterval> | undefined;
  #isLeading = false;
  /** Each leader has a greater one; 0 as long as none was heard. */
  #term = 0;
  #heardAt = 0;
  #tickedAt = 0;

  constructor({ settings, transport }: Surroundings) {
    const { servers, mode, headers, credentials } = settings;
    this.#transport = transport;
    // Of those who ask the same servers in the same way. Other messages need another number.
    this.#name = `reality-sync 1 ${JSON.stringify([servers, mode, headers, credentials])}`;
    this.#joint = new Joint(transport, (id, outcome) => {
      const own = this.#own.get(id);
      const isAnswer = !(outcome instanceof Error);
      if (own) own.tell(isAnswer ? outcome : Promise.reject(outcome));
      else this.#say({ term: this.#term, id, ...(isAnswer && { answer: outcome }) });
    });
  }

  /** Ask as a transport does, together with the other tabs. */
  sync(request: SyncRequest, context: Context): Promise<Answer> {
    const { signal } = context;
    const id = crypto.randomUUID();
    return new Promise<Answer>((tell, fail) => {
      const ask = () => {
        this.#own.delete(id);
        tell(this.#transport.sync({ ...request, wait: 0 }, context));
      };
      const drop = () => {
        fail(signal.reason);
        if (this.#own.delete(id)) this.#wait(id);
      };
      signal.addEventListener("abort", drop);
      this.#own.set(id, { request, tell, ask });
      this.#wait(id, request);
    }).finally(() => this.#own.delete(id));
  }

  /** Somebody looks at this tab from now on, or nobody does: then it neither leads nor follows. */
  seen(isSeen: boolean): void {
    if (isSeen === Boolean(this.#channel)) return;
    if (isSeen) {
      this.#term = this.#tickedAt = 0;
      this.#clock = setInterval(() => this.#tick(), BEAT_MS);
      this.#channel = new BroadcastChannel(this.#name);
      this.#channel.onmessage = ({ data }) => this.#hear(data as Message);
      void this.#seek(false);
      return;
    }
    for (const id of this.#own.keys()) this.#wait(id);
    clearInterval(this.#clock);
    this.#queue.abort();
    this.#lead(false);
    this.#channel?.close(); // else the browser could not keep the page for the way back
    this.#channel = undefined;
  }

  close(): void {
    this.seen(false);
  }

  // ---- the lead -----------------------------------------------------------------------------------

  /** Ask for the lock, or take it from one who is stuck. */
  async #seek(steal: boolean): Promise<void> {
    this.#queue.abort();
    this.#queue = new AbortController();
    const { signal } = this.#queue;
    let isGranted = false;
    const lead = () => {
      if (signal.aborted) return undefined;
      isGranted = true;
      this.#lead(true);
      return new Promise((end) => signal.addEventListener("abort", end));
    };
    try {
      // A request that steals cannot be given up, and need not be: it is granted at once.
      await navigator.locks.request(this.#name, steal ? { steal } : { signal }, lead);
    } catch {
      // Given up, or stolen; or this page may have no locks.
    }
    if (signal.aborted) return;
    this.#lead(!isGranted);
    if (isGranted) void this.#seek(false);
  }

  #lead(isLeading: boolean): void {
    if (this.#isLeading === isLeading) return;
    this.#isLeading = isLeading;
    this.#joint.close();
    if (!isLeading) return;
    this.#term = Math.max(this.#term + 1, Date.now());
    this.#say({ term: this.#term });
    for (const [id, { request }] of this.#own) this.#wait(id, request);
  }

  #tick(): void {
    const now = performance.now();
    // A tab that was late itself has not heard what was said meanwhile.
    if (now - this.#tickedAt > 2 * BEAT_MS) this.#heardAt = now;
    this.#tickedAt = now;
    if (this.#isLeading) this.#say({ term: this.#term });
    else if (this.#own.size > 0 && now - this.#heardAt > SILENCE_MS_MAX) void this.#seek(true);
  }

  // ---- what tabs say ------------------------------------------------------------------------------

  #say(message: Message): void {
    this.#channel?.postMessage(message);
  }

  /** Have the leader ask for this, once one was heard; without a request: no more. */
  #wait(id: string, request?: SyncRequest): void {
    if (this.#isLeading) this.#joint.add(id, request);
    else if (this.#term > 0) this.#say({ id, request });
  }

  #hear(message: Message): void {
    if (!("term" in message)) {
      if (this.#isLeading) this.#joint.add(message.id, message.request);
      return;
    }
    const { term, id = "", answer } = message;
    const before = this.#term;
    if (term < before) return; // of one who does not know yet that it leads no more
    this.#term = term;
    this.#heardAt = performance.now();
    const own = this.#own.get(id);
    if (answer) own?.tell(answer);
    else own?.ask();
    if (term === before) return;
    this.#lead(false);
    for (const [each, { request, ask }] of this.#own) {
      // If there was another leader before, nobody knows what that one was told last.
      if (before > 0) ask();
      else this.#wait(each, request);
    }
  }
}
