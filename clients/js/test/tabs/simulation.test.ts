// Several tabs of one browser through everything that can happen to them, in random order; then there is quiet,
// and every tab that somebody sees has to hold the newest data, with one held request in all.
import fc from "fast-check";
import { expect, it } from "vitest";
import { type Browser, inBrowsers, newBrowser, passing, type Tab } from "./browser.ts";

inBrowsers();

const RUNS = Number(process.env.SIMULATION_RUNS ?? 60);
const KEYS = ["posts", "chat:1", "chat:2", "user"];

type Deed = (tab: Tab, key: string, browser: Browser) => unknown;

const DEEDS: Record<string, Deed> = {
  open: (_, key, browser) => browser.open().subscribe("posts", key),
  "close tab": (tab) => tab.closeTab(),
  crash: (tab) => tab.crash(),
  freeze: (tab) => tab.freeze(),
  thaw: (tab) => tab.thaw(),
  hide: (tab) => tab.hide(),
  show: (tab) => tab.show(),
  focus: (tab) => tab.signal("focus"),
  online: (tab) => tab.signal("online"),
  subscribe: (tab, key) => tab.subscribe(key),
  unsubscribe: (tab, key) => tab.unsubscribe(key),
  sync: (tab, key) => tab.run(() => void tab.client.syncKeys(key).catch(() => {})),
  touch: (_tab, key, browser) => browser.touch(key),
  "touch all": (_tab, _key, browser) => browser.touch(...KEYS),
  restart: (_tab, _key, browser) => browser.restart(),
  down: (_tab, _key, browser) => {
    browser.isDown = true;
  },
  up: (_tab, _key, browser) => {
    browser.isDown = false;
  },
};

const step = fc.record({
  deed: fc.constantFrom(...Object.keys(DEEDS), "touch", "touch", "open", "subscribe", "up"),
  tab: fc.nat(7),
  key: fc.constantFrom(...KEYS),
  ms: fc.oneof(fc.nat(10), fc.nat(400), fc.nat(3_000), fc.nat(30_000)),
});

async function simulate(steps: readonly { deed: string; tab: number; key: string; ms: number }[]) {
  const browser = newBrowser();
  try {
    browser.open().subscribe("posts");
    for (const { deed, tab, key, ms } of steps) {
      const there = browser.tabs.filter((each) => !each.isGone);
      const one = there[tab % there.length] ?? browser.open();
      await DEEDS[deed]?.(one, key, browser);
      await passing(ms);
    }
    browser.isDown = false;
    await passing(120_000);
    const { visible } = browser;
    for (const each of visible) {
      const held = each.keys.map((key) => [key, each.data(key), each.client.getState(key)?.status]);
      const newest = each.keys.map((key) => [key, browser.data.get(key) ?? 0, "idle"]);
      expect(held, "I1: the newest data is held").toEqual(newest);
    }
    const fetches = () => browser.tabs.reduce((sum, each) => sum + each.fetches, 0);
    const [asked, fetched] = [browser.asked.length, fetches()];
    const isLive = visible.some((each) => each.keys.length > 0);
    await passing(100_000);
    expect(browser.holders.length, "one request is held").toBe(isLive ? 1 : 0);
    expect(fetches() - fetched, "I2: nothing is fetched").toBe(0);
    expect(browser.asked.length - asked, "I2: nothing else is asked").toBeLessThan(6);
    // And they hear of what comes next.
    await browser.touch(...KEYS);
    await passing(1_000);
    for (const each of visible) {
      const newest = each.keys.map((key) => browser.data.get(key));
      expect(
        each.keys.map((key) => each.data(key)),
        "a touch arrives",
      ).toEqual(newest);
    }
  } finally {
    browser.close();
  }
}

it("hold the newest data and one request once there is quiet (I1, I2)", async () => {
  const steps = fc.array(step, { minLength: 5, maxLength: 40 });
  await fc.assert(fc.asyncProperty(steps, simulate), { numRuns: RUNS });
}, 120_000);
