// One client through everything that can happen to it, in random order; then all faults end, and it has
// to hold the application's newest data, and be silent.
import fc from "fast-check";
import { expect, it } from "vitest";
import { inVirtualTime, passing } from "./support.ts";
import { KEYS, type Step, World } from "./world.ts";

inVirtualTime();

const RUNS = Number(process.env.SIMULATION_RUNS ?? 100);
const DEEDS = [
  ...["touch", "touch", "touch", "batch", "subscribe", "subscribe", "unsubscribe", "hide", "show"],
  ...[
    "focus",
    "online",
    "sync",
    "sync all",
    "invalidate",
    "restart",
    "down",
    "up",
    "faults",
    "reload",
  ],
];

// The last deeds follow each other closely, so that much is under way when nothing more happens.
const LAST = [
  "touch",
  "touch",
  "touch",
  "batch",
  "reload",
  "restart",
  "sync",
  "sync all",
  "down",
  "hide",
];

const doing = (deeds: readonly string[], ...msMax: number[]) =>
  fc.record({
    do: fc.constantFrom(...deeds),
    which: fc.nat(11),
    ms: fc.oneof(...msMax.map((ms) => fc.nat(ms))),
  }) as fc.Arbitrary<Step>;

const steps = fc
  .tuple(
    fc.array(doing(DEEDS, 50, 1_000, 20_000), { minLength: 3, maxLength: 30 }),
    fc.array(doing(LAST, 300, 1_500), { minLength: 3, maxLength: 12 }),
  )
  .map((parts) => parts.flat());

async function simulate(
  seed: number,
  live: "auto" | "poll",
  deeds: readonly Step[],
): Promise<void> {
  const world = new World(seed, live);
  try {
    for (const [at, key] of KEYS.slice(0, 2).entries()) {
      await world.play({ do: "subscribe", which: at, ms: key.length });
    }
    for (const each of deeds) await world.play(each);
    await world.heal();
    for (const key of world.subscribed) {
      const { data, status, error } = world.client.getState(key) ?? {};
      const newest = { key, data: world.data.get(key), status: "idle", error: null };
      expect({ key, data, status, error }, "I1: the newest data is held").toEqual(newest);
    }
    const [asked, fetched] = [world.web.arrivals.length, world.fetches];
    await passing(300_000);
    expect(world.fetches - fetched, "I2: nothing is fetched").toBe(0);
    const isLive = live === "auto" && world.subscribed.length > 0;
    if (isLive) {
      expect(world.held, "I2: one request is held").toBe(1);
      expect(world.web.arrivals.length - asked, "I2: nothing else is asked").toBeLessThan(16);
    }
    expect(world.complaints).toEqual([]);
    expect(world.busiest, "requests within half a second").toBeLessThanOrEqual(5);
  } finally {
    world.close();
  }
}

it("holds the newest data once all faults have ended, and is silent (I1, I2)", async () => {
  const live = fc.constantFrom("auto", "auto", "auto", "poll") as fc.Arbitrary<"auto" | "poll">;
  await fc.assert(fc.asyncProperty(fc.nat(), live, steps, simulate), { numRuns: RUNS });
}, 120_000);
