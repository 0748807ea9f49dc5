// Tabs that have all they want, and a touch that they hear of.
import { expect } from "vitest";
import { type Browser, newBrowser, passing, type Tab } from "./browser.ts";

/** Tabs that are subscribed to `posts`, and settled. */
export async function settled(count: number): Promise<{ browser: Browser; tabs: Tab[] }> {
  const browser = newBrowser();
  const tabs: Tab[] = [];
  for (let number = 0; number < count; number += 1) {
    const tab = browser.open();
    tab.subscribe("posts");
    tabs.push(tab);
    await passing(300);
  }
  await passing(1_000);
  expect(browser.holders).toEqual([tabs[0]]);
  return { browser, tabs };
}

/** Touch a key; a second later these tabs have its newest data. */
export async function expectTouchHeard(browser: Browser, tabs: readonly Tab[], key = "posts") {
  await browser.touch(key);
  await passing(1_000);
  const newest = browser.data.get(key);
  expect(tabs.map((each) => each.data(key))).toEqual(tabs.map(() => newest));
}
