/** Help texts, made from the command tables. */
import type { CommandRow, OptionRow, ProgramRow } from "./command.ts";

/** The help of a whole program. */
export function programUsage(program: ProgramRow): string {
  const environment = program.takesEnvironment ? " ENVIRONMENT" : "";
  const width = Math.max(...program.commands.map((one) => one.name.length));
  return [
    program.summary,
    "",
    `usage: ${program.name}${environment} COMMAND [flags]`,
    "",
    ...program.commands.map((one) => `  ${one.name.padEnd(width)}  ${one.summary}`),
    "",
    `${program.name}${environment} COMMAND --help says more about one.`,
    ...(program.examples.length === 0 ? [] : ["", "examples:"]),
    ...program.examples.map((one) => `  ${one}`),
  ].join("\n");
}

/** The help of one command. */
export function commandUsage(program: ProgramRow, command: CommandRow): string {
  const environment = program.takesEnvironment ? " ENVIRONMENT" : "";
  const word = command.name === "" ? "" : ` ${command.name}`;
  const words = (command.arguments ?? []).map((row) => {
    const name = row.rest === true ? `${row.name} ...` : row.name;
    return row.optional === true ? ` [${name}]` : ` ${name}`;
  });
  const options = Object.entries(command.options ?? {}).map(
    ([name, row]) => [flag(name, row), describe(row)] as const,
  );
  const width = Math.max(0, ...options.map(([left]) => left.length));
  return [
    command.summary,
    "",
    `usage: ${program.name}${environment}${word}${words.join("")}${options.length === 0 ? "" : " [flags]"}`,
    ...(options.length === 0 ? [] : [""]),
    ...options.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`),
    ...(command.details === undefined ? [] : ["", command.details]),
  ].join("\n");
}

function flag(option: string, row: OptionRow): string {
  const short = row.short === undefined ? "" : `-${row.short}, `;
  const name = row.value ?? "VALUE";
  const spoken = row.optionalValue === true ? ` [${name}]` : ` ${name}`;
  const value = row.type === "string" ? spoken : "";
  return `${short}--${option}${value}`;
}

function describe(row: OptionRow): string {
  const choices = row.choices === undefined ? "" : ` (${row.choices.join(" | ")})`;
  const fallback = row.default === undefined ? "" : ` [${row.default}]`;
  const often = row.repeatable === true ? "; may stand several times" : "";
  return row.summary + choices + often + fallback;
}
