// The body of an event stream that has ended, as frames (https://html.spec.whatwg.org, "Server-sent
// events"). Loaded with the first such body.

/** One event, as an `EventSource` dispatches it. */
export interface Frame {
  /** Empty if the frame has none. */
  readonly type: string;
  /** Undefined if the frame has none: it is no event, and only sets the id. */
  readonly data: string | undefined;
  /** Undefined if the frame has none: that of the frame before stays. */
  readonly id: string | undefined;
}

/**
 * The frames of a body, in its order. Of a frame that is not closed by an
 * empty line nothing is taken.
 *
 * `retry` is left out: a key is fetched again when it changed, not after a time.
 */
export function framesOf(body: string): Frame[] {
  const frames: Frame[] = [];
  let [type, data, id]: [string, string[], string | undefined] = ["", [], undefined];
  const lines = body.split(/\r\n|\n|\r/);
  lines.pop(); // what follows the last line break is no whole line
  for (const line of lines) {
    if (line === "") {
      frames.push({ type, data: data.length > 0 ? data.join("\n") : undefined, id });
      [type, data, id] = ["", [], undefined];
      continue;
    }
    const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === "event") type = value;
    else if (field === "data") data.push(value);
    else if (field === "id" && !value.includes("\0")) id = value;
  }
  return frames;
}
