/**
 * Runs one program of the test run under a deadline: a test file with Node itself, or a check. What
 * it left behind is ended, and counts as trouble.
 */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { childEnvironment } from "../cli/child-environment.ts";
import { DeadlineError, eventually, systemClock, withDeadline } from "../../kit/clock.ts";
import { leftBehind, signalAll, tokenName } from "./left-behind.ts";
import type { Ending } from "./verdict.ts";

export interface Job {
  /** As it is shown: a path, or check/NAME. */
  readonly name: string;
  /** Words after Node's own name. */
  readonly words: readonly string[];
  readonly deadlineMs: number;
  readonly environment: Readonly<Record<string, string>>;
  /** How long what was asked to end may take before it is ended; 10 s when not given. */
  readonly graceMs?: number;
}

export interface Ended extends Ending {
  readonly stderr: string;
  readonly tookMs: number;
}

const stderrKeptChars = 8000;
const interrupted = "the run was interrupted";
const graceDefaultMs = 10_000;

/**
 * Runs `job` in `folder` and hands each piece of its standard output to `onOutput`. Resolves when
 * the program and all it started have ended; never rejects for what the program does.
 */
export async function runJob(
  job: Job,
  folder: string,
  onOutput: (text: string) => void,
  signal: AbortSignal,
): Promise<Ended> {
  const started = systemClock.monotonic();
  if (signal.aborted)
    return { code: null, signal: null, trouble: interrupted, stderr: "", tookMs: 0 };
  const graceMs = job.graceMs ?? graceDefaultMs;
  const token = randomUUID();
  const child = spawn(process.execPath, [...job.words], {
    cwd: folder,
    // A process group of its own, so that all of it can be ended.
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: childEnvironment({ ...job.environment, [tokenName]: token }),
  });
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", onOutput);
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-stderrKeptChars);
  });
  const exited = new Promise<Ending>((resolve) => {
    child.on("error", (error) => resolve({ code: null, signal: null, trouble: error.message }));
    child.on("exit", (code, killedBy) => resolve({ code, signal: killedBy }));
  });
  const closed = new Promise<void>((resolve) => {
    child.on("close", () => resolve());
    child.on("error", () => resolve());
  });
  const ending = await underDeadline(job, exited, signal);
  const left = child.pid === undefined ? [] : await endRest(token, child.pid, ending, graceMs);
  // With nothing left that holds the pipes, what was printed is all here.
  await withDeadline(`output of ${job.name}`, graceMs, () => closed).catch(() => undefined);
  const trouble =
    ending.trouble ??
    (left.length === 0 ? undefined : `left running and ended: ${left.join(", ")}`);
  return { ...ending, trouble, stderr, tookMs: systemClock.monotonic() - started };
}

async function underDeadline(
  job: Job,
  exited: Promise<Ending>,
  signal: AbortSignal,
): Promise<Ending> {
  try {
    return await withDeadline(job.name, job.deadlineMs, () => exited, signal);
  } catch (error) {
    const trouble =
      error instanceof DeadlineError
        ? `not done after ${job.deadlineMs / 1000} s; it was ended`
        : interrupted;
    return { code: null, signal: null, trouble };
  }
}

/** Ends what is left of the job; returns the names of what had to be ended though the job was over. */
async function endRest(
  token: string,
  group: number,
  ending: Ending,
  graceMs: number,
): Promise<readonly string[]> {
  const look = async (): Promise<true | undefined> =>
    (await leftBehind(token, group)).length === 0 ? true : undefined;
  const waiting = { deadlineMs: graceMs, intervalMs: 50 };
  // Teardown may still be on its way: a program over its deadline is asked first, too.
  if (ending.trouble !== undefined) signalAll(await leftBehind(token, group), "SIGTERM");
  if (await eventually("end of the test's processes", waiting, look).catch(() => false)) return [];
  const rest = await leftBehind(token, group);
  signalAll(rest, "SIGKILL");
  await eventually("end of the test's processes", waiting, look).catch(() => undefined);
  return rest.map((one) => `${one.program} (${one.pid})`);
}
