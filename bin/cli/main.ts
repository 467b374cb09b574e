/**
 * Runs a program: parses its words, loads the command, and turns what it returns or throws into an
 * exit code and, on failure, one clear line. SWITCHYARD_DEBUG=1 adds the stack.
 */
import { enableCompileCache } from "node:module";
import { inCheckout } from "../../kit/checkout.ts";
import { commandUsage, programUsage } from "./usage.ts";
import { exitCodeOf, exitCodes } from "./exit-codes.ts";
import { interruptions } from "./interrupts.ts";
import { parseLine, UsageError } from "./command.ts";
import type { ProgramRow } from "./command.ts";
import { printable, processOutput } from "./output.ts";
import type { Output } from "./output.ts";

/** Runs `program` with the words of this process's command line and sets the exit code. */
export async function main(program: ProgramRow): Promise<void> {
  // A folder of the checkout's own: the default under /tmp could be prepared by another user.
  enableCompileCache(inCheckout(".runtime/compile-cache"));
  const output = processOutput();
  endWithTheReader(program.name, output);
  process.on("uncaughtException", (error) => {
    complain(error, program.name, output);
    process.exit(exitCodeOf(error));
  });
  try {
    process.exitCode = await dispatch(program, process.argv.slice(2), output, interruptions());
  } catch (error) {
    complain(error, program.name, output);
    process.exitCode = exitCodeOf(error);
  }
}

/** A reader that goes away (| head) is the end of the output; a full disk is a failure. */
function endWithTheReader(program: string, output: Output): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit();
    complain(new Error(`cannot write the result: ${error.message}`), program, output);
    process.exit(exitCodes.failed);
  });
  process.stderr.on("error", () => undefined);
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
  // Messages quote what peers said.
  for (const line of messageOf(error).split("\n")) output.note(`${program}: ${printable(line)}`);
  if (error instanceof UsageError) output.note(error.hint);
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  if (process.env["SWITCHYARD_DEBUG"] === "1") {
    output.note(stack);
  } else if (typeof (error as { code?: unknown } | null | undefined)?.code !== "string") {
    // Every error that is foreseen has a code.
    output.note(`this is a fault in ${program} itself; SWITCHYARD_DEBUG=1 shows where`);
  }
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== "") return error.message;
  // What Node throws when a name has several addresses and none answers has no message.
  const parts = error instanceof AggregateError ? error.errors : [];
  return parts.map(messageOf).join("; ") || error.name;
}
