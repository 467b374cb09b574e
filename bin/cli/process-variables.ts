/** The environment variables of this process, for a program that is told by them. */

/** Those that are set, by name. */
export function processVariables(): Readonly<Record<string, string | undefined>> {
  return process.env;
}
