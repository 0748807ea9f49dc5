// A page as a whole: when it begins, what it takes over, and that it survives what is wrong.
import { expect, it, vi } from "vitest";
import { asked, last, onPages, opened, passing, server } from "./support.ts";

onPages();

const json = (id: string, text: string) =>
  `<script type="application/json" id="${id}">${text}</script>`;
const live = (key: string) => `<p data-reality="${key}" data-src="/${key}"></p>`;

it("a page with nothing live asks nothing", async () => {
  const page = await opened("<p>nothing</p>");
  await passing(60_000);
  expect(server.requests).toEqual([]);
  expect(page.client.getStats()).toMatchObject({ keys: 0 });
});

it("a page begins once its markup is there", async () => {
  vi.spyOn(document, "readyState", "get").mockReturnValue("loading");
  await opened(live("posts"));
  expect(asked.length).toBe(0);
  document.dispatchEvent(new Event("DOMContentLoaded"));
  dispatchEvent(new Event("load"));
  await passing();
  expect(asked.length).toBe(1);
});

it("options and state come from the markup", async () => {
  const options = json("reality-options", '{"clientId": "me", "wait": 7000}');
  await opened(
    live("posts") + options + json("reality-state", '{"nodes": {"posts": {"version": 5}}}'),
  );
  expect(server.requests[0]).toMatchObject({ clientId: "me", known: { posts: 5 }, cursor: "" });
  expect(server.requests[1]).toMatchObject({ wait: 7000 });
});

it("a malformed key, or state that is no JSON, spoils nothing else", async () => {
  const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
  await opened(live("fine chat:*") + live("posts") + json("reality-state", "<p>Please log in"));
  expect(asked.map(({ source }) => source)).toEqual(["/posts"]);
  expect(warned).toHaveBeenCalledTimes(2);
});

it("after a reset what is shown is asked for again within 2 s, not all at once (I1)", async () => {
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  const page = await opened(live("posts"));
  last().answer("first");
  await passing();
  server.isNewHere = true;
  await page.client.syncAll();
  await passing(900);
  expect(asked.length).toBe(1);
  await passing(200);
  expect(asked.length).toBe(2);
});

it("a destroyed page stops everything", async () => {
  const page = await opened(live("posts"));
  page.destroy();
  expect(last().signal.aborted).toBe(true);
  const before = server.requests.length;
  document.body.innerHTML = live("others");
  await passing(60_000);
  expect([server.requests.length, asked.length]).toEqual([before, 1]);
});
