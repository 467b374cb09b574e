/**
 * How the operator, or the machine, asks this process to end: Ctrl-C, SIGTERM, SIGHUP. By default
 * the first one aborts the command and the third one ends the process; a command that means
 * something else by them takes them over.
 */
import { exitCodes } from "./exit-codes.ts";

export type InterruptName = "SIGINT" | "SIGTERM" | "SIGHUP";

/** The operator ended the command with Ctrl-C, or the machine asked it to end. */
export class InterruptedError extends Error {
  override readonly name = "InterruptedError";
  readonly code = "ERR_ABORTED";
  readonly signal: InterruptName;
  constructor(signal: InterruptName) {
    super(`interrupted by ${signal}`);
    this.signal = signal;
  }
}

const takers: ((name: InterruptName) => void)[] = [];

/** Listens for this process. @returns a signal that aborts with InterruptedError */
export function interruptions(): AbortSignal {
  const controller = new AbortController();
  let asked = 0;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      const taker = takers.at(-1);
      if (taker !== undefined) return taker(name);
      asked += 1;
      controller.abort(new InterruptedError(name));
      // A command that does not come to its end can still be left.
      if (asked > 2) process.exit(exitCodes.aborted);
    });
  }
  return controller.signal;
}

/**
 * From now on `listener` hears every one of them and nothing else happens.
 * @returns what ends that
 */
export function takeInterrupts(listener: (name: InterruptName) => void): () => void {
  takers.push(listener);
  return () => {
    const index = takers.indexOf(listener);
    if (index !== -1) takers.splice(index, 1);
  };
}
