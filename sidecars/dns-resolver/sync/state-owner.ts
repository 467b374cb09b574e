/**
 * Who owns the folder of a resolver's snapshot: one process of this machine, from its start to its
 * end, however it ends. The lock is one of kit/local-lock.ts, so that a process in another network
 * namespace that shares the folder is not noticed.
 */
import { mkdir, stat } from "node:fs/promises";
import { askLocalHolder, tryLocalLock } from "../../../kit/local-lock.ts";

/** Another process writes its snapshots there. */
export class StateLockedError extends Error {
  override readonly name = "StateLockedError";
  readonly code = "ERR_LOCKED";
  readonly folder: string;
  constructor(folder: string, holder: string) {
    super(`the state folder ${folder}: owned by ${holder}; each resolver needs one of its own`);
    this.folder = folder;
  }
}

/**
 * Takes the folder for this process, and makes it where it is missing. One that cannot be made is
 * nobody's, and is told of when the snapshot is read.
 * @returns what gives it back
 * @throws StateLockedError
 */
export async function ownState(folder: string): Promise<{ readonly release: () => void }> {
  const name = await lockName(folder);
  if (name === undefined) return { release: () => undefined };
  const lock = await tryLocalLock(name, "a dns-resolver");
  if (lock !== undefined) return lock;
  throw new StateLockedError(folder, await askLocalHolder(name));
}

/** By what the folder is, since containers may each have another one at the same path. */
async function lockName(folder: string): Promise<string | undefined> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const { dev, ino } = await stat(folder, { bigint: true });
    return `dns-resolver-${dev}-${ino}`;
  } catch {
    return undefined;
  }
}
