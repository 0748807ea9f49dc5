// How Vite builds the example. In an application of its own, `npm install reality-sync` takes the place
// of the aliases; here the package is the one of this checkout.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const sources = fileURLToPath(new URL("../../src", import.meta.url));
const python = "http://127.0.0.1:8000";

/** "use client" is for frameworks that also render on servers; a page needs no word about it. */
function isAboutDirectives(code: string | undefined): boolean {
  return code === "MODULE_LEVEL_DIRECTIVE" || code === "SOURCEMAP_ERROR";
}

export default defineConfig({
  resolve: {
    alias: [
      { find: /^reality-sync$/, replacement: `${sources}/index.ts` },
      { find: /^reality-sync\/react$/, replacement: `${sources}/react/index.ts` },
    ],
  },
  build: {
    rollupOptions: {
      onwarn: (warning, warn) => isAboutDirectives(warning.code) || warn(warning),
    },
  },
  // `npm run dev` serves the page, and leaves the rest to the Python server.
  server: { proxy: { "/api": python, "/reality": python } },
});
