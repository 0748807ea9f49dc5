// A server's state on its way into a page: as text that is safe inside <script>, and back.

import type { RealityState, SavedNode } from "../client/types.ts";
import { checkKey } from "../core/keys.ts";
import { isRecord, isVersion } from "../core/messages.ts";

/** The `id` of the element that holds the state, unless another is chosen. */
export const STATE_ID = "reality-state";

/**
 * A state as JSON that can stand inside <script>: nothing in it ends the element, or begins another.
 *
 * @throws TypeError the data of a key has no JSON form.
 */
export function serializeRealityState(state: RealityState): string {
  return JSON.stringify(state).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * The state that {@link serializeRealityState} was given. Members that it does not know are left out.
 *
 * @throws TypeError the text is something else; the message says what is wrong with it.
 */
export function deserializeRealityState(text: string): RealityState {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw strange("it is not JSON", cause);
  }
  if (!isRecord(value)) throw strange("it is not an object");
  const { cursor, nodes } = value;
  if (cursor !== undefined && typeof cursor !== "string") throw strange("`cursor` is not a text");
  if (!isRecord(nodes)) throw strange("`nodes` is not an object");
  const read = Object.entries(nodes).map(([key, node]) => [key, readNode(key, node)]);
  return { ...(cursor !== undefined && { cursor }), nodes: Object.fromEntries(read) };
}

function readNode(key: string, value: unknown): SavedNode {
  try {
    checkKey(key);
  } catch (cause) {
    throw strange((cause as Error).message, cause);
  }
  const place = `nodes[${JSON.stringify(key.slice(0, 64))}]`;
  if (!isRecord(value)) throw strange(`\`${place}\` is not an object`);
  const node: Record<string, unknown> = {};
  for (const [name, [isRight, wanted]] of MEMBERS) {
    const member = value[name];
    if (member === undefined && name !== "version") continue;
    if (!isRight(member)) throw strange(`\`${place}.${name}\` is not ${wanted}`);
    node[name] = member;
  }
  return node as unknown as SavedNode;
}

const isFlag = (value: unknown) => typeof value === "boolean";

const MEMBERS: ReadonlyMap<keyof SavedNode, readonly [(value: unknown) => boolean, string]> =
  new Map([
    ["version", [isVersion, "a whole number from 0"]],
    ["hash", [(value: unknown) => typeof value === "string", "a text"]],
    ["updatedAt", [Number.isFinite, "a number"]],
    ["deleted", [isFlag, "true or false"]],
    ["isStale", [isFlag, "true or false"]],
    ["data", [() => true, "anything"]],
  ]);

function strange(problem: string, cause?: unknown): TypeError {
  const text = `this is not a state of Reality: ${problem}; pass what serializeRealityState gave`;
  return new TypeError(text, { cause });
}
