// Which server is asked next: `conformance/vectors/servers.json`, and what no order of events can do.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ServerPool } from "../../src/core/servers.ts";
import { baseUrl } from "../../src/core/urls.ts";
import { cases, type Vector } from "../vectors.ts";

const URLS = Array.from({ length: 6 }, (_, number) => `http://s${number}/reality`);
const DISCOVERED_MAX = 64;

function play(pool: ServerPool, step: Vector): void {
  const now = (step.at ?? 0) * 1_000;
  if (step.do === "learn") pool.learn(step.peers, now, step.toldBy);
  else if (step.do === "answered") {
    pool.answered(step.url, now, step.latency === null ? null : step.latency * 1_000);
  } else if (step.do === "failed") pool.failed(step.url, now);
  else if (step.do === "clear") pool.clear();
  else if (step.do === "pick") {
    expect(pool.pick(now, step.configuredOnly ?? false), JSON.stringify(step)).toBe(step.url);
  } else {
    expect(step.do).toBe("status");
    const known = pool
      .status(now)
      .map(({ url, health, isConfigured }) => [url, health, isConfigured]);
    expect(known).toEqual(step.servers);
  }
}

describe("the pool of servers", () => {
  it.each(cases("servers", "scripts"))("$about", ({ configured, discoveredMax, random, steps }) => {
    const pool = new ServerPool((configured as string[]).map(baseUrl), { discoveredMax, random });
    for (const step of steps as Vector[]) play(pool, step);
  });

  it("keeps a running mean of the latency of answers that were not held", () => {
    const pool = new ServerPool(["http://a"]);
    pool.answered("http://a", 1_000, 100);
    pool.answered("http://a", 2_000, 1_100);
    pool.answered("http://a", 3_000, null);
    expect(pool.status(4_000)[0]?.latencyMs).toBeCloseTo(300);
  });

  it("leaves a server alone for as long as it is told", () => {
    const pool = new ServerPool(["http://a", "http://b"], { blacklistMs: 1_000 });
    for (const now of [0, 1, 2]) pool.failed("http://a", now);
    expect(pool.status(1_001)[0]?.health).toBe("unhealthy");
    expect(pool.status(1_002)[0]?.health).toBe("degraded");
  });

  it("does not grow with what it is told (I6)", () => {
    const pool = new ServerPool(["http://a"]);
    const crowd = (name: string, count: number) =>
      Object.fromEntries(
        Array.from({ length: count }, (_, at) => [`http://${name}${at}`, "healthy"]),
      );
    pool.learn(crowd("p", 10_000), 1, "http://a");
    expect(pool.status(1)).toHaveLength(1 + DISCOVERED_MAX);
    for (let now = 2; now < 100; now += 1) pool.learn(crowd(`q${now}.`, 9), now, "http://a");
    expect(pool.status(100)).toHaveLength(1 + DISCOVERED_MAX);
    const other = new ServerPool(["http://a"]);
    const long = { [`http://${"b".repeat(2_048)}`]: "healthy" };
    other.learn({ ...long, ...crowd("?", 255), "http://late": "healthy" }, 1, "http://a");
    expect(other.status(1)).toHaveLength(1);
  });

  it("has a sound server to ask, whatever happens", () => {
    const health = fc.constantFrom(
      "healthy",
      "degraded",
      "unhealthy",
      "unknown",
      "constructor",
      "",
    );
    const step = fc.record({
      do: fc.constantFrom("answered", "failed", "learn", "pass", "clear"),
      url: fc.constantFrom(...URLS),
      peers: fc.dictionary(fc.constantFrom(...URLS, "?", "__proto__"), health),
      passing: fc.double({ min: 0, max: 200_000, noNaN: true }),
    });
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    const steps = fc.array(step, { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(
        steps,
        fc.integer({ min: 1, max: 3 }),
        fc.nat(3),
        random,
        (list, count, max, drawn) => {
          const configured = URLS.slice(0, count);
          const pool = new ServerPool(configured, { discoveredMax: max, random: drawn });
          let now = 0;
          for (const { do: what, url, peers, passing } of list) {
            if (what === "answered") pool.answered(url, now, 100);
            else if (what === "failed") pool.failed(url, now);
            else if (what === "learn") pool.learn(peers, now, url);
            else if (what === "clear") pool.clear();
            else now += passing;
            const known = new Map(pool.status(now).map((each) => [each.url, each]));
            const picked = pool.pick(now);
            expect([...known.keys()].slice(0, count)).toEqual(configured);
            expect(known.size).toBeLessThanOrEqual(count + max);
            expect(pool.pick(now)).toBe(picked);
            expect(known.get(pool.pick(now, true))?.isConfigured).toBe(true);
            if ([...known.values()].some((each) => each.health === "healthy")) {
              expect(known.get(picked)?.health).toBe("healthy");
            }
            if (what === "answered" && known.has(url)) {
              now += 1;
              pool.answered(url, now, null);
              expect(pool.pick(now)).toBe(url);
            }
          }
          // Whoever only fails asks everybody in the end.
          const asked = new Set<string>();
          const all = pool.status(now).map((each) => each.url);
          for (let times = 0; times < 4 * all.length; times += 1) {
            asked.add(pool.pick(now));
            pool.failed(pool.pick(now), now);
            now += 1_000;
          }
          expect([...asked].sort()).toEqual([...all].sort());
        },
      ),
    );
  });
});
