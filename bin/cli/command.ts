/**
 * What a command is, and how a command line becomes one: programs and their commands are tables of
 * rows, parsing is strict (an unknown flag or a spare word is refused, with the nearest right one).
 */
import { parseArgs } from "node:util";
import type { ParseArgsConfig } from "node:util";
import { nearest } from "../../kit/nearest.ts";
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
  /** May stand without its value; the flag is true then. A value never begins with a dash. */
  readonly optionalValue?: true;
  /** May stand several times; the flag is a list then. */
  readonly repeatable?: true;
}

export type Flag = string | boolean | readonly string[] | undefined;

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
  readonly flags: Readonly<Record<string, Flag>>;
  readonly output: Output;
  /** Aborts when the operator presses Ctrl-C or the process is asked to end. */
  readonly signal: AbortSignal;
}

export interface CommandRow {
  /** The word for it, or two; "" in a program that has one command and takes no word for it. */
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
  /** The environment is the first argument of each command, and may stand before the command too. */
  readonly environmentMayBeFirst?: true;
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
  readonly flags: Readonly<Record<string, Flag>>;
}

const helpWords: readonly string[] = ["--help", "-h", "help"];

/**
 * Parses the words after the program's name.
 * @returns the command with its words and flags, or "help" (with the command asked about, if any)
 * @throws UsageError
 */
export function parseLine(
  program: ProgramRow,
  given: readonly string[],
): ParsedLine | { help: CommandRow | undefined } {
  const words =
    program.environmentMayBeFirst === true ? commandFirst(program, given) : asOne(program, given);
  const whole = commandNamed(program, "");
  if (whole !== undefined) {
    const help = words.some((word) => word === "--help" || word === "-h");
    return help
      ? { help: whole }
      : { command: whole, environment: "", ...parseWords(program, whole, words) };
  }
  const head = words.slice(0, program.takesEnvironment ? 2 : 1);
  if (head.length === 0 || head.some((word) => helpWords.includes(word))) {
    const about = words.slice(0, 3).map((word) => commandNamed(program, word));
    return { help: about.find((one) => one !== undefined) };
  }
  const environment = program.takesEnvironment ? environmentIn(program, head) : "";
  const command = commandIn(program, head.at(-1) ?? "", environment);
  const rest = words.slice(head.length);
  const beforeDashes = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
  if (beforeDashes.some((word) => word === "--help" || word === "-h")) return { help: command };
  return { command, environment, ...parseWords(program, command, rest) };
}

/** `node add` is the name of one command where a program has that. */
function asOne(program: ProgramRow, words: readonly string[]): readonly string[] {
  const both = words.slice(0, 2).join(" ");
  const isOne = words.length > 1 && commandNamed(program, both) !== undefined;
  return !isOne ? words : [both, ...words.slice(2)];
}

/** `prod up` is read as `up prod`. */
function commandFirst(program: ProgramRow, words: readonly string[]): readonly string[] {
  const [environment = "", command = "", ...rest] = words;
  const isSwapped =
    commandNamed(program, environment) === undefined &&
    commandNamed(program, command) !== undefined;
  return isSwapped ? [command, environment, ...rest] : words;
}

function commandNamed(program: ProgramRow, word: string): CommandRow | undefined {
  return program.commands.find((one) => one.name === word);
}

function environmentIn(program: ProgramRow, head: readonly string[]): string {
  const seeHelp = `see ${program.name} --help`;
  const [environment = "", next] = head;
  if (environment.startsWith("-")) {
    throw new UsageError(`expected an environment before ${environment}`, seeHelp);
  }
  const nextIsCommand = next !== undefined && commandNamed(program, next) !== undefined;
  if (commandNamed(program, environment) !== undefined && !nextIsCommand) {
    throw new UsageError(
      `${environment} of which environment?`,
      `write ${program.name} ENVIRONMENT ${environment}; ${seeHelp}`,
    );
  }
  return environment;
}

function commandIn(program: ProgramRow, word: string, environment: string): CommandRow {
  const seeHelp = `see ${program.name} --help`;
  const command = commandNamed(program, word);
  if (command !== undefined) return command;
  if (word === environment) {
    throw new UsageError(`what should be done with ${environment}?`, seeHelp);
  }
  if (word.startsWith("-")) throw new UsageError(`expected a command before ${word}`, seeHelp);
  const names = program.commands.map((one) => one.name);
  const longer = names.filter((one) => one.startsWith(`${word} `));
  if (longer.length > 0) throw new UsageError(`${word} what? ${longer.join(", ")}`, seeHelp);
  const near = nearest(word, names);
  throw new UsageError(
    `${program.name} has no command ${JSON.stringify(word)}`,
    near === undefined ? seeHelp : `did you mean ${near}? ${seeHelp}`,
  );
}

function parseWords(
  program: ProgramRow,
  command: CommandRow,
  words: readonly string[],
): Pick<ParsedLine, "arguments" | "flags"> {
  const rows = command.options ?? {};
  const environment = program.takesEnvironment ? "ENVIRONMENT" : "";
  const spoken = [program.name, environment, command.name].filter((word) => word !== "");
  const seeHelp = `see ${spoken.join(" ")} --help`;
  const parsed = parseStrictly(withoutValues(words, rows), rows, seeHelp);
  const flags = withTrue(parsed.values as ParsedLine["flags"], rows);
  checkFlags(
    rows,
    flags,
    parsed.tokens.flatMap((token) => (token.kind === "option" ? [token.name] : [])),
    seeHelp,
  );
  const name = command.name === "" ? program.name : command.name;
  checkArguments(command.arguments ?? [], parsed.positionals, name, seeHelp);
  return { arguments: parsed.positionals, flags };
}

/** Gives an empty value to every flag that stands without its optional one. */
function withoutValues(
  words: readonly string[],
  rows: Readonly<Record<string, OptionRow>>,
): readonly string[] {
  const dashes = words.indexOf("--");
  return words.map((word, index) => {
    const isFlag = rows[word.replace(/^--/, "")]?.optionalValue === true && word.startsWith("--");
    if (!isFlag || (dashes !== -1 && index > dashes)) return word;
    const next = words[index + 1];
    return next === undefined || next.startsWith("-") ? `${word}=` : word;
  });
}

function withTrue(
  flags: ParsedLine["flags"],
  rows: Readonly<Record<string, OptionRow>>,
): ParsedLine["flags"] {
  const told = Object.entries(flags).map(([name, value]) =>
    value === "" && rows[name]?.optionalValue === true ? [name, true] : [name, value],
  );
  return Object.fromEntries(told) as ParsedLine["flags"];
}

function parseStrictly(
  words: readonly string[],
  rows: Readonly<Record<string, OptionRow>>,
  seeHelp: string,
) {
  const options: NonNullable<ParseArgsConfig["options"]> = {};
  for (const [name, row] of Object.entries(rows)) {
    options[name] = {
      type: row.type,
      ...(row.repeatable === true ? { multiple: true } : {}),
      ...(row.short === undefined ? {} : { short: row.short }),
      ...(row.default === undefined ? {} : { default: row.default }),
    };
  }
  try {
    const args = [...words];
    return parseArgs({ args, options, strict: true, allowPositionals: true, tokens: true });
  } catch (cause) {
    throw refusal((cause as Error).message, Object.keys(rows), seeHelp);
  }
}

/** The refusal of node:util's parser in our words, with the flag that was probably meant. */
function refusal(message: string, known: readonly string[], seeHelp: string): UsageError {
  const flag = /'(?:-\w, )?(--?[^' ]+)/.exec(message)?.[1] ?? "";
  if (/argument missing|ambiguous/.test(message)) {
    return new UsageError(`${flag} needs a value`, seeHelp);
  }
  if (message.includes("does not take an argument")) {
    return new UsageError(`${flag} takes no value`, seeHelp);
  }
  const near = nearest(flag.replace(/^-+/, ""), known);
  const hint = near === undefined ? seeHelp : `did you mean --${near}? ${seeHelp}`;
  return new UsageError(`unknown flag ${flag}`, hint);
}

function checkFlags(
  rows: Readonly<Record<string, OptionRow>>,
  flags: ParsedLine["flags"],
  given: readonly string[],
  seeHelp: string,
): void {
  const repeated = given.find(
    (name, index) => given.indexOf(name) !== index && rows[name]?.repeatable !== true,
  );
  if (repeated !== undefined) throw new UsageError(`--${repeated} stands twice`, seeHelp);
  for (const [name, row] of Object.entries(rows)) {
    const value = flags[name];
    if ([value].flat().includes("")) throw new UsageError(`--${name} needs a value`, seeHelp);
    if (row.choices === undefined || value === undefined) continue;
    const wrong = [value].flat().find((one) => row.choices?.includes(String(one)) !== true);
    if (wrong === undefined) continue;
    throw new UsageError(
      `--${name} takes ${row.choices.join(", ")}; got ${JSON.stringify(wrong)}`,
      seeHelp,
    );
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
