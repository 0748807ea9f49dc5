// Polling adapters, against a site of this machine.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RealityClient } from "../../src/client/client.ts";
import {
  createBatchPollingAdapter,
  createPollingAdapter,
  type PollingAdapter,
  type PollingAdapterOptions,
} from "../../src/compat/index.ts";
import { Site } from "./site.ts";

const JSON_TYPE = { type: "application/json; charset=utf-8" };

let site: Site;
const adapters: PollingAdapter[] = [];

beforeEach(async () => {
  site = await new Site().start();
  site.serve("/api/notifications", '["one"]', JSON_TYPE);
});

afterEach(async () => {
  for (const each of adapters.splice(0)) each.stop();
  await site.stop();
});

function adapterOf(options: Partial<PollingAdapterOptions<string[]>> = {}) {
  const onData = vi.fn();
  const adapter = createPollingAdapter<string[]>({
    key: "notifications",
    realityEndpoint: `${site.url}/reality/sync`,
    payloadEndpoint: `${site.url}/api/notifications`,
    interval: 20,
    fetch: site.fetch,
    onData,
    ...options,
  });
  adapters.push(adapter);
  return { adapter, onData };
}

async function change(body: string): Promise<void> {
  site.serve("/api/notifications", body, JSON_TYPE);
  await site.reality.invalidate("notifications");
}

describe("a polling adapter", () => {
  it("asks nothing before it is started", async () => {
    const { adapter } = adapterOf();
    await adapter.sync();
    expect(adapter.isRunning).toBe(false);
    expect(site.requests).toEqual([]);
  });

  it("gives the data, and gets it again only when the key was touched", async () => {
    const { adapter, onData } = adapterOf();
    adapter.start();
    adapter.start();
    expect(adapter.isRunning).toBe(true);
    await vi.waitFor(() => expect(onData).toHaveBeenCalledOnce());
    expect(onData.mock.calls[0]?.[0]).toEqual(["one"]);
    expect(onData.mock.calls[0]?.[1]).toMatchObject({ key: "notifications" });
    const syncs = site.count("POST /reality/sync");
    await vi.waitFor(() => expect(site.count("POST /reality/sync")).toBeGreaterThan(syncs + 2));
    expect(site.count("GET /api/notifications")).toBe(1);
    await change('["two"]');
    await vi.waitFor(() => expect(onData).toHaveBeenCalledTimes(2));
    expect(onData.mock.calls[1]?.[0]).toEqual(["two"]);
  });

  it("polls in the mode polling-compat, and holds no request", async () => {
    const asked = vi.spyOn(site.reality, "handleSync");
    const { adapter, onData } = adapterOf();
    adapter.start();
    await vi.waitFor(() => expect(asked.mock.calls.length).toBeGreaterThan(2));
    for (const [{ mode, wait = 0 }] of asked.mock.calls) {
      expect([mode, wait]).toEqual(["polling-compat", 0]);
    }
    await vi.waitFor(() => expect(onData).toHaveBeenCalled());
  });

  it("gives the text of what is no JSON", async () => {
    site.serve("/api/notifications", "plain");
    const { adapter, onData } = adapterOf();
    adapter.start();
    await vi.waitFor(() => expect(onData).toHaveBeenCalledWith("plain", expect.anything()));
  });

  it("asks nothing and calls nothing after `stop`, and begins anew with `start`", async () => {
    const { adapter, onData } = adapterOf();
    adapter.start();
    await vi.waitFor(() => expect(onData).toHaveBeenCalledOnce());
    adapter.stop();
    adapter.stop();
    expect(adapter.isRunning).toBe(false);
    await change('["two"]');
    await adapter.sync();
    expect(onData).toHaveBeenCalledOnce();
    adapter.start();
    await vi.waitFor(() => expect(onData).toHaveBeenCalledTimes(2));
    expect(onData.mock.lastCall?.[0]).toEqual(["two"]);
  });

  it("asks at once on `sync`, and tells of every answer", async () => {
    const onSync = vi.fn();
    const { adapter, onData } = adapterOf({ interval: 60_000, onSync });
    adapter.start();
    await vi.waitFor(() => expect(onData).toHaveBeenCalledOnce());
    expect(onSync).toHaveBeenCalledOnce();
    await change('["two"]');
    await adapter.sync();
    await vi.waitFor(() => expect(onData).toHaveBeenCalledTimes(2));
    expect(onSync).toHaveBeenCalledTimes(2);
    expect(onSync.mock.lastCall?.[0]).toMatchObject({ changed: 1, hint: "interaction" });
  });

  it("tells of errors of the server and of the payload, and goes on by itself", async () => {
    const onError = vi.fn();
    const { adapter, onData } = adapterOf({ onError, maxRetries: 0, retryBaseDelay: 10 });
    site.serve("/api/notifications", "", { status: 503 });
    adapter.start();
    await vi.waitFor(() => expect(onError).toHaveBeenCalled());
    expect(onError.mock.calls[0]?.[0]).toMatchObject({ message: expect.stringContaining("503") });
    site.serve("/api/notifications", '["one"]', JSON_TYPE);
    await vi.waitFor(() => expect(onData).toHaveBeenCalledOnce());
    await site.stop();
    const lost = { code: "server_unavailable" };
    await vi.waitFor(() => expect(onError.mock.lastCall?.[0]).toMatchObject(lost));
    await change('["two"]');
    await site.start();
    await vi.waitFor(() => expect(onData).toHaveBeenCalledTimes(2), 5_000);
  });

  it("asks through a client that is given, and lets go of it", async () => {
    const client = new RealityClient({ servers: site.url, fetch: site.fetch });
    const { adapter, onData } = adapterOf({ client, realityEndpoint: undefined });
    adapter.start();
    await vi.waitFor(() => expect(onData).toHaveBeenCalledOnce());
    await change('["two"]');
    await adapter.sync();
    await vi.waitFor(() => expect(onData).toHaveBeenCalledTimes(2));
    adapter.stop();
    await vi.waitFor(() => expect(client.getStats().subscribers).toBe(0));
    client.destroy();
  });
});

describe("a batch", () => {
  it("asks for all keys with one request, and gives the data of each", async () => {
    const asked = vi.spyOn(site.reality, "handleSync");
    site.serve("/b", '"b"', JSON_TYPE);
    site.serve("/proto", '"p"', JSON_TYPE);
    const seen = new Map<string, unknown>();
    const adapter = createBatchPollingAdapter({
      realityEndpoint: site.url,
      fetch: site.fetch,
      interval: 20,
      payloadEndpoints: {
        notifications: `${site.url}/api/notifications`,
        b: new URL("/b", site.url),
        ["__proto__"]: `${site.url}/proto`,
      },
      onData: (key, data) => seen.set(key, data),
    });
    adapters.push(adapter);
    adapter.start();
    await vi.waitFor(() => expect(seen.size).toBe(3));
    expect(seen.get("notifications")).toEqual(["one"]);
    expect(seen.get("b")).toBe("b");
    expect(seen.get("__proto__")).toBe("p");
    for (const [{ known }] of asked.mock.calls) expect(Object.keys(known)).toHaveLength(3);
    site.serve("/b", '"c"', JSON_TYPE);
    await site.reality.invalidate("b");
    await vi.waitFor(() => expect(seen.get("b")).toBe("c"));
    expect(site.count("GET /api/notifications")).toBe(1);
  });

  it("says whose payload failed", async () => {
    const onError = vi.fn();
    const adapter = createBatchPollingAdapter({
      realityEndpoint: site.url,
      fetch: site.fetch,
      payloadEndpoints: { gone: `${site.url}/gone` },
      onError,
    });
    adapters.push(adapter);
    adapter.start();
    await vi.waitFor(() => expect(onError).toHaveBeenCalledWith(expect.any(Error), "gone"));
  });
});
