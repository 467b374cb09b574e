/** Which test files a command line of bin/test means. */
import { existsSync, globSync, statSync } from "node:fs";
import { relative, resolve } from "node:path";
import { UsageError } from "../cli/command.ts";

export type Kind = "unit" | "live" | "docker";

export interface Selection {
  /** Files relative to the checkout, sorted, each once. */
  readonly files: Readonly<Record<Kind, readonly string[]>>;
  /** True when the checks of types, lint and format belong to the run. */
  readonly checks: boolean;
  /** True when whole products are tested instead of samples. */
  readonly full: boolean;
}

const kindsOf: Readonly<Record<string, readonly Kind[]>> = {
  unit: ["unit"],
  live: ["live"],
  docker: ["docker"],
  full: ["unit", "live", "docker"],
};

const seeHelp = "see test --help";

/**
 * Finds the files that `words` name: at most one of unit, live, docker and full, then files or folders,
 * relative to `folder`. `root` is the checkout.
 * @throws UsageError for a word that is none of these, and when no test file is meant
 */
export function select(words: readonly string[], root: string, folder: string): Selection {
  const [first = ""] = words;
  const named = Object.hasOwn(kindsOf, first) ? first : undefined;
  const kinds = kindsOf[named ?? "full"] ?? [];
  const paths = named === undefined ? words : words.slice(1);
  const all = testFiles(paths, root, folder);
  const files = {
    unit: kinds.includes("unit") ? all.filter((file) => kindOf(file) === "unit") : [],
    live: kinds.includes("live") ? all.filter((file) => kindOf(file) === "live") : [],
    docker: kinds.includes("docker") ? all.filter((file) => kindOf(file) === "docker") : [],
  };
  if (Object.values(files).flat().length === 0) {
    throw new UsageError(`no ${named ?? ""} test in ${paths.join(" ") || "test"}`, seeHelp);
  }
  return {
    files,
    checks: paths.length === 0 && kinds.includes("unit"),
    full: named === "full",
  };
}

/** A live test whose file or folder is called docker, images or kamal needs a Docker Engine. */
function kindOf(file: string): Kind {
  if (!file.endsWith(".live.test.ts")) return "unit";
  return /\/(docker|images|kamal)[/.-]/.test(file) ? "docker" : "live";
}

function testFiles(paths: readonly string[], root: string, folder: string): readonly string[] {
  if (paths.length === 0) return globSync("test/**/*.test.ts", { cwd: root }).toSorted();
  const found = paths.flatMap((path) => {
    const absolute = resolve(folder, path);
    if (!existsSync(absolute)) {
      throw new UsageError(
        `${JSON.stringify(path)} is neither unit, live, docker or full nor a test file or folder`,
        seeHelp,
      );
    }
    const isFolder = statSync(absolute).isDirectory();
    const files = isFolder ? globSync(`${absolute}/**/*.test.ts`) : [absolute];
    return files.map((file) => relative(root, file));
  });
  const foreign = found.find((file) => !file.startsWith("test/") || !file.endsWith(".test.ts"));
  if (foreign !== undefined) throw new UsageError(`${foreign} is not a test file`, seeHelp);
  return [...new Set(found)].toSorted();
}
