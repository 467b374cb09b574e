/**
 * Ends what a test file leaves running: its process group, and every process that carries the
 * file's token in its environment, whatever group it went to. Nothing else is ever signalled.
 */
import { readdir, readFile } from "node:fs/promises";

/** The name of the environment variable that marks a test file and all it starts. */
export const tokenName = "SWITCHYARD_TEST_RUN";

/** The processes that carry `token` or belong to the process group `group`: pid and program. */
export async function leftBehind(
  token: string,
  group: number,
): Promise<readonly { pid: number; program: string }[]> {
  const entries = await readdir("/proc");
  const pids = entries.map(Number).filter((pid) => Number.isInteger(pid) && pid !== process.pid);
  const looked = await Promise.all(pids.map((pid) => look(pid, token, group)));
  return looked.flatMap((one) => one ?? []);
}

async function look(
  pid: number,
  token: string,
  group: number,
): Promise<{ pid: number; program: string } | undefined> {
  try {
    const [stat, environment] = await Promise.all([
      readFile(`/proc/${pid}/stat`, "utf8"),
      readFile(`/proc/${pid}/environ`, "utf8").catch(() => ""),
    ]);
    // "pid (program) state ppid pgrp …": the program's name may hold spaces and brackets.
    const nameEnd = stat.lastIndexOf(")");
    const [state, , processGroup] = stat.slice(nameEnd + 2).split(" ");
    const isOurs =
      Number(processGroup) === group || environment.split("\0").includes(`${tokenName}=${token}`);
    if (!isOurs || state === "Z" || state === "X") return undefined;
    return { pid, program: stat.slice(stat.indexOf("(") + 1, nameEnd) };
  } catch {
    // It ended while it was looked at.
    return undefined;
  }
}

/** Sends `signal` to each process that still is there. */
export function signalAll(processes: readonly { pid: number }[], signal: NodeJS.Signals): void {
  for (const { pid } of processes) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended.
    }
  }
}
