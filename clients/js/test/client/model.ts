// A server as small as the protocol allows (PROTOCOL.md P1 to P6), and as nasty: its versions begin
// anywhere, so that only the cursor tells what was missed. Two of these never tell the same version.

import type { ChangedNode, SyncRequest, SyncResponse } from "../../src/client/types.ts";

interface Touch {
  readonly sequence: number;
  readonly count: number;
}

/** One run of a server; `base` is where its versions begin. */
export class ModelServer {
  readonly #origin: string;
  readonly #base: number;
  readonly #touches = new Map<string, Touch>();
  readonly #waiters = new Set<() => void>();
  #sequence = 0;
  #isClosed = false;

  constructor(origin: string, base: number) {
    this.#origin = origin;
    this.#base = base;
  }

  /** One batch. */
  touch(keys: readonly string[]): void {
    this.#sequence += 1;
    for (const key of keys) {
      const count = (this.#touches.get(key)?.count ?? 0) + 1;
      this.#touches.set(key, { sequence: this.#sequence, count });
    }
    this.#wake();
  }

  /** It dies, and its held requests with it. */
  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  async sync(request: SyncRequest, signal: AbortSignal | undefined): Promise<SyncResponse> {
    let answer = this.#answer(request);
    const endsAt = performance.now() + (request.wait ?? 0);
    while (Object.keys(answer.changed).length === 0 && performance.now() < endsAt) {
      await this.#woken(endsAt - performance.now(), signal);
      if (this.#isClosed) throw new TypeError("terminated");
      answer = this.#answer(request);
    }
    return answer;
  }

  #answer({ known, cursor }: SyncRequest): SyncResponse {
    const positions = new Map(
      (cursor ?? "").split(";").flatMap((text) => {
        const [origin = "", sequence] = text.split("=");
        return sequence === undefined ? [] : [[origin, Number(sequence)] as const];
      }),
    );
    const reset = cursor !== undefined && !positions.has(this.#origin);
    const after = positions.get(this.#origin) ?? 0;
    const changed: Record<string, ChangedNode> = {};
    for (const [key, version] of Object.entries(known)) {
      const { sequence, count } = this.#touches.get(key) ?? { sequence: 0, count: 0 };
      const newest = this.#base + count;
      const isNews =
        cursor === undefined ? version !== newest : version < newest || sequence > after;
      if (reset || isNews) changed[key] = { version: newest, hash: "" };
    }
    positions.set(this.#origin, Math.max(after, this.#sequence));
    return {
      changed,
      mesh: { peers: {}, serverVersion: 0 },
      serverTime: Date.now(),
      cursor: [...positions].map((each) => each.join("=")).join(";"),
      ...(reset && { reset }),
    };
  }

  #woken(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const clock = setTimeout(resolve, ms);
      const wake = () => {
        clearTimeout(clock);
        this.#waiters.delete(wake);
        resolve();
      };
      this.#waiters.add(wake);
      signal?.addEventListener("abort", () => {
        wake();
        reject(signal.reason);
      });
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }
}
