// The router that TanStack Start asks for, on the server and in the browser.

import { createRouter } from "@tanstack/react-router";
import { routeTree } from "../.tanstack/routeTree.gen.ts";

/** A router for one request, or for one page. */
export function getRouter() {
  return createRouter({ routeTree });
}
