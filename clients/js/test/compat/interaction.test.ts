// Syncs on interaction.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { withInteractionSync } from "../../src/compat/index.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
});

afterEach(() => {
  vi.useRealTimers();
});

const click = (target: EventTarget) =>
  target.dispatchEvent(new Event("pointerdown", { bubbles: true }));

it("lets a client ask for everything, and an adapter for its own", () => {
  const client = { syncAll: vi.fn(async () => []) };
  const adapter = { sync: vi.fn(async () => {}) };
  const removers = [withInteractionSync(client), withInteractionSync(adapter)];
  click(document.body);
  expect(client.syncAll).toHaveBeenCalledWith("interaction");
  expect(adapter.sync).toHaveBeenCalledWith("interaction");
  for (const remove of removers) remove();
});

it("asks once within the throttle, and again after it", () => {
  const adapter = { sync: vi.fn(async () => {}) };
  const remove = withInteractionSync(adapter, { throttle: 500 });
  for (let index = 0; index < 9; index++) click(document.body);
  expect(adapter.sync).toHaveBeenCalledOnce();
  vi.advanceTimersByTime(499);
  click(document.body);
  expect(adapter.sync).toHaveBeenCalledOnce();
  vi.advanceTimersByTime(1);
  click(document.body);
  expect(adapter.sync).toHaveBeenCalledTimes(2);
  remove();
});

it("listens where and for what it is told, also to what does not bubble", () => {
  const adapter = { sync: vi.fn(async () => {}) };
  const target = document.body.appendChild(document.createElement("div"));
  const child = target.appendChild(document.createElement("input"));
  const remove = withInteractionSync(adapter, { target, events: ["focus"], throttle: 0 });
  click(child);
  expect(adapter.sync).not.toHaveBeenCalled();
  child.dispatchEvent(new Event("focus"));
  expect(adapter.sync).toHaveBeenCalledOnce();
  remove();
  target.remove();
});

it("ends with the remover, which may be called again", () => {
  const adapter = { sync: vi.fn(async () => {}) };
  const remove = withInteractionSync(adapter);
  remove();
  remove();
  click(document.body);
  expect(adapter.sync).not.toHaveBeenCalled();
});

it("goes on after a sync that failed", async () => {
  const adapter = { sync: vi.fn(() => Promise.reject(new Error("no server answered"))) };
  const remove = withInteractionSync(adapter, { throttle: 0 });
  click(document.body);
  click(document.body);
  expect(adapter.sync).toHaveBeenCalledTimes(2);
  await Promise.resolve(); // an unhandled rejection would fail this run
  remove();
});
