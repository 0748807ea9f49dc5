// How new content gets into an element, and what it leaves alone.
import { expect, it, vi } from "vitest";
import { asked, element, last, onPages, opened, passing, server, times } from "./support.ts";

onPages();

function live(attributes = "", content = ""): string {
  return `<div id="live" data-reality="posts" data-src="/live" ${attributes}>${content}</div>`;
}

async function changed(html: string): Promise<void> {
  await server.touch("posts");
  await passing();
  last().answer(html);
  await passing();
}

it("scripts in the content are not executed", async () => {
  await opened(live());
  last().answer("<script>document.title = 'executed'</script><b>there</b>");
  await passing();
  expect(element("live").querySelector("b")?.textContent).toBe("there");
  expect(document.title).toBe("");
});

it("rows come into a table", async () => {
  await opened('<table><tbody id="live" data-reality="posts" data-src="/rows"></tbody></table>');
  last().answer("<tr><td>1</td></tr>");
  await passing();
  expect(element("live").innerHTML).toBe("<tr><td>1</td></tr>");
});

it("`outerHTML` puts the content in the element's place, which stays live and is not asked for again", async () => {
  await opened(`<p></p>${live('data-swap="outerHTML"')}`);
  for (const text of ["1", "2"]) {
    last().answer(live('data-swap="outerHTML"', text));
    await passing(1_000);
    expect(element("live").textContent).toBe(text);
    expect(element("live").parentElement).toBe(document.body);
    await server.touch("posts");
    await passing();
  }
  expect(asked.length).toBe(3);
});

it("`outerHTML` with nothing ends it", async () => {
  const page = await opened(live('data-swap="outerHTML"'));
  last().answer("");
  await passing();
  expect(page.client.getStats().subscribers).toBe(0);
});

it("`none` leaves showing it to whoever listens", async () => {
  await opened(live('data-swap="none"', "old"));
  const told: string[] = [];
  element("live").addEventListener("reality:swap", (event) =>
    told.push((event as CustomEvent).detail.html),
  );
  last().answer("new");
  await passing();
  expect([element("live").textContent, told]).toEqual(["old", ["new"]]);
});

it("equal content is not put in again", async () => {
  await opened(live());
  last().answer("<i>same</i>");
  await passing();
  const before = element("live").firstChild;
  await changed("<i>same</i>");
  expect(element("live").firstChild).toBe(before);
  expect(times("reality:swap")).toBe(1);
});

it("content waits while somebody edits a field of the element", async () => {
  await opened(live("", '<input id="text"><input id="other">'));
  const field = element("text") as HTMLInputElement;
  field.focus();
  field.value = "half a sen";
  last().answer('<input id="text"><b>new</b>');
  await passing(5_000);
  expect(element("text")).toBe(field);
  field.value = "";
  await passing(600);
  expect(element("text")).not.toBe(field);
  expect(element("live").querySelector("b")).not.toBeNull();
});

it("content that waits goes with its element", async () => {
  await opened(live("", "<textarea></textarea>"));
  const field = document.querySelector("textarea") as HTMLTextAreaElement;
  field.focus();
  field.value = "half a sen";
  last().answer("new");
  await passing();
  const gone = element("live");
  gone.remove();
  await passing(5_000);
  expect(gone.contains(field)).toBe(true);
});

it("the focus and the selection stay where they are", async () => {
  const form = '<input name="text" value="abc"><button id="send">Send</button>';
  await opened(live("", form));
  const field = document.querySelector("input") as HTMLInputElement;
  field.focus();
  field.setSelectionRange(1, 2);
  last().answer(`<b>1</b>${form}`);
  await passing();
  const after = document.activeElement as HTMLInputElement;
  expect([after.name, after.selectionStart, after.selectionEnd]).toEqual(["text", 1, 2]);
  expect(after).not.toBe(field);

  element("send").focus();
  await changed(`<b>2</b>${form}`);
  expect(document.activeElement).toBe(element("send"));
  await changed("<b>3</b>");
  expect(document.activeElement).toBe(document.body);
});

it("content that has its own element in it does not go on forever", async () => {
  const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
  await opened(live());
  last().answer(live("", "inner"));
  await passing(60_000);
  expect(asked.length).toBe(1);
  expect(warned).toHaveBeenCalledWith(expect.stringContaining('data-swap="outerHTML"'));
});

it("live elements in the content are live", async () => {
  await opened(live());
  last().answer('<p data-reality="inner" data-src="/inner"></p>');
  await passing(200);
  expect(asked.map(({ source }) => source)).toEqual(["/live", "/inner"]);
});

it("htmx is shown what is new", async () => {
  const process = vi.fn();
  vi.stubGlobal("htmx", { process });
  await opened(live());
  last().answer('<a hx-get="/more">more</a>');
  await passing();
  expect(process).toHaveBeenCalledWith(element("live"));
});
