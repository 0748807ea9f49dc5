// What the tests of the client have in common: virtual time, an application's data, scripted servers,
// and a page that can be hidden.
/// <reference types="vite/client" />

import { afterEach, beforeEach, expect, vi } from "vitest";
import { RealityClient } from "../../src/client/client.ts";
import type { Environment, Signal } from "../../src/client/environment.ts";
import type {
  ChangedNode,
  RealityNodeMeta,
  RealityNodeState,
  RealityOptions,
  RealityTransport,
  SyncRequest,
  SyncResponse,
} from "../../src/client/types.ts";
import { RealityError } from "../../src/core/errors.ts";
import { EmbeddedRealityServer } from "../../src/embedded/index.ts";

// What clients load when they need it first is there from the start, so that loading takes no time.
import.meta.glob("../../src/{client,core}/*.ts", { eager: true });

const made: RealityClient[] = [];

/** Each test of this file has its own clock, which only `passing` moves. */
export function inVirtualTime(): void {
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date", "performance"],
    });
  });
  afterEach(() => {
    for (const each of made.splice(0)) each.destroy();
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
}

/** Let so many milliseconds pass, and all that happens in them. */
export async function passing(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** A client that is destroyed after the test. */
export function newClient(options: RealityOptions = {}): RealityClient {
  const client = new RealityClient(options);
  made.push(client);
  return client;
}

/** A transport that asks an embedded server, and what it was asked. */
export class Server extends EmbeddedRealityServer implements RealityTransport {
  readonly requests: SyncRequest[] = [];
  /** Requests that it holds or has not answered yet. */
  underWay = 0;
  /** While set, nobody is answered. */
  failure: RealityError | undefined;

  override async sync(
    request: SyncRequest,
    context?: { readonly signal?: AbortSignal | undefined },
  ): Promise<SyncResponse> {
    this.requests.push(structuredClone(request));
    if (this.failure) throw this.failure;
    this.underWay += 1;
    try {
      return await this.handleSync(request, context);
    } finally {
      this.underWay -= 1;
    }
  }
}

/** A failure as of a server that cannot be reached. */
export const unreachable = () => new RealityError("server_unavailable", "nobody is there");

/** One request to a `Script`, to be answered by the test. */
export interface Question {
  readonly request: SyncRequest;
  readonly signal: AbortSignal;
  answer(changed?: Record<string, Partial<ChangedNode>>, rest?: Answer): void;
  fail(error?: Error): void;
}

type Answer = Partial<SyncResponse> & { readonly retryAfterMs?: number };

/** A transport whose answers the test gives, when it likes; they may be of any shape. */
export class Script implements RealityTransport {
  readonly questions: Question[] = [];

  sync(request: SyncRequest, { signal }: { readonly signal: AbortSignal }): Promise<SyncResponse> {
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      this.questions.push({
        request: structuredClone(request),
        signal,
        answer: (nodes = {}, rest = {}) => resolve(answerOf(nodes, rest)),
        fail: (error = unreachable()) => reject(error),
      });
    });
  }

  /** The newest request. */
  get last(): Question {
    return this.questions.at(-1) as Question;
  }
}

/** An answer with these members. */
function answerOf(nodes: Record<string, Partial<ChangedNode>> = {}, rest: Answer = {}) {
  const changed = Object.fromEntries(
    Object.entries(nodes).map(([key, node]) => [key, { version: 1, hash: "", ...node }]),
  );
  return { changed, mesh: { peers: {}, serverVersion: 0 }, serverTime: Date.now(), ...rest };
}

/** The application's data of one key, and its API. */
export class Source<T = unknown> {
  calls = 0;
  underWay = 0;
  mostUnderWay = 0;
  delayMs = 0;
  failure: Error | undefined;
  data: T;
  readonly signals: AbortSignal[] = [];
  readonly metas: (RealityNodeMeta | null)[] = [];

  constructor(data: T) {
    this.data = data;
  }

  /** Reads the data when it is called, and delivers it later. */
  readonly fetcher = async (
    _key: string,
    meta: RealityNodeMeta | null,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<T> => {
    this.calls += 1;
    this.underWay += 1;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    this.signals.push(signal);
    this.metas.push(meta);
    const { data, failure, delayMs } = this;
    if (delayMs) await new Promise((resolve) => setTimeout(resolve, delayMs));
    this.underWay -= 1;
    if (failure) throw failure;
    return data;
  };
}

/** A subscriber that remembers all it was told. */
export class Audience<T = unknown> {
  readonly told: RealityNodeState<T>[] = [];
  readonly callback = (state: RealityNodeState<T>) => {
    this.told.push(state);
  };

  get last(): RealityNodeState<T> {
    return this.told.at(-1) as RealityNodeState<T>;
  }
}

/** A page, or an application, that can be left and come back to. */
export class Room implements Environment {
  listeners = 0;
  #isVisible = true;
  #tell: ((signal: Signal) => void) | undefined;

  readonly isVisible = () => this.#isVisible;

  listen(tell: (signal: Signal) => void): () => void {
    this.listeners += 1;
    this.#tell = tell;
    return () => {
      if (this.#tell === tell) this.listeners -= 1;
      if (this.#tell === tell) this.#tell = undefined;
    };
  }

  hide(): void {
    this.#isVisible = false;
    this.#tell?.("hidden");
  }

  show(): void {
    this.#isVisible = true;
    this.#tell?.("visible");
  }

  focus(): void {
    this.#tell?.("focus");
  }

  online(): void {
    this.#tell?.("online");
  }
}

/** A client at an embedded server, that is subscribed to `posts`, fresh, and holds a request. */
export async function settled(options: RealityOptions = {}) {
  const server = new Server();
  const room = new Room();
  const source = new Source<unknown>("first");
  const audience = new Audience();
  const client = newClient({ transport: server, environment: room, ...options });
  const leave = client.subscribe("posts", audience.callback, { fetcher: source.fetcher });
  await passing(10);
  expect(client.getState("posts")).toMatchObject({ data: "first", status: "idle" });
  return { server, room, source, audience, client, leave };
}
