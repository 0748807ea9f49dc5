// The replacement for EventSource, against a site of this machine.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RealityClient } from "../../src/client/client.ts";
import {
  createEventSource,
  createEventSourceFactory,
  RealityEventSource,
  type RealityEventSourceOptions,
} from "../../src/compat/index.ts";
import { RealityError } from "../../src/core/errors.ts";
import { Site } from "./site.ts";

let site: Site;
const open: RealityEventSource[] = [];

beforeEach(async () => {
  site = await new Site().start();
  site.serve("/events", "one");
});

afterEach(async () => {
  for (const each of open.splice(0)) each.close();
  await site.stop();
});

const endpoint = () => ({ realityEndpoint: `${site.url}/reality/sync`, fetch: site.fetch });

function sourceOf(path = "/events", options: RealityEventSourceOptions = {}): RealityEventSource {
  const source = new RealityEventSource(site.url + path, { ...endpoint(), ...options });
  open.push(source);
  return source;
}

/** What happened to a source, in order, as `type` or `type:data`. */
function logOf(source: RealityEventSource, types = ["open", "message", "error"]): string[] {
  const log: string[] = [];
  for (const type of types) {
    source.addEventListener(type, (event: MessageEvent) =>
      log.push(event instanceof MessageEvent ? `${type}:${event.data}` : type),
    );
  }
  return log;
}

/** Change what a path serves, and say so. */
async function change(path: string, body: string, type = "text/plain"): Promise<void> {
  site.serve(path, body, { type });
  await site.reality.invalidate(path);
}

describe("as an EventSource", () => {
  it("has its constants, and its properties before anything happened", () => {
    const source = sourceOf();
    expect([
      RealityEventSource.CONNECTING,
      RealityEventSource.OPEN,
      RealityEventSource.CLOSED,
    ]).toEqual([0, 1, 2]);
    expect([source.CONNECTING, source.OPEN, source.CLOSED]).toEqual([0, 1, 2]);
    expect(source).toMatchObject({
      url: `${site.url}/events`,
      withCredentials: false,
      readyState: 0,
      lastEventId: "",
      onopen: null,
      onmessage: null,
      onerror: null,
    });
    expect(source).toBeInstanceOf(EventTarget);
  });

  it("opens, tells of the present body, and of each new one", async () => {
    const source = sourceOf();
    const log = logOf(source);
    await vi.waitFor(() => expect(log).toEqual(["open", "message:one"]));
    expect(source.readyState).toBe(RealityEventSource.OPEN);
    await change("/events", "two");
    await vi.waitFor(() => expect(log).toEqual(["open", "message:one", "message:two"]));
  });

  it("gives real MessageEvents, whose id is the version of the key", async () => {
    const source = sourceOf();
    const event = await new Promise<MessageEvent>((resolve) => {
      source.onmessage = resolve;
    });
    expect(event).toBeInstanceOf(MessageEvent);
    expect(event.target).toBe(source);
    expect(event.origin).toBe(site.url);
    expect(Number(event.lastEventId)).toBeGreaterThan(0);
    expect(source.lastEventId).toBe(event.lastEventId);
    const next = new Promise<MessageEvent>((resolve) => {
      source.onmessage = resolve;
    });
    await change("/events", "two");
    expect(Number((await next).lastEventId)).toBeGreaterThan(Number(event.lastEventId));
  });

  it("tells nothing where the body is the same as before", async () => {
    const log = logOf(sourceOf());
    await vi.waitFor(() => expect(log).toHaveLength(2));
    const before = site.count("GET /events");
    await site.reality.invalidate("/events");
    await vi.waitFor(() => expect(site.count("GET /events")).toBe(before + 1));
    await change("/events", "two");
    await vi.waitFor(() => expect(log).toEqual(["open", "message:one", "message:two"]));
  });

  it("calls the handler that was set last, and none after null", async () => {
    const source = sourceOf();
    const [first, second] = [vi.fn(), vi.fn()];
    source.onmessage = first;
    source.onmessage = second;
    await vi.waitFor(() => expect(second).toHaveBeenCalledOnce());
    expect(first).not.toHaveBeenCalled();
    source.onmessage = null;
    const log = logOf(source);
    await change("/events", "two");
    await vi.waitFor(() => expect(log).toEqual(["message:two"]));
    expect(second).toHaveBeenCalledOnce();
  });

  it("removes listeners", async () => {
    const source = sourceOf();
    const removed = vi.fn();
    source.addEventListener("message", removed);
    source.removeEventListener("message", removed);
    const log = logOf(source);
    await vi.waitFor(() => expect(log).toContain("message:one"));
    expect(removed).not.toHaveBeenCalled();
  });

  it("fires nothing once it is closed, and closes again without harm", async () => {
    const source = sourceOf();
    const log = logOf(source);
    await vi.waitFor(() => expect(log).toHaveLength(2));
    await vi.waitFor(() => expect(site.reality.stats().waiters).toBe(1));
    source.close();
    source.close();
    expect(source.readyState).toBe(RealityEventSource.CLOSED);
    await change("/events", "two");
    await vi.waitFor(() => expect(site.reality.stats().waiters).toBe(0));
    expect(log).toHaveLength(2);
    expect(site.count("GET /events")).toBe(1);
  });

  it("can be closed by a listener", async () => {
    site.serve("/events", "data: a\n\ndata: b\n\n", { type: "text/event-stream" });
    const source = sourceOf();
    const log = logOf(source);
    source.onmessage = () => source.close();
    await vi.waitFor(() => expect(log).toEqual(["open", "message:a"]));
    expect(source.readyState).toBe(RealityEventSource.CLOSED);
  });

  it("refuses what is no URL, and keys that are none", () => {
    expect(() => new RealityEventSource("http://", endpoint())).toThrow(TypeError);
    expect(() => sourceOf("/a:b:c:d:e:f:g:h:i")).toThrow(RealityError);
    expect(() => sourceOf("/events", { realityKey: "posts:*" })).toThrow(RealityError);
  });
});

describe("the request", () => {
  it("goes to the URL of the page, past caches, with cookies only where asked to", async () => {
    const calls: [unknown, RequestInit | undefined][] = [];
    const fetch: typeof site.fetch = (input, init) => {
      calls.push([input, init]);
      return site.fetch(input, init);
    };
    const source = new RealityEventSource("/events", {
      ...endpoint(),
      fetch,
      withCredentials: true,
    });
    open.push(source);
    expect(source.url).toBe("http://localhost:3000/events");
    expect(source.withCredentials).toBe(true);
    await vi.waitFor(() => expect(source.readyState).toBe(1));
    for (const [, init] of calls)
      expect(init).toMatchObject({ credentials: "include", cache: "no-store" });
    const [, init] = calls.find(([input]) => String(input).endsWith("/events")) ?? [];
    expect(init?.method ?? "GET").toBe("GET");
  });

  it("asks for the path as the key, without its query, unless another is given", async () => {
    const known = vi.spyOn(site.reality, "handleSync");
    site.serve("/caf%C3%A9?room=7", "");
    sourceOf("/café?room=7");
    sourceOf("/events", { realityKey: "posts" });
    const keys = () => new Set(known.mock.calls.flatMap(([{ known }]) => Object.keys(known)));
    await vi.waitFor(() => expect(keys()).toEqual(new Set(["/caf%C3%A9", "posts"])));
  });

  it("is live in the mode sse-compat", async () => {
    const asked = vi.spyOn(site.reality, "handleSync");
    sourceOf();
    await vi.waitFor(() => expect(site.reality.stats().waiters).toBe(1));
    expect(asked.mock.calls.at(-1)?.[0]).toMatchObject({ mode: "sse-compat" });
  });

  it.each(["/reality/sync", "/reality/sync/", "/reality", "/reality/"])(
    "takes %s as the endpoint",
    async (path) => {
      const source = sourceOf("/events", { realityEndpoint: site.url + path });
      await vi.waitFor(() => expect(source.readyState).toBe(1));
      expect(new Set(site.requests.map(({ line }) => line))).toEqual(
        new Set(["POST /reality/sync", "GET /events"]),
      );
    },
  );
});

describe("event streams", () => {
  const stream = { type: "text/event-stream; charset=utf-8" };

  it("come frame by frame, with their names and ids", async () => {
    site.serve(
      "/events",
      "id: 7\nevent: posts\ndata: a\ndata: b\n\ndata: c\n\n: only a comment\n\n",
      stream,
    );
    const source = sourceOf();
    const ids: string[] = [];
    source.addEventListener("posts", (event) => ids.push(event.lastEventId));
    const log = logOf(source, ["open", "posts", "message"]);
    await vi.waitFor(() => expect(log).toEqual(["open", "posts:a\nb", "message:c"]));
    expect(ids).toEqual(["7"]);
    expect(source.lastEventId).toBe("7");
  });

  it("are asked for from the last id on", async () => {
    site.serve("/events", "id: 7\ndata: a\n\n", stream);
    const log = logOf(sourceOf());
    await vi.waitFor(() => expect(log).toHaveLength(2));
    await change("/events", "id: 8\ndata: b\n\n", stream.type);
    await vi.waitFor(() => expect(log).toEqual(["open", "message:a", "message:b"]));
    const gets = site.requests.filter(({ line }) => line === "GET /events");
    expect(gets.map(({ headers }) => headers["last-event-id"])).toEqual([undefined, "7"]);
  });

  it("without names, and bodies, are named by `eventName`", async () => {
    const source = sourceOf("/events", { eventName: "posts" });
    const log = logOf(source, ["posts", "message"]);
    await vi.waitFor(() => expect(log).toEqual(["posts:one"]));
    await change("/events", "data: two\n\nevent: other\ndata: three\n\n", stream.type);
    await vi.waitFor(() => expect(log).toEqual(["posts:one", "posts:two"]));
  });
});

describe("faults", () => {
  it("end an outage of the server by themselves, and miss nothing (I1)", async () => {
    const source = sourceOf("/events", { maxRetries: 0, retryBaseDelay: 20 });
    const log = logOf(source);
    await vi.waitFor(() => expect(site.reality.stats().waiters).toBe(1));
    await site.stop();
    await vi.waitFor(() => expect(log).toEqual(["open", "message:one", "error"]));
    expect(source.readyState).toBe(RealityEventSource.CONNECTING);
    await change("/events", "two");
    await site.start();
    await vi.waitFor(() => expect(log.slice(-2)).toEqual(["open", "message:two"]), 5_000);
    expect(source.readyState).toBe(RealityEventSource.OPEN);
    expect(log.filter((each) => each.startsWith("message"))).toEqual([
      "message:one",
      "message:two",
    ]);
  });

  it("of the URL are errors, too, and it is asked again", async () => {
    site.serve("/events", "no", { status: 500 });
    const source = sourceOf("/events", { retryBaseDelay: 20 });
    const log = logOf(source);
    await vi.waitFor(() => expect(log).toContain("error"));
    expect(source.readyState).toBe(RealityEventSource.CONNECTING);
    site.serve("/events", "one");
    await vi.waitFor(() => expect(log.slice(-2)).toEqual(["open", "message:one"]));
  });
});

describe("with a client of the application", () => {
  let client: RealityClient;
  beforeEach(() => {
    client = new RealityClient({
      servers: `${site.url}/reality`,
      fetch: site.fetch,
      mode: "sse-compat",
    });
  });
  afterEach(() => client.destroy());

  it("asks through it: one held request for any number of sources", async () => {
    site.serve("/other", "other");
    const sources = ["/events", "/other"].map(
      (path) => new RealityEventSource(site.url + path, client),
    );
    open.push(...sources);
    const logs = sources.map((source) => logOf(source));
    await vi.waitFor(() =>
      expect(logs).toEqual([
        ["open", "message:one"],
        ["open", "message:other"],
      ]),
    );
    await vi.waitFor(() => expect(site.reality.stats().waiters).toBe(1));
    await change("/other", "another");
    await vi.waitFor(() => expect(logs[1]).toEqual(["open", "message:other", "message:another"]));
    expect(site.count("GET /events")).toBe(1);
  });

  it("keeps the data of other subscribers of the key apart", async () => {
    const seen: unknown[] = [];
    const options = { realityKey: "posts" };
    const source = new RealityEventSource(`${site.url}/events`, client, options);
    open.push(source);
    client.subscribe("posts", ({ data }) => seen.push(data), { fetcher: () => ({ posts: [] }) });
    const log = logOf(source);
    await vi.waitFor(() => expect(log).toEqual(["open", "message:one"]));
    await vi.waitFor(() => expect(seen.at(-1)).toEqual({ posts: [] }));
    site.serve("/events", "two");
    await site.reality.invalidate("posts");
    await vi.waitFor(() => expect(log.at(-1)).toBe("message:two"));
    expect(seen.at(-1)).toEqual({ posts: [] });
  });

  it("follows it through an outage, and misses nothing (I1)", async () => {
    const quick = { maxRetries: 0, retryBaseDelay: 20 };
    client.destroy();
    client = new RealityClient({
      servers: site.url,
      fetch: site.fetch,
      mode: "sse-compat",
      ...quick,
    });
    const source = new RealityEventSource(`${site.url}/events`, client, quick);
    open.push(source);
    const log = logOf(source);
    await vi.waitFor(() => expect(site.reality.stats().waiters).toBe(1));
    await vi.waitFor(() => expect(log).toHaveLength(2));
    await site.stop();
    await vi.waitFor(() => expect(source.readyState).toBe(0));
    await change("/events", "two");
    await site.start();
    await vi.waitFor(
      () => expect(log).toEqual(["open", "message:one", "error", "open", "message:two"]),
      5_000,
    );
  });

  it("fetches again when the server forgets everything", async () => {
    const source = new RealityEventSource(`${site.url}/events`, client);
    open.push(source);
    const log = logOf(source);
    await vi.waitFor(() => expect(log).toHaveLength(2));
    await vi.waitFor(() => expect(site.reality.stats().waiters).toBe(1));
    site.serve("/events", "two");
    const { reality } = site;
    site.reality = new (reality.constructor as new () => typeof reality)();
    reality.close();
    await vi.waitFor(() => expect(log.at(-1)).toBe("message:two"), 8_000);
  });

  it("lets go of it when closed", async () => {
    const source = new RealityEventSource(`${site.url}/events`, client);
    await vi.waitFor(() => expect(client.getStats().subscribers).toBe(1));
    source.close();
    await vi.waitFor(() => expect(client.getStats().subscribers).toBe(0));
  });
});

describe("functions", () => {
  it("make one source", async () => {
    const source = createEventSource(`${site.url}/events`, endpoint());
    open.push(source);
    expect(source).toBeInstanceOf(RealityEventSource);
    await vi.waitFor(() => expect(source.readyState).toBe(1));
  });

  it("make many that share defaults and one held request", async () => {
    const create = createEventSourceFactory({ ...endpoint(), eventName: "posts" });
    const first = create(`${site.url}/events`);
    const second = create(`${site.url}/events?page=2`, { eventName: "page" });
    open.push(first, second);
    site.serve("/events?page=2", "second");
    const logs = [logOf(first, ["posts", "page"]), logOf(second, ["posts", "page"])];
    await vi.waitFor(() => expect(logs).toEqual([["posts:one"], ["page:second"]]));
    await vi.waitFor(() => expect(site.reality.stats().waiters).toBe(1));
  });
});
