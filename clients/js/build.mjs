// Builds what is published and what is measured:
//   dist/       ES modules with source maps and declarations, one entry for each of package.json's
//   dist/size/  what a page loads in the cases that .size-limit.json limits; not published
//   browser/    the bundle for plain pages, which the Python package serves and which is committed
// With --check nothing committed is written: it fails if the committed bundle is not the present one.
import { execFile } from "node:child_process";
import { copyFile, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build, transform } from "esbuild";
import { build as bundle } from "vite";

const HERE = dirname(fileURLToPath(import.meta.url));
const DIST = join(HERE, "dist");
const ENTRIES = ["index", "react/index", "compat/index", "ssr/index", "embedded/index"];
const PAGE_ENTRY = join(HERE, "src/page/client.ts");
const PAGE_FOLDER = resolve(HERE, "../../src/reality/http/browser");
const PAGE_BANNER =
  "// Reality's client for plain pages, built from clients/js/src/page/client.ts;" +
  " to build it again: `npm run build` in clients/js.";
// What a page asks for that makes a client and uses nothing else.
const CORE = 'export { createReality } from "./src/index.ts";';

/** @type {import("esbuild").BuildOptions} */
const EVERY = {
  absWorkingDir: HERE,
  bundle: true,
  charset: "utf8",
  external: ["react"],
  format: "esm",
  logLevel: "warning",
  platform: "neutral",
  target: "es2022",
};

/** The entries as ES modules, with chunks for what they share and for what is loaded when needed. */
async function buildModules() {
  await build({
    ...EVERY,
    chunkNames: "chunks/[name]-[hash]",
    entryPoints: ENTRIES.map((entry) => `src/${entry}.ts`),
    outbase: "src",
    outdir: DIST,
    sourcemap: true,
    splitting: true,
  });
}

/** The declarations of every module; this is also where src is checked without Node's types. */
async function buildDeclarations() {
  const tsc = join(HERE, "node_modules/typescript/bin/tsc");
  await promisify(execFile)(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: HERE });
  for (const name of await readdir(DIST, { recursive: true })) {
    if (!name.endsWith(".d.ts")) continue;
    // tsc rewrites `./keys.ts` to `./keys.js` in what it emits, except in declarations.
    const text = await readFile(join(DIST, name), "utf8");
    const rewritten = text.replace(/((?:from|import\()\s*"\.\.?\/[^"]*)\.tsx?"/g, '$1.js"');
    if (rewritten !== text) await writeFile(join(DIST, name), rewritten);
  }
}

/**
 * The bundle for plain pages: client.js, and a chunk for each thing that is loaded when it is needed; minified,
 * the same bytes for the same sources. Rollup, by Vite, keeps what chunks share with client.js there, so that
 * a page loads one file before it works.
 *
 * @returns {Promise<Map<string, string>>} texts by the names of files
 */
async function pageFiles() {
  const built = await bundle({
    build: {
      lib: { entry: PAGE_ENTRY, formats: ["es"] },
      minify: false,
      rollupOptions: {
        preserveEntrySignatures: "allow-extension",
        output: { entryFileNames: "client.js", chunkFileNames: "client-[name]-[hash].js" },
      },
      target: "es2022",
      write: false,
    },
    configFile: false,
    logLevel: "warn",
    root: HERE,
  });
  const files = new Map();
  for (const each of [built].flat().flatMap((one) => ("output" in one ? one.output : []))) {
    if (each.type !== "chunk") continue;
    const { code } = await transform(each.code, {
      charset: "utf8",
      format: "esm",
      minify: true,
      target: "es2022",
    });
    files.set(each.fileName, `${PAGE_BANNER}\n${code}`);
  }
  return files;
}

/**
 * Writes the bundle for plain pages, or only compares it with the committed one.
 *
 * @param {boolean} checking
 */
async function buildPage(checking) {
  const files = await pageFiles();
  const there = (await readdir(PAGE_FOLDER)).filter((name) => /^client(-.*)?\.js$/.test(name));
  for (const name of new Set([...files.keys(), ...there])) {
    const path = join(PAGE_FOLDER, name);
    const committed = there.includes(name) ? await readFile(path, "utf8") : undefined;
    const text = files.get(name);
    if (text === committed) continue;
    if (checking) {
      throw new Error(
        `src/reality/http/browser/${name} is not what clients/js/src builds:` +
          " run `npm run build` in clients/js and commit the folder",
      );
    }
    if (text === undefined) await rm(path);
    else await writeFile(path, text);
  }
}

/**
 * Leaves out of a bundle what is loaded when needed, and the given modules.
 *
 * @param {ReadonlySet<string>} loaded absolute paths of modules that the page has already
 * @returns {import("esbuild").Plugin}
 */
function leavingOut(loaded) {
  return {
    name: "leaving-out",
    setup({ onResolve }) {
      onResolve({ filter: /^\./ }, ({ kind, path, resolveDir }) => {
        if (kind === "dynamic-import") return { external: true, path };
        const there = loaded.has(resolve(resolveDir, path));
        return there ? { external: true, path: "reality-sync" } : undefined;
      });
    },
  };
}

/**
 * Writes dist/size/NAME.js, what a page loads at once for some statements.
 *
 * @param {string} name
 * @param {string} contents
 * @param {ReadonlySet<string>} loaded
 * @returns {Promise<Set<string>>} absolute paths of the modules that are in it
 */
async function measure(name, contents, loaded = new Set()) {
  const built = await build({
    ...EVERY,
    metafile: true,
    minify: true,
    outfile: join(DIST, "size", `${name}.js`),
    plugins: [leavingOut(loaded)],
    stdin: { contents, resolveDir: HERE, sourcefile: `${name}.js` },
  });
  const inputs = Object.values(built.metafile.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs),
  );
  // A module that gave nothing to the bundle is not loaded with it.
  return new Set(
    inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([path]) => join(HERE, path)),
  );
}

/** The cases of .size-limit.json. */
async function buildSizes() {
  const core = await measure("core", CORE);
  for (const part of ["react", "compat"]) {
    const entry = `export * from "./src/${part}/index.ts";`;
    await measure(part, entry, core);
    // Also counts what of the core's own modules only this part uses.
    await measure(`core-and-${part}`, CORE + entry);
  }
  await measure("tabs", 'export * from "./src/tabs/tabs.ts";', core);
  await measure("later", 'export * from "./src/client/later.ts";', core);
}

try {
  await rm(DIST, { force: true, recursive: true });
  await Promise.all([buildModules(), buildDeclarations(), buildSizes()]);
  await copyFile(resolve(HERE, "../../LICENSE"), join(DIST, "LICENSE"));
  await buildPage(process.argv.includes("--check"));
} catch (error) {
  const { message, stdout } = /** @type {Error & { stdout?: string }} */ (error);
  // The compiler says on its standard output what is wrong.
  console.error(stdout || message);
  process.exitCode = 1;
}
