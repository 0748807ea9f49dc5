// When servers are asked, and for what: hints, live modes, visibility, focus, reconnection.
import { describe, expect, it, vi } from "vitest";
import {
  inVirtualTime,
  newClient,
  passing,
  Room,
  Script,
  Server,
  Source,
  settled,
  unreachable,
} from "./support.ts";

inVirtualTime();

const MINUTE = 60_000;

describe("a live client", () => {
  it("holds one request, is told at once, and is otherwise silent (I2)", async () => {
    const { server, source, client } = await settled();
    expect(server.underWay).toBe(1);
    const asked = server.requests.length;
    await passing(10 * MINUTE);
    expect(server.requests.length - asked).toBeLessThanOrEqual(10 * 3);
    expect(server.requests.at(-1)).toMatchObject({ hint: "idle", wait: 25_000, mode: "native" });
    expect(source.calls).toBe(1);
    source.data = "second";
    await server.invalidate("posts");
    await passing(5);
    expect(client.getState("posts")?.data).toBe("second");
  });

  it("asks for the keys of one step of the program together", async () => {
    const server = new Server();
    const client = newClient({ transport: server });
    for (const key of ["a", "b", "c"]) client.subscribe(key, () => {});
    await passing(10);
    expect(server.requests.map(({ known }) => Object.keys(known))).toEqual([
      ["a", "b", "c"],
      ["a", "b", "c"],
    ]);
    expect(server.requests[0]).toMatchObject({ hint: "mount", known: { a: 0 } });
    expect(server.requests[0]?.cursor).toBeUndefined();
  });

  it("gives up the held request for a new key, and asks for all (I1)", async () => {
    const { server, client } = await settled();
    client.subscribe("users", () => {});
    await passing(10);
    expect(server.underWay).toBe(1);
    expect(Object.keys(server.requests.at(-1)?.known ?? {})).toEqual(["posts", "users"]);
  });

  it("sends the wait it is told", async () => {
    const { server } = await settled({ wait: 7_000 });
    expect(server.requests.at(-1)?.wait).toBe(7_000);
  });

  it("that may not wait does not ask in a loop", async () => {
    const script = new Script();
    const client = newClient({ transport: script, wait: 0 });
    client.subscribe("posts", () => {});
    for (let times = 0; times < 200; times += 1) {
      script.last?.answer();
      await passing(10);
    }
    expect(script.questions.length).toBeLessThan(20);
  });
});

describe("a polling client", () => {
  it.each([
    ["live", { live: "poll", interval: 1_000 }],
    ["mode", { mode: "polling-compat", interval: 1_000 }],
  ] as const)("asks every interval and holds nothing, by %s", async (_, options) => {
    const { server, source, client } = await settled(options);
    const asked = server.requests.length;
    await passing(10_000);
    expect(server.requests.length - asked).toBe(10);
    expect(server.requests.every((each) => !each.wait)).toBe(true);
    source.data = "second";
    await server.invalidate("posts");
    await passing(1_000);
    expect(client.getState("posts")?.data).toBe("second");
  });

  it("does so every 5 s by default", async () => {
    const { server } = await settled({ live: "poll" });
    const asked = server.requests.length;
    await passing(MINUTE);
    expect(server.requests.length - asked).toBe(12);
  });
});

describe("a client that is not live", () => {
  it("asks on hints only", async () => {
    const { server, source, client, room } = await settled({ live: false });
    await server.invalidate("posts");
    source.data = "second";
    await passing(10 * MINUTE);
    expect(server.requests).toHaveLength(1);
    room.focus();
    await passing(10);
    expect(server.requests.at(-1)?.hint).toBe("focus");
    expect(client.getState("posts")?.data).toBe("second");
    await passing(10 * MINUTE);
    expect(server.requests).toHaveLength(2);
  });

  it("goes on trying where that failed", async () => {
    const server = new Server();
    const client = newClient({ transport: server, live: false });
    server.failure = unreachable();
    client.subscribe("posts", () => {}, new Source("data"));
    await passing(1_000);
    expect(client.getState("posts")).toMatchObject({ data: "data", status: "error" });
    server.failure = undefined;
    await passing(30_000);
    expect(client.getState("posts")).toMatchObject({ status: "idle", error: null });
    const asked = server.requests.length;
    await passing(MINUTE);
    expect(server.requests).toHaveLength(asked);
  });

  it("does not begin to poll because answers have Retry-After", async () => {
    const script = new Script();
    const client = newClient({ transport: script, live: false });
    client.subscribe("posts", () => {});
    for (let times = 0; times < 20; times += 1) {
      await passing(1_000);
      script.last.answer({}, { retryAfterMs: 500 });
    }
    expect(script.questions).toHaveLength(1);
  });
});

describe("a page that is hidden", () => {
  it("releases its request, and asks before it holds again when it is seen", async () => {
    const { server, room, source, client } = await settled();
    room.hide();
    await passing(10);
    expect(server.underWay).toBe(0);
    const asked = server.requests.length;
    await server.invalidate("posts");
    source.data = "second";
    await passing(10 * MINUTE);
    expect(server.requests).toHaveLength(asked);
    room.show();
    await passing(10);
    expect(server.requests[asked]).toMatchObject({ hint: "focus" });
    expect(server.requests[asked]?.wait ?? 0).toBe(0);
    expect(client.getState("posts")?.data).toBe("second");
    expect(server.underWay).toBe(1);
  });

  it("asks for what is new in it, and holds nothing", async () => {
    const { server, room, client } = await settled();
    room.hide();
    client.subscribe("users", () => {}, new Source("u"));
    await passing(MINUTE);
    expect(client.getState("users")).toMatchObject({ data: "u", status: "idle" });
    expect(server.underWay).toBe(0);
  });

  it("goes on holding in the mode sse-compat", async () => {
    const { server, room, source, client } = await settled({ mode: "sse-compat" });
    room.hide();
    await passing(10);
    expect(server.underWay).toBe(1);
    source.data = "second";
    await server.invalidate("posts");
    await passing(10);
    expect(client.getState("posts")?.data).toBe("second");
    expect(server.requests.at(-1)?.mode).toBe("sse-compat");
  });
});

describe("focus and reconnection", () => {
  it("ask again, and no more than once in 5 s", async () => {
    const { server, room } = await settled({ live: false });
    for (let times = 0; times < 10; times += 1) {
      room.focus();
      await passing(1_000);
    }
    expect(server.requests).toHaveLength(1 + 2);
  });

  it("ask on reconnection although the page was just focused", async () => {
    const { server, room, client } = await settled();
    server.failure = unreachable();
    await client.syncAll().catch(() => {});
    await server.invalidate("posts");
    await passing(5 * MINUTE); // pauses have grown
    room.focus();
    await passing(100);
    server.failure = undefined;
    room.online();
    await passing(100);
    expect(server.requests.map((each) => each.hint)).toContain("reconnect");
    expect(client.getState("posts")).toMatchObject({ status: "idle", error: null });
  });

  it.each([
    ["refetchOnFocus", "focus"],
    ["refetchOnReconnect", "online"],
  ] as const)("do not ask for those that do not want it: %s", async (name, signal) => {
    const server = new Server();
    const room = new Room();
    const client = newClient({ transport: server, environment: room, live: false });
    client.subscribe("posts", () => {}, { [name]: false });
    await passing(200);
    room[signal]();
    await passing(10_000);
    expect(server.requests).toHaveLength(1);
    client.subscribe("posts", () => {});
    room[signal]();
    await passing(10);
    expect(server.requests).toHaveLength(2);
  });

  it("leave alone what was asked for within staleTime", async () => {
    const server = new Server();
    const room = new Room();
    const client = newClient({ transport: server, environment: room, live: false });
    client.subscribe("posts", () => {}, { staleTime: 20_000 });
    await passing(10_000);
    room.focus();
    await passing(100);
    expect(server.requests).toHaveLength(1);
    await passing(12_000);
    room.focus();
    await passing(100);
    expect(server.requests).toHaveLength(2);
  });

  it.each([-86_400_000, 86_400_000])(
    "ask again as before when the clock has jumped by %i ms",
    async (jumpMs) => {
      const { server, room } = await settled({ live: false });
      vi.setSystemTime(Date.now() + jumpMs);
      await passing(10_000);
      room.focus();
      await passing(100);
      expect(server.requests).toHaveLength(2);
    },
  );
});
