/**
 * Runs a program to its end under a deadline, and says what it printed. Arguments are an array and
 * no shell is in between; a secret goes in by standard input or environment, never as an argument.
 */
import { spawn } from "node:child_process";
import type { SpawnOptions } from "node:child_process";
import { withDeadline } from "./clock.ts";

export interface ChildResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ChildOptions {
  readonly deadlineMs: number;
  readonly input?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly gid?: number;
  readonly signal?: AbortSignal;
  /** Exit codes that are a result and not a failure; [0] when not given. */
  readonly accept?: readonly number[];
}

const outputLimitBytes = 16 * 1024 * 1024;
const outputLimit = "16 MiB";
/** How much of a failed program's output stands in the error; the end says why it failed. */
const saidLimit = 2000;

/** A program could not be started, ended with an exit code that is a failure, or printed too much. */
export class ChildError extends Error {
  override readonly name = "ChildError";
  readonly code: "ERR_CHILD_START" | "ERR_CHILD_FAILED" | "ERR_CHILD_OUTPUT";
  readonly exitCode: number | undefined;
  readonly stderr: string;
  constructor(
    code: ChildError["code"],
    message: string,
    details: { exitCode?: number; stderr?: string; cause?: unknown } = {},
  ) {
    super(message, { cause: details.cause });
    this.code = code;
    this.exitCode = details.exitCode;
    this.stderr = details.stderr ?? "";
  }
}

/**
 * Runs `program` with `args`; resolves with its exit code and output when the code is accepted. The
 * child is killed (SIGKILL) when the deadline is over, the signal aborts, or it prints more than 16
 * MiB to its output or its error output: half an answer is none.
 * @throws ChildError, DeadlineError, or the signal's reason
 */
export function runChild(
  program: string,
  args: readonly string[],
  options: ChildOptions,
): Promise<ChildResult> {
  const shown = [program, ...args].join(" ");
  return withDeadline(
    shown,
    options.deadlineMs,
    (signal) => toTheEnd(program, args, shown, { ...options, signal }),
    options.signal,
  );
}

function toTheEnd(
  program: string,
  args: readonly string[],
  shown: string,
  options: ChildOptions,
): Promise<ChildResult> {
  const { promise, resolve, reject } = Promise.withResolvers<ChildResult>();
  const child = spawn(program, args, spawnOptions(options));
  const hangUp = (): void => {
    child.stdout?.destroy();
    child.stderr?.destroy();
  };
  const tooMuch = (): void => {
    reject(new ChildError("ERR_CHILD_OUTPUT", `${shown}: it printed more than ${outputLimit}`));
    child.kill("SIGKILL");
    hangUp();
  };
  const stdout = collect(child.stdout, tooMuch);
  const stderr = collect(child.stderr, tooMuch);
  child.on("error", (cause) =>
    reject(new ChildError("ERR_CHILD_START", `${shown}: ${cause.message}`, { cause })),
  );
  child.on("close", (code, killedBy) => {
    const result = { code: code ?? -1, stdout: stdout(), stderr: stderr() };
    if ((options.accept ?? [0]).includes(result.code)) resolve(result);
    else reject(failure(shown, result, killedBy));
  });
  // A killed program whose own children live on leaves its pipes open, and us waiting for them.
  options.signal?.addEventListener("abort", hangUp, { once: true });
  // A program that ends without reading its input is judged by its exit code, not by EPIPE.
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(options.input ?? "");
  return promise;
}

function spawnOptions(options: ChildOptions): SpawnOptions {
  return {
    stdio: ["pipe", "pipe", "pipe"],
    killSignal: "SIGKILL",
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  };
}

function failure(shown: string, result: ChildResult, killedBy: string | null): ChildError {
  const ended = killedBy === null ? `exit code ${result.code}` : `ended by ${killedBy}`;
  const output = result.stderr.trim() || result.stdout.trim() || "it printed nothing";
  const said = output.length > saidLimit ? `... ${output.slice(-saidLimit)}` : output;
  return new ChildError("ERR_CHILD_FAILED", `${shown}: ${ended}: ${said}`, {
    exitCode: result.code,
    stderr: result.stderr,
  });
}

function collect(stream: NodeJS.ReadableStream | null, tooMuch: () => void): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size > outputLimitBytes) tooMuch();
    else chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString("utf8");
}
