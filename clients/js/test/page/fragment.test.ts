// Live elements: when their content is asked for, and what becomes of it.
import { expect, it } from "vitest";
import { asked, element, heard, last, onPages, opened, passing, server, times } from "./support.ts";

onPages();

const POSTS = '<ul id="posts" data-reality="posts" data-src="/fragments/posts">old</ul>';

it("a live element asks once at the beginning, and once for each change", async () => {
  await opened(POSTS);
  expect(asked.map(({ source }) => source)).toEqual(["/fragments/posts"]);
  last().answer("<li>1</li>");
  await passing();
  expect(element("posts").innerHTML).toBe("<li>1</li>");

  await server.invalidate(["posts", "others"]);
  await passing();
  expect(asked.length).toBe(2);
  last().answer("<li>2</li>");
  await passing(60_000);
  expect(element("posts").innerHTML).toBe("<li>2</li>");
  expect(asked.length).toBe(2);
});

it("a change while content is on its way is asked for again afterwards (I1)", async () => {
  await opened(POSTS);
  await server.touch("posts");
  await passing();
  expect(asked.length).toBe(1);
  last().answer("older");
  await passing();
  expect(element("posts").textContent).toBe("older");
  expect(asked.length).toBe(2);
  last().answer("newer");
  await passing(60_000);
  expect(element("posts").textContent).toBe("newer");
  expect(asked.length).toBe(2);
});

it("an element of several keys asks once when several change", async () => {
  await opened('<p id="p" data-reality=" posts\nusers:7 " data-src="/p"></p>');
  expect(Object.keys(server.requests.at(-1)?.known ?? {})).toEqual(["posts", "users:7"]);
  expect(asked.length).toBe(1);
  last().answer("1");
  await passing();
  await server.invalidate(["posts", "users:7"]);
  await passing();
  expect(asked.length).toBe(2);
});

it("content that cannot be had leaves the old content, and is asked for again", async () => {
  await opened(POSTS);
  last().answer("no", 500);
  await passing(200);
  expect(asked.length).toBe(2);
  expect(element("posts").textContent).toBe("old");
  expect(heard.at(-1)?.detail.error.message).toBe("GET /fragments/posts gave 500");
  for (let failures = 0; failures < 8; failures += 1) {
    last().answer("no", 500);
    await passing(30_000);
  }
  expect(asked.length).toBe(10);
  last().answer("new");
  await passing();
  expect(element("posts").textContent).toBe("new");
});

it("a request that takes too long is given up and repeated", async () => {
  await opened(POSTS);
  await passing(60_500);
  expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, false]);
});

it("an element that goes takes its request with it, and its key is asked for no more", async () => {
  const page = await opened(`${POSTS}<p data-reality="others"></p>`);
  element("posts").remove();
  await passing();
  expect(last().signal.aborted).toBe(true);
  expect(times("reality:error")).toBe(0);
  await passing(6_000);
  expect(page.client.getStats().subscribers).toBe(1);
});

it("an element that only moves in the page is not asked for again", async () => {
  await opened(`${POSTS}<div id="elsewhere"></div>`);
  last().answer("new");
  await passing();
  element("elsewhere").append(element("posts"));
  await passing(1_000);
  expect(asked.length).toBe(1);
});

it("an element without a source is only told, and may ask for what it likes", async () => {
  await opened('<p id="p" data-reality="posts"></p>');
  await server.touch("posts");
  await passing();
  expect([asked.length, times("reality:change")]).toEqual([0, 2]);
  expect(heard.at(-1)?.target).toBe(element("p"));
  expect(heard.at(-1)?.detail).toMatchObject({ key: "posts", meta: { key: "posts" } });
});

it("preventDefault on `reality:change` keeps the content from being asked for", async () => {
  document.addEventListener("reality:change", (event) => event.preventDefault(), { once: true });
  await opened(POSTS);
  expect(asked.length).toBe(0);
  await server.touch("posts");
  await passing();
  expect(asked.length).toBe(1);
});

it("an element that was rendered at the present version is not asked for", async () => {
  const version = await server.touch("posts");
  await opened(POSTS.replace(">", ` data-reality-version="${version}">`));
  await passing(60_000);
  expect(asked.length).toBe(0);
  await server.touch("posts");
  await passing();
  expect(asked.length).toBe(1);
});

it("an element that was rendered at an older version is asked for", async () => {
  const version = await server.touch("posts");
  await server.touch("posts");
  await opened(POSTS.replace(">", ` data-reality-version="${version}">`));
  expect(asked.length).toBe(1);
});

it("content comes although the server of Reality does not, and again once it does", async () => {
  server.isReachable = false;
  await opened(POSTS);
  await passing(150);
  expect(asked.length).toBe(1);
  last().answer("first");
  await passing(5_000);
  server.isReachable = true;
  await passing(60_000);
  expect(asked.length).toBe(2);
});

it("an element that becomes live, or changes its source, is noticed", async () => {
  await opened('<p id="p"></p>');
  expect(server.requests).toEqual([]);
  element("p").setAttribute("data-src", "/a");
  element("p").setAttribute("data-reality", "posts");
  await passing();
  element("p").setAttribute("data-src", "/b");
  await passing();
  expect(asked.map(({ source }) => source)).toEqual(["/a", "/b"]);
  expect(asked[0]?.signal.aborted).toBe(true);
  element("p").removeAttribute("data-reality");
  await passing();
  expect(last().signal.aborted).toBe(true);
});
