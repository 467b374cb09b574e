/**
 * The checkout as the architecture rules see it: every committed file with its text, what imports
 * what, and what is launched by its path.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path/posix";

export interface RepositoryFile {
  readonly text: string;
  readonly executable: boolean;
}

/** Path in the checkout, such as `kit/clock.ts` → file. */
export type Repository = ReadonlyMap<string, RepositoryFile>;

/** A rule takes the checkout and returns what breaks it, one line each. */
export interface Rule {
  readonly rule: string;
  readonly check: (repository: Repository) => string[];
  /** Faults, each of which must be found alone. */
  readonly planted: readonly Readonly<Record<string, string>>[];
}

/** What a rule says of a repository of texts; files named `*.sh` there are not executable. */
export function faultsIn(rule: Rule, texts: Readonly<Record<string, string>>): string[] {
  return rule.check(
    new Map(
      Object.entries(texts).map(([path, text]) => [
        path,
        { text, executable: !path.endsWith(".sh") },
      ]),
    ),
  );
}

/** A text without its comments, for rules about code. Strings that hold // lose their end. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
}

const skippedFolders = new Set([".git", "node_modules", ".runtime", ".tap", "dist"]);
const textFile =
  /(^|\/)[^/.]+$|\.(ts|js|json|md|yml|yaml|mustache|cfg|ini|sql|sh|txt)$|^\.[a-z]+(rc|ignore)(\.json)?$/;

/** Reads every file that git would keep; environment files are machine's own and are left out. */
export function readRepository(root: string): Repository {
  const paths = filesIn(root, "")
    .filter((path) => textFile.test(path))
    .filter((path) => !/^config\/[^/]*\.yml$/.test(path) || path.endsWith(".example.yml"))
    .toSorted();
  return new Map(
    paths.map((path) => {
      const full = join(root, path);
      const executable = (statSync(full).mode & 0o111) !== 0;
      return [path, { text: readFileSync(full, "utf8"), executable }];
    }),
  );
}

/** All files below a folder. What is skipped is not entered: other tests make and remove folders there. */
function filesIn(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (skippedFolders.has(entry.name)) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesIn(root, path);
    return entry.isFile() ? [path] : [];
  });
}

/** True for our own source: TypeScript that is neither a test nor what tests need. */
export function isSource(path: string): boolean {
  return path.endsWith(".ts") && !path.startsWith("test/");
}

/** True for a file that the test runner runs. */
export function isTest(path: string): boolean {
  return path.startsWith("test/") && path.endsWith(".test.ts");
}

export interface Import {
  /** As it stands in the file. */
  readonly specifier: string;
  /** The path in the checkout; undefined for a module of npm or of Node. */
  readonly target: string | undefined;
}

const importPattern =
  /^\s*(?:import|export)\s(?:[^;"']*?\sfrom\s)?"([^"]+)"|\bimport\(\s*"([^"]+)"/gm;

/** What a TypeScript file imports, types included. */
export function importsOf(path: string, text: string): Import[] {
  return [...text.matchAll(importPattern)].map(([, fixed, lazy]) => {
    const specifier = fixed ?? lazy ?? "";
    const target = specifier.startsWith(".")
      ? normalize(join(dirname(path), specifier))
      : undefined;
    return { specifier, target };
  });
}

/** The files that a file starts or reads by path: launchers and TypeScript named in a text. */
function launchedBy(text: string, repository: Repository): string[] {
  const named = [...text.matchAll(/["'`]([^"'`\n]*)["'`]/g)].flatMap(([, literal = ""]) =>
    [...literal.matchAll(/[\w./-]+/g)].map(([word]) => word.replace(/^(\.{1,2}\/)+/, "")),
  );
  return named.flatMap((word) => {
    if (repository.has(word)) return [word];
    if (!word.includes("/") || !word.endsWith(".ts")) return [];
    return [...repository.keys()].filter((path) => path.endsWith(`/${word}`));
  });
}

/** The TypeScript file that a launcher in bin/ hands to Node. */
function launcherTargets(path: string, text: string): string[] {
  return [...text.matchAll(/with-node"?\s+(\S+\.ts)/g)].map(([, file = ""]) =>
    normalize(join(dirname(path), file)),
  );
}

/** Every file that `starts` import or launch, directly or through others, the starts included. */
export function reachedFrom(starts: readonly string[], repository: Repository): Set<string> {
  const reached = new Set<string>();
  const waiting = [...starts];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const text = repository.get(path)?.text;
    if (text === undefined || reached.has(path)) continue;
    reached.add(path);
    const imported = importsOf(path, text).flatMap(({ target }) => target ?? []);
    waiting.push(...imported, ...launchedBy(text, repository), ...launcherTargets(path, text));
  }
  return reached;
}
