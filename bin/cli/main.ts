/**
 * Runs a program: parses its words, loads the command, and turns what it returns or throws into an
 * exit code and, on failure, one clear line. SWITCHYARD_DEBUG=1 adds the stack.
 */
import { commandUsage, programUsage } from "./usage.ts";
import { exitCodeOf, exitCodes } from "./exit-codes.ts";
import { parseLine, UsageError } from "./command.ts";
import type { ProgramRow } from "./command.ts";
import { processOutput } from "./output.ts";
import type { Output } from "./output.ts";

/** The operator ended the command with Ctrl-C, or the machine asked it to end. */
export class InterruptedError extends Error {
  override readonly name = "InterruptedError";
  readonly code = "ERR_ABORTED";
  constructor(signal: string) {
    super(`interrupted by ${signal}`);
  }
}

/** Runs `program` with the words of this process's command line and sets the exit code. */
export async function main(program: ProgramRow): Promise<void> {
  const output = processOutput();
  // A reader that goes away (| head) is the end of the output, not a failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(exitCodes.done);
  });
  const controller = new AbortController();
  let asked = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      asked += 1;
      controller.abort(new InterruptedError(signal));
      if (asked > 2) process.exit(exitCodes.aborted);
    });
  }
  try {
    process.exitCode = await dispatch(program, process.argv.slice(2), output, controller.signal);
  } catch (error) {
    complain(error, program.name, output);
    process.exitCode = exitCodeOf(error);
  }
}

async function dispatch(
  program: ProgramRow,
  words: readonly string[],
  output: Output,
  signal: AbortSignal,
): Promise<number> {
  const parsed = parseLine(program, words);
  if ("help" in parsed) {
    const text =
      parsed.help === undefined ? programUsage(program) : commandUsage(program, parsed.help);
    if (words.length > 0) {
      output.result(text);
      return exitCodes.done;
    }
    output.note(text);
    return exitCodes.usage;
  }
  const { run } = await parsed.command.load();
  return await run({
    program: program.name,
    command: parsed.command.name,
    environment: parsed.environment,
    arguments: parsed.arguments,
    flags: parsed.flags,
    output,
    signal,
  });
}

function complain(error: unknown, program: string, output: Output): void {
  const { message } = error instanceof Error ? error : { message: String(error) };
  for (const line of message.split("\n")) output.note(`${program}: ${line}`);
  if (error instanceof UsageError) output.note(error.hint);
  if (process.env["SWITCHYARD_DEBUG"] === "1" && error instanceof Error) {
    output.note(error.stack ?? "");
  }
}
