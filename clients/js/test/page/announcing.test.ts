// `reality:KEY` events on the body: for which keys, and when.
import { expect, it, vi } from "vitest";
import { heard, onPages, opened, passing, server, times } from "./support.ts";

onPages();

const htmx = (trigger: string) => `<p hx-get="/p" hx-trigger="${trigger}"></p>`;
const asks = () => Object.keys(server.requests.at(-1)?.known ?? {});

it("a key is announced at the beginning and when it changes, once for all that name it", async () => {
  const trigger = "click, reality:posts from:body";
  await opened(`${htmx(trigger)}<p data-hx-trigger="${trigger}"></p>`);
  expect(times("reality:posts")).toBe(1);
  const version = await server.touch("posts");
  await passing();
  expect(times("reality:posts")).toBe(2);
  expect(heard.at(-1)?.detail).toMatchObject({ key: "posts", meta: { version } });
  expect(heard.at(-1)?.bubbles).toBe(true);
});

it.each([
  ["reality:posts from:body", ["posts"]],
  ["load, reality:chat:room:7 from:body delay:1s,reality:a,click", ["chat:room:7", "a"]],
  ["reality:posts[detail.meta] from:body", ["posts"]],
  ["every 2s", []],
])("the keys of %j are named", async (trigger, keys) => {
  await opened(htmx(trigger));
  expect(server.requests.length ? asks() : []).toEqual(keys);
});

it("elements that come later count, and a key that nobody names any more is given up", async () => {
  const page = await opened("");
  document.body.innerHTML = htmx("reality:posts from:body");
  await passing();
  expect(times("reality:posts")).toBe(1);
  document.body.innerHTML = htmx("reality:posts from:body");
  await passing(6_000);
  expect([asks(), times("reality:posts")]).toEqual([["posts"], 1]);
  document.body.innerHTML = "";
  await passing();
  expect(page.client.getStats().subscribers).toBe(0);
});

it("an element that replaces itself when it is told does not go on forever", async () => {
  document.addEventListener("reality:posts", () => {
    document.body.innerHTML = "";
    setTimeout(() => {
      document.body.innerHTML = htmx("reality:posts from:body");
    }, 10_000);
  });
  await opened(htmx("reality:posts from:body"));
  await passing(60_000);
  expect(times("reality:posts")).toBe(1);
  await server.touch("posts");
  await passing(60_000);
  expect(times("reality:posts")).toBe(2);
});

it("a script can listen, and stop", async () => {
  const page = await opened("");
  const ends = [page.listen("posts"), page.listen("posts")];
  await passing();
  await server.touch("posts");
  await passing();
  expect(times("reality:posts")).toBe(2);
  ends[0]?.();
  ends[0]?.();
  await server.touch("posts");
  await passing();
  expect(times("reality:posts")).toBe(3);
  ends[1]?.();
  await server.touch("posts");
  await passing();
  expect(times("reality:posts")).toBe(3);
  expect(() => page.listen("chat:*")).toThrow(/no key/);
});

it("what the page was rendered with is not announced until it changes", async () => {
  await server.touch("posts");
  const answer = await server.handleSync({
    known: { posts: 0 },
    clientId: "renderer",
    mode: "native",
    hint: "mount",
  });
  const state = JSON.stringify({ cursor: answer.cursor, nodes: answer.changed });
  const rendered = `<script type="application/json" id="reality-state">${state}</script>`;
  await opened(htmx("reality:posts from:body") + rendered);
  expect(times("reality:posts")).toBe(0);
  await server.touch("posts");
  await passing();
  expect(times("reality:posts")).toBe(1);
});

it("events for htmx wait until it can be there", async () => {
  const readyState = vi.spyOn(document, "readyState", "get").mockReturnValue("interactive");
  await opened(htmx("reality:posts from:body"));
  document.dispatchEvent(new Event("DOMContentLoaded"));
  await passing();
  expect(times("reality:posts")).toBe(0);
  readyState.mockRestore();
  dispatchEvent(new Event("load"));
  expect(times("reality:posts")).toBe(1);
});
