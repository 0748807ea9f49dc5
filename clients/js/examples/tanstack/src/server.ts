// What answers every request: Reality what browsers ask it, TanStack Start all others. As a route of Start
// the first would do as well, but Start logs a failure for each page that is closed while its request is
// held.

import start, { createServerEntry } from "@tanstack/react-start/server-entry";
import { answer } from "./reality.server.ts";

const entry = createServerEntry({
  async fetch(request) {
    if (new URL(request.url).pathname !== "/reality/sync") return start.fetch(request);
    try {
      return await answer(request);
    } catch (error) {
      if (!request.signal.aborted) throw error;
      return new Response(null, { status: 204 }); // nobody reads it
    }
  },
});

export { entry as default };
