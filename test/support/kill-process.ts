/** Signals to processes that others started, by what somebody says is their pid. */

/**
 * Sends a signal to the process `pid`. A pid that is none (null, 0, 1, or not a whole number) would
 * mean our own group or the whole machine, and throws.
 * @throws TypeError, or what kill(2) says
 */
export function signalOne(pid: number | null | undefined, signal: NodeJS.Signals): void {
  if (typeof pid !== "number" || !Number.isInteger(pid) || pid <= 1) {
    throw new TypeError(`${signal} to the process ${pid}: there is no such process to signal`);
  }
  process.kill(pid, signal);
}

/**
 * The same to each process that is still there: short-lived ones come and go.
 * @throws as signalOne, but for a process that has ended
 */
export function signalEach(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      signalOne(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}
