// Which of several servers a client asks next: healthy before failing, then freshest, then fastest.
//
// Versions of different servers cannot be compared, so the freshest is the one that answered last; which
// also keeps a client at its server for as long as that answers.
//
// A server is configured, or discovered: one that an answering server named among its peers (P16). Of
// what a client has seen itself and what peers say of a server's health, the newer counts; except that
// nothing said makes a server be asked that was just left alone after failures of its own.
// `conformance/vectors/servers.json` has these rules as cases.

import type { Health } from "./messages.ts";
import { baseUrl } from "./urls.ts";

const FAILURES_MAX = 3;
const ADVERTISED_MS = 300_000;
export const DISCOVERED_MAX = 64;
// What is read of one answer's map, and how long a URL in it may be.
const PEERS_READ_MAX = 256;
const URL_CHARS_MAX = 2_048;
// Weight of the newest measurement in the running mean of latencies.
const LATENCY_WEIGHT = 0.2;
const NEVER = -Infinity;
const RANKS: Readonly<Record<Health, number>> = {
  healthy: 0,
  unknown: 1,
  degraded: 2,
  unhealthy: 3,
};

interface Server {
  readonly url: string;
  readonly isConfigured: boolean;
  failures: number;
  blockedUntil: number;
  answeredAt: number;
  failedAt: number;
  latencyMs: number | null;
  told: Health;
  toldAt: number;
  advertisedAt: number;
}

/** What a client knows of a server. */
export interface ServerStatus {
  /** Its base URL. */
  readonly url: string;
  /**
   * The newest of what the client has seen itself (healthy: it has answered; degraded: it has failed;
   * unhealthy: it failed so often that it is left alone for a while) and what other servers say of it.
   */
  readonly health: Health;
  /** Failures in a row, seen by the client itself. */
  readonly failures: number;
  /** Running mean of the time that answers without wait take, in milliseconds. */
  readonly latencyMs: number | null;
  /** Whether the client was given its URL; false if other servers named it. */
  readonly isConfigured: boolean;
}

/** How a pool is made. */
export interface ServerPoolOptions {
  /** How many servers may be asked beside the configured ones. */
  readonly discoveredMax?: number;
  /** For how long a server that kept failing is asked after all others, in milliseconds. */
  readonly blacklistMs?: number;
  /** Drawn from [0, 1): which of several discovered servers that are alike is asked. */
  readonly random?: number;
}

/** The servers of one client. Times are milliseconds of a monotonic clock. */
export class ServerPool {
  #servers = new Map<string, Server>();
  readonly #discoveredMax: number;
  readonly #blacklistMs: number;
  readonly #random: number;
  readonly #isSecure: boolean;

  constructor(urls: Iterable<string>, options: ServerPoolOptions = {}) {
    for (const url of urls) this.#servers.set(identityOf(url), newServer(url, true));
    this.#discoveredMax = options.discoveredMax ?? DISCOVERED_MAX;
    this.#blacklistMs = options.blacklistMs ?? 30_000;
    this.#random = options.random ?? 0;
    this.#isSecure = [...this.#servers.keys()].every(isSecure);
  }

  /** The URL to ask next. Where all are to be avoided, the one whose time is up first. */
  pick(now: number, configuredOnly = false): string {
    let best: Server[] = [];
    for (const each of this.#servers.values()) {
      if (configuredOnly && !each.isConfigured) continue;
      const difference = best[0] ? compare(this.#order(each, now), this.#order(best[0], now)) : -1;
      if (difference < 0) best = [each];
      else if (difference === 0) best.push(each);
    }
    // The configured ones stand first, in the order given.
    const index = best[0]?.isConfigured ? 0 : Math.floor(this.#random * best.length);
    return (best[index] as Server).url;
  }

  /** Whether the client was given this server's URL. */
  isConfigured(url: string): boolean {
    return this.#servers.get(identityOf(url))?.isConfigured === true;
  }

  /** A server answered; `latencyMs` is null for an answer that was held. */
  answered(url: string, now: number, latencyMs: number | null): void {
    const server = this.#servers.get(identityOf(url));
    if (!server) return; // dropped while it was asked
    Object.assign(server, { failures: 0, blockedUntil: NEVER, answeredAt: now });
    if (latencyMs === null) return;
    const before = server.latencyMs ?? latencyMs;
    server.latencyMs = before + LATENCY_WEIGHT * (latencyMs - before);
  }

  /** A server did not answer; after three failures in a row it is left alone for a while. */
  failed(url: string, now: number): void {
    const server = this.#servers.get(identityOf(url));
    if (!server) return;
    server.failures += 1;
    server.failedAt = now;
    if (server.failures >= FAILURES_MAX) server.blockedUntil = now + this.#blacklistMs;
  }

  /**
   * A server answered and named its peers: from now on they may be asked too.
   *
   * @param peers health by URL. Words that are not known say nothing; what cannot be asked is ignored,
   *   and so is a URL without TLS where all configured ones have it.
   * @param toldBy the URL of the server that answered. It does not name itself.
   */
  learn(peers: Readonly<Record<string, string>>, now: number, toldBy: string): void {
    const teller = this.#servers.get(identityOf(toldBy));
    if (teller) teller.advertisedAt = now;
    for (const [url, health] of Object.entries(peers).slice(0, PEERS_READ_MAX)) {
      const server = this.#named(url);
      if (!server) continue;
      server.advertisedAt = now;
      if (Object.hasOwn(RANKS, health) && health !== "unknown") {
        server.told = health as Health;
        server.toldAt = now;
      }
    }
    this.#dropSome(now);
  }

  /** Forget all failures: the network came back. */
  clear(): void {
    for (const each of this.#servers.values()) {
      Object.assign(each, { failures: 0, blockedUntil: NEVER, failedAt: NEVER });
    }
  }

  /** What is known of each server, the configured ones first. */
  status(now: number): ServerStatus[] {
    return [...this.#servers.values()].map((each) => ({
      url: each.url,
      health: this.#health(each, now),
      failures: each.failures,
      latencyMs: each.latencyMs,
      isConfigured: each.isConfigured,
    }));
  }

  /** Until when it is asked only after all others: it kept failing, or peers say so. */
  #avoidedUntil(server: Server): number {
    const isTold = server.told === "unhealthy" && isToldNewer(server);
    return Math.max(server.blockedUntil, isTold ? server.toldAt + this.#blacklistMs : NEVER);
  }

  #health(server: Server, now: number): Health {
    if (this.#avoidedUntil(server) > now) return "unhealthy";
    // Nobody has repeated for a while that it is unhealthy: nobody knows.
    if (isToldNewer(server)) return server.told === "unhealthy" ? "unknown" : server.told;
    if (server.failures) return "degraded";
    return server.answeredAt > NEVER ? "healthy" : "unknown";
  }

  /** The server with the least is asked next. */
  #order(server: Server, now: number): number[] {
    const health = this.#health(server, now);
    if (health === "unhealthy") return [RANKS[health], this.#avoidedUntil(server)];
    // Those that failed take turns, so that one of them that is back is found soon.
    return [RANKS[health], server.failures, -server.answeredAt, server.latencyMs ?? 0];
  }

  /** The server behind a URL that a peer named, perhaps a new one. */
  #named(text: string): Server | undefined {
    let url: string;
    try {
      if (text.length > URL_CHARS_MAX || !/^https?:\/\/\S+$/i.test(text)) return undefined;
      url = baseUrl(text);
    } catch {
      return undefined;
    }
    const identity = identityOf(url);
    if (!this.#servers.has(identity)) {
      if (this.#isSecure && !isSecure(identity)) return undefined;
      this.#servers.set(identity, newServer(url, false));
    }
    return this.#servers.get(identity);
  }

  /**
   * Forget discovered servers that nobody names any more, and those that are too many. Only called when
   * a server has answered: while none does, none could have been named.
   */
  #dropSome(now: number): void {
    const named = [...this.#servers].filter(
      ([, each]) => !each.isConfigured && now - each.advertisedAt <= ADVERTISED_MS,
    );
    const rank = (each: Server) => [+(this.#health(each, now) === "unhealthy"), -each.advertisedAt];
    named.sort(([, one], [, other]) => compare(rank(one), rank(other)));
    const kept = new Set(named.slice(0, this.#discoveredMax).map(([identity]) => identity));
    for (const [identity, each] of this.#servers) {
      if (!each.isConfigured && !kept.has(identity)) this.#servers.delete(identity);
    }
  }
}

/** What two URLs of the same server have in common, however they are written. */
function identityOf(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

function newServer(url: string, isConfigured: boolean): Server {
  return {
    url,
    isConfigured,
    failures: 0,
    blockedUntil: NEVER,
    answeredAt: NEVER,
    failedAt: NEVER,
    latencyMs: null,
    told: "unknown",
    toldAt: NEVER,
    advertisedAt: NEVER,
  };
}

function isToldNewer(server: Server): boolean {
  return server.toldAt > Math.max(server.answeredAt, server.failedAt);
}

function isSecure(identity: string): boolean {
  return identity.startsWith("https:");
}

/** Like `compareFn` of sort: the first number that differs decides. */
function compare(one: readonly number[], other: readonly number[]): number {
  const index = one.findIndex((number, at) => number !== other[at]);
  return index < 0 ? 0 : Number(one[index]) - Number(other[index]);
}
