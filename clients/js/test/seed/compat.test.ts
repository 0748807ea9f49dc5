// @vitest-environment jsdom
// biome-ignore-all format: the snippets stand here as in the guide that users were given
// biome-ignore-all lint: the same
// The guide's snippets of the replacements, with nothing changed but the names of imports.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createPollingAdapter, RealityEventSource } from '../../src/compat/index.ts';
import { Site } from "../compat/site.ts";

let site: Site;

beforeEach(async () => {
  site = await new Site().start();
  vi.stubGlobal("fetch", site.fetch);
});

afterEach(async () => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  await site.stop();
});

it("EventSource Replacement", async () => {
  site.serve("/events", "one");
  vi.spyOn(console, "log").mockReturnValue();
  // Drop-in replacement for EventSource
  const es = new RealityEventSource('/events', {
    realityEndpoint: '/reality/sync',
  });

  es.onmessage = (event) => {
    console.log(event.data);
  };

  await vi.waitFor(() => expect(console.log).toHaveBeenLastCalledWith("one"));
  site.serve("/events", "two");
  await site.reality.invalidate("/events");
  await vi.waitFor(() => expect(console.log).toHaveBeenLastCalledWith("two"));
  expect(console.log).toHaveBeenCalledTimes(2);
  es.close();
});

it("Polling Adapter", async () => {
  const setNotifications = vi.fn();
  site.serve("/api/notifications", "[1]", { type: "application/json" });
  const adapter = createPollingAdapter({
    key: 'notifications',
    realityEndpoint: '/reality/sync',
    payloadEndpoint: '/api/notifications',
    interval: 2000,
    onData: (data) => setNotifications(data),
  });

  adapter.start();
  // adapter.stop();
  await vi.waitFor(() => expect(setNotifications).toHaveBeenLastCalledWith([1]));
  site.serve("/api/notifications", "[2]", { type: "application/json" });
  await site.reality.invalidate("notifications");
  await vi.waitFor(() => expect(setNotifications).toHaveBeenLastCalledWith([2]), 5_000);
  adapter.stop();
});
