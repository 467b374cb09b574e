/**
 * Reads config/<environment>.yml: finds the file by name or alias, resolves secrets, validates.
 * Every failure is a ConfigError with the file, the path in it and what was expected.
 */
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseDocument } from "yaml";
import type { z } from "zod";
import { environmentSchema } from "./schema.ts";
import type { Environment } from "./schema.ts";
import { Secret } from "./secret.ts";

/** Configuration that cannot be used; the message is one line for an operator. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly code: "ERR_CONFIG" | "ERR_CONFIG_UNKNOWN_ENVIRONMENT";
  constructor(message: string, options: { code?: ConfigError["code"]; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = options.code ?? "ERR_CONFIG";
  }
}

export interface LoadOptions {
  /** The folder with the environment files. */
  readonly folder: string;
  /** Where ${NAME} secrets come from; the process's own environment when not given. */
  readonly variables?: Readonly<Record<string, string | undefined>>;
}

const suffix = ".yml";

/**
 * Loads the environment called `name`, or the one that lists it under `aliases`.
 * @throws ConfigError
 */
export async function loadEnvironment(name: string, options: LoadOptions): Promise<Environment> {
  const names = await listEnvironments(options.folder);
  const actual = names.includes(name) ? name : await findByAlias(name, names, options.folder);
  if (actual === undefined) {
    const known = names.length === 0 ? "there is none" : `there is ${names.join(", ")}`;
    throw new ConfigError(
      `unknown environment ${JSON.stringify(name)}: no ${name}${suffix} in ${options.folder}, and no alias (${known})`,
      { code: "ERR_CONFIG_UNKNOWN_ENVIRONMENT" },
    );
  }
  const file = join(options.folder, actual + suffix);
  const text = await readConfigFile(file);
  return parseEnvironment(text, {
    name: actual,
    file,
    variables: options.variables ?? process.env,
  });
}

/** The names of the environments in a folder, sorted; examples do not count. */
export async function listEnvironments(folder: string): Promise<string[]> {
  const entries = await readdir(folder).catch((cause: Error) => {
    throw new ConfigError(`cannot list ${folder}: ${cause.message}`, { cause });
  });
  return entries
    .filter((entry) => entry.endsWith(suffix) && !entry.endsWith(`.example${suffix}`))
    .map((entry) => basename(entry, suffix))
    .toSorted();
}

async function readConfigFile(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new ConfigError(`cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}

async function findByAlias(
  alias: string,
  names: readonly string[],
  folder: string,
): Promise<string | undefined> {
  const owners: string[] = [];
  for (const name of names) {
    const text = await readFile(join(folder, name + suffix), "utf8").catch(() => "");
    const aliases: unknown = (parseDocument(text).toJS() as { aliases?: unknown } | null)?.aliases;
    if (Array.isArray(aliases) && aliases.includes(alias)) owners.push(name);
  }
  if (owners.length > 1) {
    throw new ConfigError(`alias ${alias} stands in ${owners.join(" and ")}: use a full name`);
  }
  return owners[0];
}

/**
 * Parses the text of an environment file.
 * @throws ConfigError naming the file, the path in it and what was expected
 */
export async function parseEnvironment(
  text: string,
  source: {
    name: string;
    file: string;
    variables: Readonly<Record<string, string | undefined>>;
  },
): Promise<Environment> {
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true });
  const [syntaxError] = document.errors;
  if (syntaxError !== undefined) {
    const [firstLine] = syntaxError.message.split("\n");
    throw new ConfigError(`${source.file}: not YAML: ${firstLine}`, { cause: syntaxError });
  }
  const resolved = await resolveSecrets(document.toJS(), source, []);
  const result = environmentSchema.safeParse(resolved);
  if (result.success) return { ...result.data, name: source.name, file: source.file };
  throw new ConfigError(
    result.error.issues.map((issue) => describe(source.file, issue)).join("\n"),
    {
      cause: result.error,
    },
  );
}

function describe(file: string, issue: z.core.$ZodIssue): string {
  const path = issue.path
    .map((part, index) =>
      typeof part === "number" ? `[${part}]` : index === 0 ? String(part) : `.${String(part)}`,
    )
    .join("");
  if (issue.code === "unrecognized_keys") {
    const where = path === "" ? "" : `${path}.`;
    return `${file}: ${issue.keys.map((key) => where + key).join(", ")}: unknown key`;
  }
  return `${file}: ${path === "" ? "(top level)" : path}: ${issue.message}`;
}

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
type Resolved = Json | Secret | Resolved[] | { [key: string]: Resolved };

const secretKeys = new Set(["password", "token"]);

async function resolveSecrets(
  value: Json,
  source: { file: string; variables: Readonly<Record<string, string | undefined>> },
  path: readonly string[],
): Promise<Resolved> {
  if (Array.isArray(value)) {
    return await Promise.all(
      value.map((one, index) => resolveSecrets(one, source, [...path, String(index)])),
    );
  }
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).map(
      async ([key, one]) => [key, await resolveSecrets(one, source, [...path, key])] as const,
    );
    return Object.fromEntries(await Promise.all(entries));
  }
  const key = path.at(-1) ?? "";
  if (!secretKeys.has(key)) return value;
  return await resolveSecret(value, source, path.join("."));
}

async function resolveSecret(
  reference: string | number | boolean | null,
  source: { file: string; variables: Readonly<Record<string, string | undefined>> },
  path: string,
): Promise<Secret> {
  const text = String(reference);
  const variable = /^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$/.exec(text)?.[1];
  if (variable !== undefined) {
    const value = source.variables[variable];
    if (value !== undefined && value !== "") return new Secret(value);
    throw new ConfigError(`${source.file}: ${path}: environment variable ${variable} is not set`);
  }
  if (text.startsWith("file:/")) {
    const file = text.slice("file:".length);
    const content = await readFile(file, "utf8").catch((cause: Error) => {
      throw new ConfigError(`${source.file}: ${path}: cannot read the secret: ${cause.message}`, {
        cause,
      });
    });
    return new Secret(content.replace(/\r?\n$/, ""));
  }
  throw new ConfigError(
    `${source.file}: ${path}: a secret never stands in the file: expected \${NAME} or file:/absolute/path`,
  );
}
