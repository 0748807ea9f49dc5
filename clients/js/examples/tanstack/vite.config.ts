// Builds the example: dist/client for browsers, dist/server for Node.

import { fileURLToPath } from "node:url";
import { tanstackStart } from "@tanstack/react-start/plugin/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const SOURCE = fileURLToPath(new URL("../../src/", import.meta.url));

export default defineConfig({
  // What the plugin writes from the files in src/routes is not committed.
  plugins: [
    tanstackStart({ router: { generatedRouteTree: "../.tanstack/routeTree.gen.ts" } }),
    react(),
  ],
  resolve: {
    // The checkout that this example is in. An application installs the package instead.
    alias: [
      { find: /^reality-sync$/, replacement: `${SOURCE}index.ts` },
      { find: /^reality-sync\/(.*)$/, replacement: `${SOURCE}$1/index.ts` },
    ],
    // One React: the checkout has its own, for its tests.
    dedupe: ["react", "react-dom"],
  },
});
