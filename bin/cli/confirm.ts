/**
 * Asks before something is done: on a terminal only, never in a script. A script says --yes, or
 * sets RECOVERY_YES=1. What is dangerous asks for a word to be typed, which --yes does not answer.
 */
import { createInterface } from "node:readline/promises";
import type { Invocation } from "./command.ts";

/** It was not confirmed, or must not be done; nothing was changed. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
  readonly code = "ERR_REFUSED";
}

/** The operator said no, or left at the question; nothing was changed. */
export class DeclinedError extends Error {
  override readonly name = "DeclinedError";
  readonly code = "ERR_ABORTED";
}

type Asking = Pick<Invocation, "flags" | "output" | "signal">;

export interface Question {
  /** In one line, with its question mark. */
  readonly text: string;
  /** What a script does instead of answering; such as `--yes does it`. */
  readonly otherwise: string;
}

/** True when the command line or the environment variable RECOVERY_YES=1 has said yes. */
export function saidYes({ flags }: Pick<Invocation, "flags">): boolean {
  return flags["yes"] === true || process.env["RECOVERY_YES"] === "1";
}

/** True when a question can be put to somebody. With --json nobody is ever asked. */
export function canAsk({ flags }: Pick<Invocation, "flags">): boolean {
  return flags["json"] !== true && isTerminal(process.stdin) && isTerminal(process.stderr);
}

/**
 * Returns once the operator has said yes, here or beforehand.
 * @throws RefusedError where nobody can be asked; DeclinedError for anything but yes; the signal's
 * reason on Ctrl-C
 */
export async function confirm(invocation: Asking, question: Question): Promise<void> {
  if (saidYes(invocation)) return;
  if (!canAsk(invocation)) throw new RefusedError(`not confirmed: ${question.otherwise}`);
  const answer = await ask(`${question.text} [y/N] `, invocation.signal);
  if (/^y(es)?$/i.test(answer)) return;
  throw new DeclinedError("nothing was changed");
}

/**
 * Returns once the operator has typed `word`; --yes does not help.
 * @param said the word as a flag has brought it, for scripts; undefined when it has not
 * @throws RefusedError where nobody can be asked, or the flag says another word; DeclinedError for
 * another word; the signal's reason on Ctrl-C
 */
export async function confirmWord(
  invocation: Asking,
  word: string,
  said: string | undefined,
  question: Question,
): Promise<void> {
  if (said === word) return;
  if (said !== undefined) {
    throw new RefusedError(`not confirmed: the word was ${JSON.stringify(said)}, not ${word}`);
  }
  if (!canAsk(invocation)) throw new RefusedError(`not confirmed: ${question.otherwise}`);
  const answer = await ask(`${question.text} Type ${word} to go on: `, invocation.signal);
  if (answer !== word) throw new DeclinedError("nothing was changed");
}

/** Without readline's own terminal mode Ctrl-C stays a signal. An end of input is an empty answer. */
async function ask(text: string, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal: false });
  const { promise: ended, resolve } = Promise.withResolvers<string>();
  lines.on("close", () => resolve(""));
  try {
    return (await Promise.race([lines.question(text, { signal }), ended])).trim();
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    lines.close();
  }
}

/** @types/node says isTTY is always there; on a pipe or a file it is undefined. */
function isTerminal(stream: { readonly isTTY?: boolean }): boolean {
  return stream.isTTY ?? false;
}
