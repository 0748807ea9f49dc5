// Types of the replacements. Checked by the compiler, never run.
import { expectTypeOf } from "vitest";
import type { RealityClient } from "../../src/client/client.ts";
import type { RealityNodeMeta } from "../../src/client/types.ts";
import {
  createBatchPollingAdapter,
  createEventSource,
  createEventSourceFactory,
  createPollingAdapter,
  type PollingAdapter,
  RealityEventSource,
  withInteractionSync,
} from "../../src/compat/index.ts";

declare const client: RealityClient;
const realityEndpoint = "/reality/sync";

// It is an EventSource, and its class can be given to whoever wants that of EventSource.
const source = new RealityEventSource("/events", { realityEndpoint });
expectTypeOf(source).toExtend<EventSource>();
expectTypeOf(source).toExtend<EventTarget>();
expectTypeOf<typeof RealityEventSource>().toExtend<typeof EventSource>();
expectTypeOf(source.readyState).toEqualTypeOf<0 | 1 | 2>();
expectTypeOf<typeof RealityEventSource.OPEN>().toEqualTypeOf<1>();
expectTypeOf(source.lastEventId).toEqualTypeOf<string>();

// Handlers and listeners know their events, named ones too.
source.onmessage = (event) => expectTypeOf(event).toEqualTypeOf<MessageEvent>();
source.onerror = (event) => expectTypeOf(event).toEqualTypeOf<Event>();
source.onopen = null;
source.addEventListener("open", (event) => expectTypeOf(event).toEqualTypeOf<Event>());
source.addEventListener("posts", (event) => expectTypeOf(event).toEqualTypeOf<MessageEvent>());
// @ts-expect-error only the source changes its state
source.readyState = 2;
// @ts-expect-error as above
source.url = "";

// Both signatures.
new RealityEventSource(new URL("http://site/events"));
new RealityEventSource("/events", client);
new RealityEventSource("/events", client, { realityKey: "posts", eventName: "posts" });
new RealityEventSource("/events", { client, withCredentials: true, timeout: 5_000 });
// @ts-expect-error the mode is that of an EventSource
new RealityEventSource("/events", { realityEndpoint, mode: "native" });
// @ts-expect-error the servers are those of `realityEndpoint`
new RealityEventSource("/events", { servers: ["/reality"] });
// @ts-expect-error a key is one text
new RealityEventSource("/events", { realityKey: ["posts"] });

expectTypeOf(createEventSource("/events", { realityEndpoint })).toEqualTypeOf<RealityEventSource>();
const create = createEventSourceFactory({ realityEndpoint, withCredentials: true });
expectTypeOf(create("/events")).toEqualTypeOf<RealityEventSource>();
create("/events", { realityKey: "posts" });
// @ts-expect-error all sources of a factory have one endpoint
create("/events", { realityEndpoint });

// Polling adapters.
const common = { realityEndpoint, payloadEndpoint: "/api/posts", key: "posts" };
const adapter = createPollingAdapter<string[]>({
  ...common,
  interval: 2_000,
  onData: (data, meta) => {
    expectTypeOf(data).toEqualTypeOf<string[]>();
    expectTypeOf(meta).toEqualTypeOf<RealityNodeMeta | null>();
  },
  onError: (error) => expectTypeOf(error).toEqualTypeOf<Error>(),
  onSync: ({ changed }) => expectTypeOf(changed).toEqualTypeOf<number>(),
});
expectTypeOf(adapter).toEqualTypeOf<PollingAdapter>();
expectTypeOf(adapter.isRunning).toEqualTypeOf<boolean>();
expectTypeOf(adapter.sync("focus")).toEqualTypeOf<Promise<void>>();
createPollingAdapter({ ...common, onData: (data) => expectTypeOf(data).toEqualTypeOf<unknown>() });
// @ts-expect-error there is no such hint
void adapter.sync("whenever");
// @ts-expect-error where the data is has to be said
createPollingAdapter({ key: "posts", realityEndpoint });
createBatchPollingAdapter({
  payloadEndpoints: { posts: "/api/posts", users: new URL("http://site/users") },
  onData: (key) => expectTypeOf(key).toEqualTypeOf<string>(),
  onError: (_error, key) => expectTypeOf(key).toEqualTypeOf<string | undefined>(),
});

// Interaction.
expectTypeOf(withInteractionSync(client)).toEqualTypeOf<() => void>();
withInteractionSync(adapter, { target: new EventTarget(), events: ["click"], throttle: 100 });
// @ts-expect-error it has nothing to sync
withInteractionSync({});
