/**
 * A secret of a sidecar that is told by environment variables: in the variable itself, or in the
 * file that the variable with _FILE names.
 */
import { readFile } from "node:fs/promises";
import { ConfigError } from "./config-error.ts";
import { Secret } from "./secret.ts";

/**
 * The secret of `name` among `variables` (as readVariables gives them).
 * @throws ConfigError when it is not there, is there twice, or its file cannot be read
 */
export async function secretVariable(
  name: string,
  variables: Readonly<Record<string, unknown>>,
): Promise<Secret> {
  const [itself, file] = [variables[name], variables[`${name}_FILE`]];
  if (itself !== undefined && file !== undefined) {
    throw new ConfigError(`${name} and ${name}_FILE are both set: set one of them`);
  }
  if (typeof itself === "string") return new Secret(itself);
  if (typeof file !== "string") throw new ConfigError(`${name} or ${name}_FILE: not set`);
  const text = await contentOf(`${name}_FILE`, file);
  return new Secret(text.replace(/\r?\n$/, ""));
}

/**
 * The text of a file that the key `name` of the configuration names.
 * @throws ConfigError when it cannot be read
 */
export async function contentOf(name: string, file: string): Promise<string> {
  return await readFile(file, "utf8").catch((cause: Error) => {
    throw new ConfigError(`${name}: cannot read ${file}: ${cause.message}`, { cause });
  });
}

/**
 * A value that must be set.
 * @throws ConfigError naming it, and the program whose --help tells more
 */
export function needed<T>(program: string, name: string, value: T | undefined): T {
  if (value !== undefined) return value;
  throw new ConfigError(`${name}: not set (${program} --help lists what is needed)`);
}
