// What `npm test` runs. Most tests need no page; those of React, of the replacements for EventSource
// and of plain pages have jsdom's.
import { defineConfig } from "vitest/config";

const everything = ["test/**/*.test.{ts,tsx}"];
const onPages = ["react", "compat", "page"].map((part) => `test/${part}/**/*.test.{ts,tsx}`);

export default defineConfig({
  test: {
    retry: 0,
    testTimeout: 10_000,
    hookTimeout: 10_000,
    projects: [
      {
        extends: true,
        test: { name: "node", environment: "node", include: everything, exclude: onPages },
      },
      {
        extends: true,
        test: {
          name: "page",
          environment: "jsdom",
          include: onPages,
          setupFiles: "test/page.ts",
          // Testing Library unmounts after each test if it finds vitest's functions by their names.
          globals: true,
        },
      },
    ],
  },
});
