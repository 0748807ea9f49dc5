// Held syncs: a ticket is taken before the state is read, so no touch falls in between.

import { RealityError } from "../core/errors.ts";
import type { EmbeddedLimits } from "./limits.ts";
import { WaiterIndex } from "./waiters.ts";

/** One held sync. Ends once: by a touch, the clock, the asker's leaving or the shutdown. */
export class Ticket {
  readonly clientId: string;
  readonly names: ReadonlySet<string>;
  /** The time over which the asker should spread its refetches, in milliseconds. */
  spreadMs = 0;
  readonly #ended: Promise<void>;
  #end!: () => void;

  constructor(clientId: string, names: ReadonlySet<string>) {
    this.clientId = clientId;
    this.names = names;
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** End the wait. */
  end(): void {
    this.#end();
  }

  /**
   * Wait until the ticket ends, at most `ms` milliseconds.
   *
   * @throws the signal's reason once it is aborted.
   */
  async wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const end = this.#end;
    const clock = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
    try {
      signal?.throwIfAborted();
      await this.#ended;
      signal?.throwIfAborted();
    } finally {
      clearTimeout(clock);
      signal?.removeEventListener("abort", end);
    }
  }
}

/** All held syncs of a server. */
export class Holding {
  readonly #limits: EmbeddedLimits;
  readonly #index = new WaiterIndex<Ticket>();
  readonly #tickets = new Set<Ticket>();
  readonly #perClient = new Map<string, number>();
  #names = 0;

  constructor(limits: EmbeddedLimits) {
    this.#limits = limits;
  }

  /** How many syncs are held. */
  get size(): number {
    return this.#tickets.size;
  }

  /**
   * A ticket that ends when one of these names is touched.
   *
   * @throws RealityError `too_many_waiters`, `too_many_waiters_of_client`: the server, or this
   *   client, has as many as it may; or they wait for as many names as they may.
   */
  take(clientId: string, names: ReadonlySet<string>): Ticket {
    this.#check(clientId, names.size);
    const ticket = new Ticket(clientId, names);
    this.#names += names.size;
    this.#tickets.add(ticket);
    this.#perClient.set(clientId, (this.#perClient.get(clientId) ?? 0) + 1);
    this.#index.add(ticket, names);
    return ticket;
  }

  /** The sync of this ticket has been answered or has gone. */
  giveBack(ticket: Ticket): void {
    if (!this.#tickets.delete(ticket)) return;
    this.#names -= ticket.names.size;
    this.#index.discard(ticket, ticket.names);
    const left = (this.#perClient.get(ticket.clientId) ?? 0) - 1;
    if (left > 0) this.#perClient.set(ticket.clientId, left);
    else this.#perClient.delete(ticket.clientId);
  }

  /** End the waits that a touch of these names concerns; how many they were. */
  wake(touched: Iterable<string>): number {
    return this.#end(this.#index.concerned(touched));
  }

  /** End every wait: the origin changed, or the server is closing; how many they were. */
  wakeAll(): number {
    return this.#end(new Set(this.#tickets));
  }

  #end(tickets: ReadonlySet<Ticket>): number {
    const rate = this.#limits.refetchesPerS;
    const spreadMs = tickets.size > rate ? Math.floor((tickets.size * 1000) / rate) : 0;
    for (const ticket of tickets) {
      // It waits no more, so a touch that comes before its answer is not for it.
      this.giveBack(ticket);
      ticket.spreadMs = spreadMs;
      ticket.end();
    }
    return tickets.size;
  }

  #check(clientId: string, names: number): void {
    const { waitersMax, waitersPerClientMax, waitedNamesMax } = this.#limits;
    if (this.#tickets.size >= waitersMax) {
      throw tooMany(
        `the server already holds ${waitersMax} syncs: ask again without \`wait\`, or later`,
      );
    }
    if ((this.#perClient.get(clientId) ?? 0) >= waitersPerClientMax) {
      const text = `this client already has ${waitersPerClientMax} held syncs: give each client a \`clientId\` of its own`;
      throw new RealityError("too_many_waiters_of_client", text, { status: 429 });
    }
    if (this.#names + names > waitedNamesMax) {
      throw tooMany(
        `the server's held syncs already wait for ${this.#names} keys and patterns, and may for ` +
          `${waitedNamesMax}: ask for fewer keys, or without \`wait\``,
      );
    }
  }
}

function tooMany(text: string): RealityError {
  return new RealityError("too_many_waiters", text, { status: 503 });
}
