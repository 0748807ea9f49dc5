// Whether this client shares its held request with the other tabs of the browser.

import type { SyncRequest } from "../core/messages.ts";
import type { Sharing, Surroundings } from "./surroundings.ts";

// A tab with more keys holds its own request: those of all tabs have to fit into one.
const KEYS_MAX = 1_000;

/** The tabs; undefined where there are none, or none to share with: then each holds a request of its own. */
export async function share(around: Surroundings): Promise<Sharing | undefined> {
  const { attention, settings, transport } = around;
  // An own `fetch` may ask for another person in each tab.
  const { live = "auto", mode, tabs: isWanted = !settings.fetch } = settings;
  const isLive = live === "auto" && mode !== "polling-compat";
  // Only that of HTTP has many servers, and their status: what is in this page is asked by this page.
  const isHttp = !settings.transport && transport.getServerStatus;
  const isPage = globalThis.document && navigator.locks && globalThis.BroadcastChannel;
  if (!isWanted || !isLive || !isHttp || !isPage) return undefined;
  try {
    new BroadcastChannel("").close(); // where it may not be used it says so now
    const { Tabs } = await import("../tabs/tabs.ts");
    const tabs = new Tabs(around);
    tabs.seen(attention?.mayHold() !== false);
    const isShared = ({ known, wait }: SyncRequest) =>
      wait && attention?.mayHold() !== false && Object.keys(known).length <= KEYS_MAX;
    return {
      seen: (isSeen) => tabs.seen(isSeen),
      close: () => tabs.close(),
      transport: {
        sync: (request, context) => (isShared(request) ? tabs : transport).sync(request, context),
        invalidate: async (names) => (await transport.invalidate?.(names)) ?? {},
        getServerStatus: () => transport.getServerStatus?.() ?? [],
        forgetFailures: () => transport.forgetFailures?.(),
      },
    };
  } catch {
    return undefined;
  }
}
