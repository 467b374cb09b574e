/**
 * Reads config/<environment>.yml: finds the file by name or alias, resolves secrets, validates.
 * Every failure is a ConfigError with the file, the path in it and what was expected.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { userInfo } from "node:os";
import { basename, dirname, join } from "node:path";
import { nearest } from "../kit/nearest.ts";
import { ConfigError } from "./config-error.ts";
import { contradictions } from "./consistency.ts";
import { parseMapping, YamlError } from "./document.ts";
import { formatPath, problemsOf } from "./explain.ts";
import type { Path, Problem } from "./explain.ts";
import { fillFromKamal } from "./kamal.ts";
import { environmentSchema } from "./schema.ts";
import type { Environment } from "./schema.ts";
import { schemaKeys } from "./schema-keys.ts";
import { Secret, UnreadSecret } from "./secret.ts";
import { resolveSecret, SecretError } from "./secret-source.ts";
import { nameValue } from "./values.ts";

export interface LoadOptions {
  /** The folder with the environment files. */
  readonly folder: string;
  /** Where ${NAME} secrets come from; the process's own environment when not given. */
  readonly variables?: Readonly<Record<string, string | undefined>>;
  /** For a command that needs none: its user need not be one who may read them. */
  readonly withoutSecrets?: boolean;
}

/** Where the text of an environment comes from. */
export interface Source {
  readonly name: string;
  readonly file: string;
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly withoutSecrets?: boolean;
}

const suffix = ".yml";
const sizeLimitBytes = 256 * 1024;
const shownProblems = 20;

/**
 * Loads the environment called `name`, or the one that lists it under `aliases`.
 * @throws ConfigError
 */
export async function loadEnvironment(name: string, options: LoadOptions): Promise<Environment> {
  const names = await listEnvironments(options.folder);
  const actual = names.includes(name) ? name : await findByAlias(name, names, options.folder);
  const file = join(options.folder, actual + suffix);
  const text = await readConfigFile(file);
  return await parseEnvironment(text, {
    name: actual,
    file,
    variables: options.variables ?? process.env,
    withoutSecrets: options.withoutSecrets === true,
  });
}

/** The names of the environments in a folder, sorted; examples do not count. */
export async function listEnvironments(folder: string): Promise<string[]> {
  const entries = await readdir(folder).catch((cause: Error) => {
    throw new ConfigError(`cannot list ${folder}: ${cause.message}`, { cause });
  });
  return entries
    .filter((entry) => entry.endsWith(suffix))
    .map((entry) => basename(entry, suffix))
    .filter((name) => nameValue.safeParse(name).success)
    .toSorted();
}

async function readConfigFile(file: string): Promise<string> {
  try {
    const found = await stat(file);
    if (!found.isFile()) throw new Error("not a regular file");
    if (found.size > sizeLimitBytes) {
      throw new Error(`it has ${found.size} bytes, expected at most ${sizeLimitBytes}`);
    }
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new ConfigError(`cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}

async function findByAlias(
  alias: string,
  names: readonly string[],
  folder: string,
): Promise<string> {
  const owners: string[] = [];
  const aliases: string[] = [];
  const unread: string[] = [];
  for (const name of names) {
    const declared = await aliasesOf(join(folder, name + suffix));
    if (declared === undefined) unread.push(name + suffix);
    if (declared?.includes(alias) === true) owners.push(name);
    aliases.push(...(declared ?? []));
  }
  const [owner, ...others] = owners;
  if (owner !== undefined && others.length === 0) return owner;
  if (owner !== undefined) {
    throw new ConfigError(`alias ${alias} stands in ${owners.join(" and ")}: use a full name`);
  }
  const near = nearest(alias, [...names, ...aliases]);
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  const known = names.length === 0 ? "there is none" : `there is ${names.join(", ")}`;
  const doubt = unread.length === 0 ? "" : `, ${unread.join(", ")} cannot be read`;
  throw new ConfigError(
    `unknown environment ${JSON.stringify(alias)}: no such file in ${folder}, and no such alias (${known}${doubt})${hint}`,
    { code: "ERR_CONFIG_UNKNOWN_ENVIRONMENT" },
  );
}

/** The aliases of an environment file, whatever else is wrong with it; undefined if unreadable. */
async function aliasesOf(file: string): Promise<string[] | undefined> {
  try {
    return declaredAliases(await readConfigFile(file));
  } catch {
    return undefined;
  }
}

/**
 * The aliases that the text of an environment file declares, whatever else is wrong with it.
 * @throws YamlError
 */
export function declaredAliases(text: string): string[] {
  const { aliases } = parseMapping(text);
  return Array.isArray(aliases) ? aliases.filter((one) => typeof one === "string") : [];
}

/**
 * Parses the text of an environment file.
 * @throws ConfigError with a line for each problem: the file, the path in it, what was expected
 */
export async function parseEnvironment(text: string, source: Source): Promise<Environment> {
  const problems: Problem[] = [];
  const filled = await fillFromKamal(parse(text, source.file), source);
  problems.push(...filled.problems);
  const resolved = await resolveSecrets(filled.tree, source, [], problems);
  // A file is parsed once in a process, which does not pay for compiling a parser.
  const result = environmentSchema.safeParse(resolved, { jitless: true });
  if (result.success) problems.push(...contradictions(result.data));
  else problems.push(...result.error.issues.flatMap((issue) => problemsOf(issue, resolved)));
  if (result.success && problems.length === 0) {
    return { ...result.data, name: source.name, file: source.file };
  }
  const lines = [
    ...denials(problems).map((line) => `${source.file}: ${line}`),
    ...problems
      .filter((one) => one.denied === undefined)
      .map(({ path, message }) => `${source.file}: ${formatPath(path)}: ${message}`),
  ];
  const spare = lines.length - shownProblems;
  throw new ConfigError(
    [...lines.slice(0, shownProblems), ...(spare > 0 ? [`and ${spare} more`] : [])].join("\n"),
  );
}

/** Secrets that this user may not read have one cause, and become one line. */
function denials(problems: readonly Problem[]): string[] {
  const denied = problems.flatMap((one) =>
    one.denied === undefined ? [] : [{ key: formatPath(one.path), file: one.denied }],
  );
  if (denied.length === 0) return [];
  const folders = [...new Set(denied.map((one) => dirname(one.file)))].join(", ");
  const what = denied.length === 1 ? "1 secret" : `${denied.length} secrets`;
  const keys = denied.map((one) => one.key).join(", ");
  return [`cannot read ${what} under ${folders} as ${userWords()}: permission denied (${keys})`];
}

function userWords(): string {
  try {
    return `user ${userInfo().username}`;
  } catch {
    // A container's user need not have a name.
    return `uid ${process.getuid?.() ?? "unknown"}`;
  }
}

function parse(text: string, file: string): unknown {
  try {
    return parseMapping(text);
  } catch (cause) {
    if (!(cause instanceof YamlError)) throw cause;
    throw new ConfigError(`${file}: ${cause.message}`, { cause });
  }
}

const secretKeys: ReadonlySet<unknown> = new Set(
  schemaKeys()
    .filter((key) => key.kind === "secret")
    .map((key) => key.path.split(".").at(-1)),
);

/** Puts a Secret in the place of every reference; one that cannot be had becomes a problem. */
async function resolveSecrets(
  value: unknown,
  source: Source,
  path: Path,
  problems: Problem[],
): Promise<unknown> {
  // One after the other, so that problems come in the order of the file.
  if (Array.isArray(value)) {
    const items: unknown[] = [];
    for (const [index, one] of value.entries()) {
      items.push(await resolveSecrets(one, source, [...path, index], problems));
    }
    return items;
  }
  if (typeof value === "object" && value !== null) {
    const entries: [string, unknown][] = [];
    for (const [key, one] of Object.entries(value)) {
      entries.push([key, await resolveSecrets(one, source, [...path, key], problems)]);
    }
    return Object.fromEntries(entries);
  }
  if (!secretKeys.has(path.at(-1))) return value;
  if (source.withoutSecrets === true) return new UnreadSecret();
  return await resolveSecret(value, source.variables).catch((error: Error) => {
    const denied = error instanceof SecretError ? error.denied : undefined;
    problems.push({ path, message: error.message, ...(denied === undefined ? {} : { denied }) });
    return new Secret("");
  });
}
