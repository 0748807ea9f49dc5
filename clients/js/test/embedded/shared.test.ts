// The server that a process shares.
import { afterEach, expect, it } from "vitest";
import {
  createEmbeddedRealityServer,
  EmbeddedRealityServer,
  sharedEmbeddedServer,
} from "../../src/embedded/index.ts";

const place = globalThis as Record<symbol, unknown>;
const SHARED = Symbol.for("reality-sync.embedded");

afterEach(() => {
  (place[SHARED] as EmbeddedRealityServer | undefined)?.close();
});

it("is the first one created, until it is closed", () => {
  const first = createEmbeddedRealityServer({ serverId: "first" });
  const second = createEmbeddedRealityServer({ serverId: "second" });
  expect(place[SHARED]).toBe(first);
  second.close();
  expect(sharedEmbeddedServer()).toBe(first);
  first.close();
  expect(place[SHARED]).toBeUndefined();
  expect(createEmbeddedRealityServer({ serverId: "first" })).not.toBe(first);
});

it("is created where there is none", () => {
  const server = sharedEmbeddedServer();
  expect(server.serverId).toBe("embedded");
  expect(sharedEmbeddedServer()).toBe(server);
});

it("is the same for a module that is evaluated twice", async () => {
  const first = createEmbeddedRealityServer({ serverId: "ssr" });
  const second = createEmbeddedRealityServer({ serverId: "ssr" });
  expect(second).toBe(first);
});

it("is never one that was made with `new`", () => {
  new EmbeddedRealityServer({ serverId: "alone" });
  expect(place[SHARED]).toBeUndefined();
});
