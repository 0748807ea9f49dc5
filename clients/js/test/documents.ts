// The programs in the documents: found, type-checked as one application would be, and run.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import * as jsxRuntime from "react/jsx-runtime";
import ts from "typescript";
import * as compat from "../src/compat/index.ts";
import * as embedded from "../src/embedded/index.ts";
import * as root from "../src/index.ts";
import * as react from "../src/react/index.ts";
import * as ssr from "../src/ssr/index.ts";

const HERE = resolve(import.meta.dirname, "..");
const FENCE = /^```(\w*)\n(.*?)^```$/gms;
/** Which documents have programs, relative to this package. */
const DOCUMENTS = ["../../README.md", "../../docs/javascript.md", "README.md"];

/** One program, and the name that its first line gives it. */
export interface Program {
  readonly name: string;
  readonly text: string;
}

export function read(path: string): string {
  return readFileSync(resolve(HERE, path), "utf8");
}

/** All programs of the documents. */
export function programs(): Program[] {
  return DOCUMENTS.flatMap((path) =>
    [...read(path).matchAll(FENCE)].flatMap(([, language = "", text = ""]) => {
      if (language !== "ts" && language !== "tsx") return [];
      const name = /^\/\/ (\S+\.tsx?)\n/.exec(text)?.[1];
      if (!name?.endsWith(`.${language}`)) throw new Error(`${path}: no name in ${text}`);
      return [{ name, text }];
    }),
  );
}

// As React Native declares it, as far as programs here use it.
const REACT_NATIVE = `
  declare module "react-native" {
    type AppStateStatus = "active" | "background" | "inactive" | "unknown" | "extension";
    interface AppStateStatic {
      readonly currentState: AppStateStatus;
      addEventListener(
        type: "change" | "memoryWarning" | "blur" | "focus",
        listener: (state: AppStateStatus) => void,
      ): { remove(): void };
    }
    export const AppState: AppStateStatic;
  }
`;

/** What the compiler says of programs, with the strictest settings, those of this package. */
export function problems(texts: readonly Program[]): string[] {
  const config = ts.readConfigFile(resolve(HERE, "tsconfig.json"), ts.sys.readFile).config;
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, HERE);
  const entry = (name: string) => [resolve(HERE, "src", name)];
  const settings: ts.CompilerOptions = {
    ...options,
    incremental: false,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    paths: {
      "reality-sync": entry("index.ts"),
      "reality-sync/*": entry("*/index.ts"),
    },
  };
  delete settings.tsBuildInfoFile;
  const files = new Map([
    [resolve(HERE, "test/react-native.d.ts"), REACT_NATIVE],
    // Two documents may have a program of the same name.
    ...texts.map(({ name, text }, index) => {
      return [resolve(HERE, `test/${index}-${name}`), text] as const;
    }),
  ]);
  const host = ts.createCompilerHost(settings);
  const { fileExists, getSourceFile } = host;
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.getSourceFile = (path, target) => {
    const text = files.get(path);
    return text === undefined
      ? getSourceFile(path, target)
      : ts.createSourceFile(path, text, target);
  };
  const program = ts.createProgram([...files.keys()], settings, host);
  // Of the programs alone: the package itself is checked elsewhere.
  const found = [...files.keys()].flatMap((path) =>
    ts.getPreEmitDiagnostics(program, program.getSourceFile(path)),
  );
  return found.map(({ file, start = 0, messageText }) => {
    const line = file ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
    return `${file?.fileName}:${line}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
  });
}

/** Run a program; what it exports. Clients that it makes come into `made`. */
export async function run<Exports>(
  { name, text }: Program,
  made: root.RealityClient[],
  others: Readonly<Record<string, unknown>> = {},
): Promise<Exports> {
  const createReality = (options?: root.RealityOptions) => {
    const client = new root.RealityClient(options);
    made.push(client);
    return client;
  };
  const modules: Readonly<Record<string, unknown>> = {
    "react/jsx-runtime": jsxRuntime,
    "reality-sync": { ...root, createReality },
    "reality-sync/compat": compat,
    "reality-sync/embedded": embedded,
    "reality-sync/react": react,
    "reality-sync/ssr": ssr,
    ...others,
  };
  const { outputText } = ts.transpileModule(text, {
    fileName: name,
    compilerOptions: {
      jsx: ts.JsxEmit.ReactJSX,
      module: ts.ModuleKind.CommonJS,
      target: ts.ScriptTarget.ES2022,
    },
  });
  const exported = {} as Exports;
  const load = (wanted: string) => {
    if (wanted in modules) return modules[wanted];
    throw new Error(`${name} imports ${wanted}, which no test here has`);
  };
  new Function("require", "exports", outputText)(load, exported);
  return exported;
}

/** The members of an interface of `src/client/types.ts`. */
export function members(name: string): string[] {
  const text = read("src/client/types.ts");
  const source = ts.createSourceFile("types.ts", text, ts.ScriptTarget.ES2022);
  const found = source.statements.find(
    (each) => ts.isInterfaceDeclaration(each) && each.name.text === name,
  ) as ts.InterfaceDeclaration;
  return found.members.map((each) => (each.name as ts.Identifier).text);
}
