// The server's side of Reality: embedded in this process, or with REALITY_URL, the Python server there.

import { createRealityTanStackAdapter, type TanStackRealityAdapter } from "reality-sync";
import { createEmbeddedRealityServer } from "reality-sync/embedded";

const { REALITY_URL, REALITY_TOKEN } = process.env;

interface Reality {
  /** For loaders and actions. */
  readonly adapter: TanStackRealityAdapter;
  /** Answers what browsers ask at /reality/sync. */
  readonly answer: (request: Request) => Promise<Response>;
}

export const { adapter, answer }: Reality = REALITY_URL ? elsewhere(REALITY_URL) : embedded();

function embedded(): Reality {
  const server = createEmbeddedRealityServer({ serverId: "ssr" });
  return {
    // Without a server it asks the one of this process.
    adapter: createRealityTanStackAdapter({ keys: ["posts"] }),
    answer: server.getFetchHandler("/reality"),
  };
}

function elsewhere(url: string): Reality {
  const ask = (body: string, signal?: AbortSignal) =>
    fetch(new URL("/reality/sync", url), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      ...(signal && { signal }),
    });
  return {
    adapter: createRealityTanStackAdapter({
      keys: ["posts"],
      syncHandler: async (request) => (await ask(JSON.stringify(request))).json(),
      // To invalidate takes a token, which browsers must not have.
      servers: url,
      token: REALITY_TOKEN,
    }),
    // A proxy in front of both servers does this better.
    async answer(request) {
      const { body, headers, status } = await ask(await request.text(), request.signal);
      const kept = ["cache-control", "content-type", "retry-after"].flatMap((name) => {
        const value = headers.get(name);
        return value === null ? [] : [[name, value] as [string, string]];
      });
      return new Response(body, { status, headers: kept });
    },
  };
}
