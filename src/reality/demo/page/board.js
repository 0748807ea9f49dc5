/** The board's page: shows what GET /api/posts gives, as fresh as Reality says it can be. */

import { createReality } from "/reality/client.js";

/** @typedef {{ id: number, author: string, text: string, postedAt: number }} Post */

const find = (selector, root = document) => root.querySelector(selector);
const [list, composer, refusal] = ["#posts", "#composer", "#refusal"].map((each) => find(each));
const WORDS = { loading: "connecting", error: "reconnecting" }; // everything else is live

const reality = createReality();
reality.subscribe("posts", show, { fetcher: (key, meta, { signal }) => getPosts(signal) });

async function getPosts(signal) {
  const response = await fetch("/api/posts", { signal });
  if (!response.ok) throw new Error(`GET /api/posts gave ${response.status}`);
  return response.json();
}

/** @type {Map<number, HTMLLIElement>} */
const shown = new Map();
let shownPosts;

function show({ data, meta, status }) {
  find("#connection").dataset.status = status;
  find("#status").textContent = WORDS[status] ?? "live";
  find("#version").textContent = meta && !WORDS[status] ? ` · version ${meta.version}` : "";
  if (data === undefined || data === shownPosts) return; // equal data is the same object
  showPosts(data, shownPosts !== undefined);
  shownPosts = data;
}

/** @param {Post[]} posts the newest first */
function showPosts(posts, isUpdate) {
  const ids = new Set(posts.map((post) => post.id));
  for (const [id, item] of shown) if (!ids.has(id)) item.remove(), shown.delete(id);
  let next = list.firstElementChild;
  for (const post of posts) {
    let item = shown.get(post.id);
    if (item === undefined) {
      item = itemOf(post);
      item.classList.toggle("arrived", isUpdate);
      shown.set(post.id, item);
      list.insertBefore(item, next);
    } else {
      next = item.nextElementSibling;
    }
  }
  find("#empty").hidden = posts.length > 0;
}

/** What people wrote becomes text, never markup. @param {Post} post */
function itemOf(post) {
  const item = find("#post").content.firstElementChild.cloneNode(true);
  find(".avatar", item).textContent = [...post.author][0].toUpperCase();
  find(".avatar", item).style.setProperty("--hue", String(hueOf(post.author)));
  find(".name", item).textContent = post.author;
  find(".said", item).textContent = post.text;
  const posted = new Date(post.postedAt);
  find("time", item).dateTime = posted.toISOString();
  find("time", item).title = posted.toLocaleString();
  find("time", item).textContent = posted.toLocaleTimeString([], { timeStyle: "short" });
  find(".delete", item).setAttribute("aria-label", `Delete the post of ${post.author}`);
  find(".delete", item).addEventListener("click", () => send("DELETE", `/api/posts/${post.id}`));
  return item;
}

/** A colour for a name: names that differ little get hues that differ much. */
function hueOf(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 65_521;
  return Math.round(sum * 137.5) % 360;
}

/** Whether it was done; if not, the page says why. The list changes when the server says so. */
async function send(method, path, data) {
  refusal.textContent = "";
  try {
    const headers = { "content-type": "application/json" };
    const response = await fetch(path, { method, headers, body: data && JSON.stringify(data) });
    if (response.ok) return true;
    refusal.textContent = (await response.json()).error;
  } catch {
    refusal.textContent = "The server cannot be reached. Try again in a moment.";
  }
  return false;
}

composer.elements.author.value = localStorage.getItem("author") ?? "";
composer.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { author, text } = composer.elements;
  localStorage.setItem("author", author.value);
  if (await send("POST", "/api/posts", { author: author.value, text: text.value })) text.value = "";
  text.focus();
});
composer.elements.text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  composer.requestSubmit();
});
