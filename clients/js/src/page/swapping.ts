// Putting new content into an element without taking away what somebody is doing there.

// How often it is looked whether somebody still edits.
const EDITED_MS = 500;

/**
 * Show new content in an element, as its `data-swap` says: `innerHTML` (the default), `outerHTML`, or
 * `none`: whoever listens to `reality:swap` shows it.
 *
 * While the focus is in the element and one of its fields has unsaved input, the content waits. The focus
 * stays in the field of the same id or name. Scripts in the content are not executed, as always where
 * markup is inserted.
 *
 * @returns the element, or the one that took its place; undefined if `isClosed` before.
 */
export async function swap(
  element: Element,
  html: string,
  isClosed: () => boolean,
): Promise<Element | undefined> {
  const manner = element.getAttribute("data-swap") ?? "innerHTML";
  if (manner === "none") return isClosed() ? undefined : element;
  while (!isClosed() && isEdited(element)) {
    await new Promise((resolve) => setTimeout(resolve, EDITED_MS));
  }
  if (isClosed()) return undefined;
  const restoreFocus = focusIn(element);
  let after: Element | undefined = element;
  if (manner === "outerHTML") after = replaced(element, html);
  else element.innerHTML = html;
  if (!after) return undefined;
  restoreFocus(after);
  (globalThis as { htmx?: { process?(root: Element): void } }).htmx?.process?.(after);
  return after;
}

/** Put content in the place of an element; the first element of it. */
function replaced(element: Element, html: string): Element | undefined {
  const [parent, previous] = [element.parentElement, element.previousElementSibling];
  element.insertAdjacentHTML("beforebegin", html);
  const after = previous ? previous.nextElementSibling : parent?.firstElementChild;
  element.remove();
  return after && after !== element ? after : undefined;
}

/** Whether somebody is in the element, and has changed a field of it. */
function isEdited(element: Element): boolean {
  const focused = document.activeElement as HTMLElement | null;
  if (!focused || !element.contains(focused)) return false;
  const fields = element.querySelectorAll<HTMLInputElement>("input,textarea");
  return focused.isContentEditable || [...fields].some(isChanged);
}

function isChanged({
  type,
  checked,
  defaultChecked,
  value,
  defaultValue,
}: HTMLInputElement): boolean {
  return /^(checkbox|radio)$/.test(type) ? checked !== defaultChecked : value !== defaultValue;
}

/** Remember where the focus is, if it is in the element; the function that puts it there again. */
function focusIn(element: Element): (root: Element) => void {
  const focused = document.activeElement as HTMLInputElement | null;
  if (!focused || !element.contains(focused)) return () => {};
  const { id, name, selectionStart, selectionEnd } = focused;
  return (root) => {
    const all = [
      root,
      ...root.querySelectorAll<HTMLInputElement>("[id],[name]"),
    ] as (typeof focused)[];
    const field = all.find((each) => (id ? each.id === id : name && each.name === name));
    if (!field || field === document.activeElement) return;
    field.focus({ preventScroll: true });
    // Only fields of text have a selection.
    if (typeof selectionStart === "number") field.setSelectionRange?.(selectionStart, selectionEnd);
  };
}
