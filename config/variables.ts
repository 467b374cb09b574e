/**
 * The environment variables that a sidecar reads, as a table of rows, so that its parser, its help
 * and its page in docs/ cannot disagree. Pure.
 */
import type { z } from "zod";
import { nearest } from "../kit/nearest.ts";
import { choice } from "./values.ts";

export interface VariableRow<T> {
  readonly value: z.ZodType<T, string>;
  readonly summary: string;
  /** Used when the variable is not set; a row without one may stay unset. */
  readonly fallback?: string;
  /** True when it counts beside --env too. */
  readonly withEnvironment?: true;
}

/** A row of the table, its type kept. */
export function variableRow<T>(
  value: z.ZodType<T, string>,
  summary: string,
  rest: Partial<VariableRow<T>> = {},
) {
  return { value, summary, ...rest } satisfies VariableRow<T>;
}

export type VariableRows = Readonly<Record<string, VariableRow<unknown>>>;

/** The variables of one sidecar. */
export interface VariableTable<R extends VariableRows = VariableRows> {
  /** What all of their names begin with. */
  readonly prefix: string;
  /** In the order of the help. */
  readonly rows: R;
}

/** What was read: by name, undefined where it is not set. */
export type VariablesOf<R extends Readonly<Record<string, { readonly value: z.ZodType }>>> = {
  readonly [name in keyof R]: z.output<R[name]["value"]> | undefined;
};

/** The row of how much a sidecar logs. */
export const logLevelRow = variableRow(
  choice(["debug", "info", "warn", "error", "silent"]),
  "what to log",
  { fallback: "info", withEnvironment: true },
);

/** An environment variable cannot be used; the message is one line for each. */
export class VariableError extends Error {
  override readonly name = "VariableError";
  readonly code = "ERR_CONFIG";
}

/**
 * Reads the variables of a table, with their defaults. An empty one counts as not set. With
 * `withEnvironment` only those that count beside --env are taken, and any other is refused.
 * @throws VariableError naming each variable beginning with the prefix that is unknown, refused or wrong
 */
export function readVariables<const R extends VariableRows>(
  { prefix, rows }: VariableTable<R>,
  given: Readonly<Record<string, string | undefined>>,
  options: { readonly withEnvironment: boolean },
): VariablesOf<R> {
  const known = Object.keys(rows);
  const problems: string[] = [];
  for (const name of Object.keys(given)) {
    if (!name.startsWith(prefix) || known.includes(name)) continue;
    const near = nearest(name, known);
    problems.push(`${name}: unknown${near === undefined ? "" : `, did you mean ${near}?`}`);
  }
  const read = Object.entries(rows).map(([name, one]) => {
    const set = given[name] === "" ? undefined : given[name];
    if (options.withEnvironment && one.withEnvironment !== true) {
      // A secret may be set because the environment file refers to it.
      const isSource = /_(PASSWORD|TOKEN)$/.test(name);
      if (set !== undefined && !isSource) problems.push(`${name}: not together with --env`);
      return [name, undefined] as const;
    }
    const text = set ?? (options.withEnvironment ? undefined : one.fallback);
    if (text === undefined) return [name, undefined] as const;
    const result = one.value.safeParse(text);
    if (!result.success) problems.push(`${name}: ${result.error.issues[0]?.message ?? "wrong"}`);
    return [name, result.data] as const;
  });
  if (problems.length > 0) throw new VariableError(problems.join("\n"));
  return Object.fromEntries(read) as unknown as VariablesOf<R>;
}

/** The lines of a help text: name, meaning and default of each variable. */
export function variableHelp(rows: VariableRows): string[] {
  const width = Math.max(...Object.keys(rows).map((name) => name.length));
  return Object.entries(rows).map(([name, { summary, fallback }]) => {
    const shown = fallback === undefined ? "" : ` [${fallback}]`;
    return `  ${name.padEnd(width)}  ${summary}${shown}`;
  });
}
