/**
 * What a command is, and how a command line becomes one: programs and their commands are tables of
 * rows, parsing is strict (an unknown flag or a spare word is refused, with the nearest right one).
 */
import { parseArgs } from "node:util";
import type { ParseArgsConfig } from "node:util";
import type { Output } from "./output.ts";

export interface OptionRow {
  readonly type: "boolean" | "string";
  readonly summary: string;
  /** What stands for the value in the help, such as NAME or SECONDS. */
  readonly value?: string;
  readonly short?: string;
  readonly default?: string;
  /** The only values that are taken. */
  readonly choices?: readonly string[];
}

export interface ArgumentRow {
  /** As it stands in the help, in capitals. */
  readonly name: string;
  readonly optional?: boolean;
  /** Takes all words that are left; only on the last row. */
  readonly rest?: boolean;
}

export interface Invocation {
  readonly program: string;
  readonly command: string;
  /** The environment named on the command line; "" for programs that take none. */
  readonly environment: string;
  readonly arguments: readonly string[];
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  readonly output: Output;
  /** Aborts when the operator presses Ctrl-C or the process is asked to end. */
  readonly signal: AbortSignal;
}

export interface CommandRow {
  readonly name: string;
  readonly summary: string;
  readonly arguments?: readonly ArgumentRow[];
  readonly options?: Readonly<Record<string, OptionRow>>;
  /** Longer help, printed under the options. */
  readonly details?: string;
  /** Loads the command's module only when it is the one that was asked for. */
  readonly load: () => Promise<{ run: (invocation: Invocation) => Promise<number> }>;
}

export interface ProgramRow {
  readonly name: string;
  readonly summary: string;
  /** True when the first word is an environment: `recovery prod topology`. */
  readonly takesEnvironment: boolean;
  readonly commands: readonly CommandRow[];
  readonly examples: readonly string[];
}

/** The command line cannot be understood. The message is one line; `hint` names what would help. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly code = "ERR_USAGE";
  readonly hint: string;
  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

export interface ParsedLine {
  readonly command: CommandRow;
  readonly environment: string;
  readonly arguments: readonly string[];
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
}

/**
 * Parses the words after the program's name.
 * @returns the command with its words and flags, or "help" (with the command asked about, if any)
 * @throws UsageError
 */
export function parseLine(
  program: ProgramRow,
  words: readonly string[],
): ParsedLine | { help: CommandRow | undefined } {
  const seeHelp = `see ${program.name} --help`;
  const head = program.takesEnvironment ? words.slice(0, 2) : words.slice(0, 1);
  const commandWord = head.at(-1);
  const wantsHelp = ["--help", "-h", "help"];
  if (words.length === 0 || wantsHelp.includes(words[0] ?? "")) {
    return { help: program.commands.find((one) => one.name === words[1]) };
  }
  if (head.some((word) => wantsHelp.includes(word))) return { help: undefined };
  const [environment = ""] = program.takesEnvironment ? head : [""];
  if (environment.startsWith("-")) {
    throw new UsageError(`expected an environment before ${environment}`, seeHelp);
  }
  if (program.takesEnvironment && head.length < 2) {
    const isCommand = program.commands.some((one) => one.name === environment);
    throw new UsageError(
      isCommand
        ? `${environment} of which environment?`
        : `what should be done with ${environment}?`,
      isCommand ? `write ${program.name} ENVIRONMENT ${environment}; ${seeHelp}` : seeHelp,
    );
  }
  const command = program.commands.find((one) => one.name === commandWord);
  if (command === undefined) {
    const near = nearest(
      commandWord ?? "",
      program.commands.map((one) => one.name),
    );
    throw new UsageError(
      `${program.name} has no command ${JSON.stringify(commandWord)}`,
      near === undefined ? seeHelp : `did you mean ${near}? ${seeHelp}`,
    );
  }
  const rest = words.slice(head.length);
  const beforeDashes = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
  if (beforeDashes.some((word) => word === "--help" || word === "-h")) return { help: command };
  return { command, environment, ...parseWords(program, command, rest) };
}

function parseWords(
  program: ProgramRow,
  command: CommandRow,
  words: readonly string[],
): { arguments: readonly string[]; flags: Record<string, string | boolean | undefined> } {
  const rows = command.options ?? {};
  const seeHelp = `see ${program.name} ${program.takesEnvironment ? "ENVIRONMENT " : ""}${command.name} --help`;
  const options: NonNullable<ParseArgsConfig["options"]> = {};
  for (const [name, row] of Object.entries(rows)) {
    options[name] = {
      type: row.type,
      ...(row.short === undefined ? {} : { short: row.short }),
      ...(row.default === undefined ? {} : { default: row.default }),
    };
  }
  const parsed = parseStrictly(words, options, Object.keys(rows), seeHelp);
  const flags = parsed.values as Record<string, string | boolean | undefined>;
  for (const [name, row] of Object.entries(rows)) {
    const value = flags[name];
    if (row.choices === undefined || value === undefined || row.choices.includes(String(value)))
      continue;
    throw new UsageError(
      `--${name} takes ${row.choices.join(", ")}; got ${JSON.stringify(value)}`,
      seeHelp,
    );
  }
  checkArguments(command.arguments ?? [], parsed.positionals, command.name, seeHelp);
  return { arguments: parsed.positionals, flags };
}

function parseStrictly(
  words: readonly string[],
  options: NonNullable<ParseArgsConfig["options"]>,
  known: readonly string[],
  seeHelp: string,
) {
  try {
    return parseArgs({ args: [...words], options, strict: true, allowPositionals: true });
  } catch (cause) {
    const { message } = cause as Error;
    const flag = /'(--?[^' ]+)/.exec(message)?.[1] ?? "";
    const near = message.startsWith("Unknown option")
      ? nearest(flag.replace(/^-+/, ""), known)
      : undefined;
    const [firstSentence = message] = message.split(". ");
    const text = message.startsWith("Unknown option") ? `unknown flag ${flag}` : firstSentence;
    throw new UsageError(text, near === undefined ? seeHelp : `did you mean --${near}? ${seeHelp}`);
  }
}

function checkArguments(
  rows: readonly ArgumentRow[],
  words: readonly string[],
  command: string,
  seeHelp: string,
): void {
  const missing = rows.find((row, index) => row.optional !== true && words[index] === undefined);
  if (missing !== undefined) throw new UsageError(`${command} needs ${missing.name}`, seeHelp);
  const takesRest = rows.at(-1)?.rest === true;
  const spare = takesRest ? undefined : words[rows.length];
  if (spare !== undefined) {
    throw new UsageError(`${command} does not take ${JSON.stringify(spare)}`, seeHelp);
  }
}

/** The word of `known` that `word` was probably meant to be: at most two edits away. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((one) => ({ one, distance: editDistance(word, one) }))
    .toSorted((left, right) => left.distance - right.distance);
  const [best] = ranked;
  return best !== undefined && best.distance <= Math.min(2, word.length - 1) ? best.one : undefined;
}

function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const substitution = (previous[column - 1] ?? 0) + (from[row - 1] === to[column - 1] ? 0 : 1);
      current.push(
        Math.min(substitution, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1),
      );
    }
    previous = current;
  }
  return previous[to.length] ?? 0;
}
