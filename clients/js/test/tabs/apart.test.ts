// Tabs that hold a request of their own: what they ask is another question, or they cannot talk to others.
import { describe, expect, it, vi } from "vitest";
import { inBrowsers, newBrowser, passing, type Tab } from "./browser.ts";
import { expectTouchHeard, settled } from "./settled.ts";

inBrowsers();

describe("tabs share with none", () => {
  it.each([
    ["other servers", { servers: "http://other" }],
    ["other headers", { headers: { "x-tenant": "b" } }],
    ["other credentials", { credentials: "include" }],
    ["another mode", { mode: "sse-compat" }],
    ["tabs: false", { tabs: false }],
  ] as const)("that has %s", async (_, options) => {
    const { browser, tabs } = await settled(1);
    const other = browser.open(options);
    other.subscribe("posts");
    await passing(1_000);
    expect(browser.holders).toEqual([tabs[0], other]);
    await expectTouchHeard(browser, [tabs[0] as Tab, other]);
  });

  it("if they have more keys than fit into one request with others", async () => {
    const { browser, tabs } = await settled(1);
    const large = browser.open();
    large.subscribe(...Array.from({ length: 1_001 }, (_, number) => `key:${number}`));
    await passing(2_000);
    expect(browser.holders).toEqual([tabs[0], large]);
  });

  it.each([
    ["locks are missing", () => vi.stubGlobal("navigator", {})],
    ["channels are missing", () => vi.stubGlobal("BroadcastChannel", undefined)],
    [
      "locks are refused",
      () =>
        vi.stubGlobal("navigator", {
          locks: { request: () => Promise.reject(new DOMException("no", "SecurityError")) },
        }),
    ],
    [
      "channels are refused",
      () =>
        vi.stubGlobal(
          "BroadcastChannel",
          class {
            constructor() {
              throw new DOMException("insecure", "SecurityError");
            }
          },
        ),
    ],
  ])("where %s, silently", async (_, break_) => {
    break_();
    const warned = [vi.spyOn(console, "warn"), vi.spyOn(console, "error")];
    const browser = newBrowser();
    const tab = browser.open();
    tab.subscribe("posts");
    await passing(1_000);
    expect(browser.holders).toEqual([tab]);
    await expectTouchHeard(browser, [tab]);
    await expectTouchHeard(browser, [tab]);
    expect(browser.holders).toEqual([tab]);
    for (const each of warned) expect(each).not.toHaveBeenCalled();
  });
});
