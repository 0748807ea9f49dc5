// Several tabs of one browser: who holds the request, and what the others are told.
import { describe, expect, it, vi } from "vitest";
import { type Browser, inBrowsers, newBrowser, passing, type Tab } from "./browser.ts";
import { expectTouchHeard, settled } from "./settled.ts";

inBrowsers();

/** Whose requests are held, once the answer to one has led to the next. */
async function holdersSoon(browser: Browser): Promise<Tab[]> {
  if (browser.holders.length === 0) await passing(1_000);
  return browser.holders;
}

describe("tabs of one browser", () => {
  it("hold one request together, and each fetches once after a touch", async () => {
    const { browser, tabs } = await settled(7);
    await expectTouchHeard(browser, tabs);
    expect(tabs.map((each) => each.fetches)).toEqual(Array(7).fill(2));
    expect(browser.holders).toHaveLength(1);
  });

  it("ask for nothing but the held request while nothing is touched (I2)", async () => {
    const { browser, tabs } = await settled(3);
    browser.asked.length = 0;
    await passing(100_000);
    expect(browser.asked.every(({ wait }) => wait > 0)).toBe(true);
    expect(browser.asked.length).toBeLessThanOrEqual(4);
    expect(tabs.map((each) => each.fetches)).toEqual([1, 1, 1]);
  });

  it("ask once without wait when they open, and follow", async () => {
    const { browser, tabs } = await settled(1);
    browser.asked.length = 0;
    browser.open().subscribe("posts");
    await passing(5_000);
    const asked = browser.asked.map(({ tab, wait }) => [tab === tabs[0], wait > 0]);
    expect(asked).toEqual([
      [false, false],
      [true, true],
    ]);
  });

  it("hear of keys that only one of them has, which the leader's application never sees", async () => {
    const { browser, tabs } = await settled(2);
    const [leader, other] = tabs as [Tab, Tab];
    const changes = vi.fn();
    leader.client.on("change", changes);
    other.subscribe("chat:1", "constructor");
    await passing(1_000);
    expect(browser.holders).toEqual([leader]);
    await expectTouchHeard(browser, [other], "chat:1");
    await expectTouchHeard(browser, [other], "constructor");
    expect(leader.client.getState("chat:1")).toBeUndefined();
    expect(leader.client.getStats()).toMatchObject({ keys: 1, subscribers: 1 });
    expect(leader.fetches).toBe(1);
    expect(changes).not.toHaveBeenCalled();
  });

  it("hear of a key that the leader has left, and that it fetches no more", async () => {
    const { browser, tabs } = await settled(2);
    const [leader, other] = tabs as [Tab, Tab];
    leader.unsubscribe("posts");
    await passing(10_000);
    await expectTouchHeard(browser, [other]);
    expect(leader.fetches).toBe(1);
    leader.subscribe("posts");
    await passing(1_000);
    expect(leader.data("posts"), "I1: what it missed meanwhile").toBe(1);
    expect(browser.holders).toHaveLength(1);
  });

  it("hear of what only syncKeys of another one was told", async () => {
    const { browser, tabs } = await settled(2);
    const [leader, other] = tabs as [Tab, Tab];
    leader.run(() => void leader.client.syncKeys("posts"));
    await browser.touch("posts");
    leader.signal("focus");
    await passing(2_000);
    expect([leader.data("posts"), other.data("posts")]).toEqual([1, 1]);
  });

  it("keep a cursor that their own requests have proven, and are told of a reset once", async () => {
    const { browser, tabs } = await settled(3);
    browser.restart();
    await passing(10_000);
    expect(tabs.map((each) => each.fetches)).toEqual([2, 2, 2]);
    await expectTouchHeard(browser, tabs);
    expect(browser.holders).toHaveLength(1);
  });

  it("ask by themselves when the leader gets no answer, and share again afterwards", async () => {
    const { browser, tabs } = await settled(3);
    browser.isDown = true;
    browser.restart();
    await passing(60_000);
    for (const each of tabs) expect(each.client.getState("posts")?.status).toBe("error");
    browser.isDown = false;
    await browser.touch("posts");
    await passing(60_000);
    expect(tabs.map((each) => each.data("posts"))).toEqual([1, 1, 1]);
    expect(await holdersSoon(browser)).toHaveLength(1);
  });
});

describe("the lead", () => {
  it("goes on at once when its tab is closed", async () => {
    const { browser, tabs } = await settled(3);
    tabs[0]?.closeTab();
    await passing(500);
    expect(browser.holders).toHaveLength(1);
    await expectTouchHeard(browser, tabs.slice(1));
  });

  it("goes on at once when its tab crashes, and what was touched meanwhile is not lost (I1)", async () => {
    const { browser, tabs } = await settled(3);
    tabs[0]?.crash();
    await browser.touch("posts");
    await passing(500);
    expect(browser.holders).toHaveLength(1);
    expect(tabs.slice(1).map((each) => each.data("posts"))).toEqual([1, 1]);
  });

  it("passes on with one question of each follower, with its own cursor (I1)", async () => {
    const { browser, tabs } = await settled(3);
    browser.asked.length = 0;
    tabs[0]?.crash();
    await passing(3_000);
    const asked = browser.asked
      .filter(({ wait }) => wait === 0)
      .map(({ tab }) => tabs.indexOf(tab));
    expect(asked).toEqual([2]); // the other one leads
  });

  it("is taken from a frozen tab within 2 s, which follows once it thaws", async () => {
    const { browser, tabs } = await settled(3);
    const [leader, ...others] = tabs as [Tab, Tab, Tab];
    leader.freeze();
    await passing(2_000);
    expect(others).toContain(browser.locks.holder());
    expect(browser.holders.filter((each) => each !== leader)).toHaveLength(1);
    await expectTouchHeard(browser, others);
    leader.thaw();
    await passing(2_000);
    expect(leader.data("posts")).toBe(1);
    expect(browser.holders).toHaveLength(1);
    expect(browser.holders).not.toContain(leader);
    await expectTouchHeard(browser, tabs);
  });

  it("stays with a frozen tab as long as nobody needs it", async () => {
    const { browser, tabs } = await settled(2);
    const [leader, other] = tabs as [Tab, Tab];
    other.unsubscribe("posts");
    await passing(10_000);
    leader.freeze();
    await passing(10_000);
    expect(browser.locks.holder()).toBe(leader);
    other.subscribe("posts");
    await passing(3_000);
    expect(browser.locks.holder()).toBe(other);
  });

  it("is not taken by a tab that was itself frozen", async () => {
    const { browser, tabs } = await settled(2);
    const [leader, other] = tabs as [Tab, Tab];
    other.freeze();
    await passing(60_000);
    other.thaw();
    await passing(5_000);
    expect(browser.locks.holder()).toBe(leader);
    await expectTouchHeard(browser, tabs);
  });

  it("is handed over by a tab that is hidden, which hears of nothing until it is shown", async () => {
    const { browser, tabs } = await settled(2);
    const [leader, other] = tabs as [Tab, Tab];
    leader.hide();
    await passing(500);
    expect(browser.holders).toEqual([other]);
    expect(browser.channels.size, "a page that is left has no channel").toBe(1);
    await expectTouchHeard(browser, [other]);
    expect(leader.data("posts")).toBe(0);
    leader.show();
    await passing(500);
    expect(leader.data("posts")).toBe(1);
    expect(browser.holders).toEqual([other]);
    await expectTouchHeard(browser, tabs);
  });

  it("is given back by a client that is destroyed", async () => {
    const { browser, tabs } = await settled(2);
    const [leader, other] = tabs as [Tab, Tab];
    leader.run(() => leader.client.destroy());
    await passing(500);
    expect(browser.locks.holder()).toBe(other);
    expect(browser.holders).toEqual([other]);
    other.run(() => other.client.destroy());
    await passing(500);
    expect([browser.holders, browser.channels.size, browser.locks.holder()]).toEqual([
      [],
      0,
      undefined,
    ]);
    expect(vi.getTimerCount()).toBeLessThanOrEqual(2); // of the server
  });

  it("is given back by a client that is destroyed while it loads what it needs for it", async () => {
    for (let step = 0; step < 40; step += 1) {
      const browser = newBrowser();
      const tab = browser.open();
      const destroyed = new Promise<void>((resolve) => {
        const destroy = async () => {
          for (let waited = 0; waited < step; waited += 1) await undefined;
          tab.client.destroy();
          resolve();
        };
        tab.client.on("sync", () => void destroy());
      });
      tab.subscribe("posts");
      await passing(100);
      await destroyed;
      await passing(1_000);
      expect([step, browser.locks.holder(), browser.channels.size]).toEqual([step, undefined, 0]);
    }
  });

  it("is given to nobody while all are hidden", async () => {
    const { browser, tabs } = await settled(2);
    for (const each of tabs) each.hide();
    await passing(60_000);
    expect([browser.holders, browser.locks.holder()]).toEqual([[], undefined]);
  });
});
