// What a client sends and fetches, against `conformance/vectors/client.json`.
import { expect, it } from "vitest";
import { cases, type Vector } from "../vectors.ts";
import { inVirtualTime, newClient, passing, Script, Source } from "./support.ts";

inVirtualTime();

it.each(cases("client", "conversations"))("$says (I1)", async ({ data, exchanges }) => {
  const script = new Script();
  const sources = new Map(
    Object.entries(data as Vector).map(([key, each]) => [key, new Source(each)]),
  );
  const keys = [...sources.keys()];
  const client = newClient({ transport: script, live: false });
  const isFresh = (key: string) => client.getState(key)?.status === "idle";
  const calls = () => new Map(keys.map((key) => [key, sources.get(key)?.calls]));
  for (const [key, { fetcher }] of sources) client.subscribe(key, () => {}, { fetcher });
  await passing(0);
  for (const [number, exchange] of (exchanges as Vector[]).entries()) {
    const before = calls();
    const isFirst = number === 0;
    const asking = isFirst ? undefined : client.syncKeys(exchange.keys ?? keys);
    await passing(0);
    const { request, answer } = script.last;
    const { changed, ...rest } = exchange.answer;
    answer(changed, rest);
    await asking;
    // Taken in with the answer: a fetch that is due shows at once, one that is skipped never.
    if (!isFirst) expect(keys.filter((key) => !isFresh(key))).toEqual(exchange.fetched);
    await passing(2_000);
    const after = calls();
    expect(keys.filter((key) => after.get(key) !== before.get(key))).toEqual(exchange.fetched);
    expect(keys.filter((key) => !isFresh(key))).toEqual([]);
    expect(request.known).toEqual(exchange.known);
    expect(request.cursor ?? null).toBe(exchange.cursor);
  }
  expect(script.questions).toHaveLength(exchanges.length);
});
