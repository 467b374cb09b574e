/**
 * One verb at a time on one lab: a lock among the programs of this machine, which is waited for.
 */
import { DeadlineError, eventually } from "../kit/clock.ts";
import { askLocalHolder, tryLocalLock } from "../kit/local-lock.ts";

/** Another tool works on the lab. */
export class LabLockedError extends Error {
  override readonly name = "LabLockedError";
  readonly code = "ERR_LOCKED";
}

/** Long enough for an up or a down that is under way, also on a busy machine. */
const patienceMs = 60_000;

/**
 * Runs `work` while holding the lock called `name`; `purpose` is what others are told.
 * @throws LabLockedError when another tool holds it for longer than `patience` (ms), or what `work`
 * throws
 */
export async function withLock<T>(
  name: string,
  options: { purpose: string; patience?: number; signal?: AbortSignal },
  work: () => Promise<T>,
): Promise<T> {
  const held = await take(name, options);
  try {
    return await work();
  } finally {
    held.release();
  }
}

async function take(
  name: string,
  options: { purpose: string; patience?: number; signal?: AbortSignal },
): Promise<{ readonly release: () => void }> {
  const deadlineMs = options.patience ?? patienceMs;
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  try {
    return await eventually(`the lock of ${name}`, { deadlineMs, intervalMs: 25, ...signal }, () =>
      tryLocalLock(name, options.purpose),
    );
  } catch (cause) {
    if (!(cause instanceof DeadlineError)) throw cause;
    const holder = await askLocalHolder(name);
    throw new LabLockedError(
      `${name}: ${holder} is at work on it and did not finish within ${deadlineMs} ms`,
      { cause },
    );
  }
}
