/**
 * Runs a program in the operator's place: same terminal, same input and output, and the signals that
 * are sent to us. The last word before this process ends can be said, whatever ends it.
 */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { ChildError } from "../../kit/child.ts";
import { takeInterrupts } from "./interrupts.ts";

/**
 * Runs `program` to its end, however long it takes. SIGTERM and SIGHUP are passed on to it, SIGINT
 * too where no terminal has sent it to both.
 * @returns its exit code; 128 and the signal's number when a signal ended it, as a shell has it
 * @throws ChildError when it cannot be started
 */
export async function runForeground(program: string, words: readonly string[]): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const child = spawn(program, words, { stdio: "inherit" });
  const ours = takeInterrupts((signal) => {
    const isFromTerminal = signal === "SIGINT" && hasTerminal();
    if (!isFromTerminal) child.kill(signal);
  });
  child.on("error", (cause) =>
    reject(new ChildError("ERR_CHILD_START", `${program}: ${cause.message}`, { cause })),
  );
  child.on("close", (code, signal) => {
    resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
  });
  try {
    return await promise;
  } finally {
    ours();
  }
}

/** @types/node says isTTY is always there; on a pipe or a file it is undefined. */
function hasTerminal(): boolean {
  const { isTTY } = process.stdin as { readonly isTTY?: boolean };
  return isTTY ?? false;
}

/** Says `words` on standard error if this process ends before the returned function is called. */
export function sayAtTheEnd(words: string): () => void {
  const say = (): void => void process.stderr.write(`${words}\n`);
  process.on("exit", say);
  return () => void process.off("exit", say);
}
