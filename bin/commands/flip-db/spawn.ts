/**
 * Starts the processes of a flip: each a session of its own, so that neither Ctrl-C nor the end of
 * the terminal reaches it, with its complaints in a log file. Nothing secret is in its words.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { inCheckout } from "../../../kit/checkout.ts";
import { childEnvironment } from "../../cli/child-environment.ts";

export interface FlipProcess {
  readonly child: ChildProcess;
  readonly logFile: string;
}

/** The two processes of a flip could not do their work. */
export class FlipProcessError extends Error {
  override readonly name = "FlipProcessError";
  readonly code = "ERR_FLIP_PROCESS";
  readonly logFile: string;
  constructor(what: string, logFile: string) {
    super(`${what}; its log is ${logFile}`);
    this.logFile = logFile;
  }
}

/**
 * Starts one of them. Its standard input is a pipe; `output` says whether its standard output is
 * one as well or goes to the log.
 */
export async function startProcess(
  role: "executor" | "watcher",
  words: { readonly environment: string; readonly run: string; readonly folder: string },
  output: "pipe" | "log",
): Promise<FlipProcess> {
  const { environment, run, folder } = words;
  const logFile = join(folder, `${run}.${role}.log`);
  const log = await open(logFile, "a", 0o600);
  try {
    const file = inCheckout("bin/commands/flip-process.ts");
    const child = spawn(process.execPath, [file, role, environment, run, folder], {
      detached: true,
      stdio: ["pipe", output === "pipe" ? "pipe" : log.fd, log.fd],
      env: childEnvironment({}),
    });
    // Whoever writes to one that has died hears of it by its end.
    child.stdin?.on("error", () => undefined);
    child.on("error", () => undefined);
    return { child, logFile };
  } finally {
    await log.close();
  }
}

/** Removes a log that nothing was written to. */
export async function removeEmptyLog(logFile: string): Promise<void> {
  try {
    if ((await stat(logFile)).size === 0) await rm(logFile, { force: true });
  } catch {
    // It is gone already, or stays: nobody waits for it.
  }
}

/** True while the process runs; one of another user's counts as running. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
