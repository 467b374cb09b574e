/**
 * Who owns the folder of an embedded store: one process, from its start to its end, however it ends.
 * The right is a lock on a file of the folder (fcntl, held through SQLite), which the kernel gives back
 * with the process and which holds across containers that share the folder.
 */
import { chmodSync, mkdirSync, openSync, closeSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { syncFolder } from "../../kit/atomic-file.ts";
import { StoreLockedError } from "./store.ts";

const lockFile = "registry.lock";
const holderFile = "registry.owner";
export const databaseFile = "registry.db";

export interface Ownership {
  /** The database's file; it exists, and only its owner may read it. */
  readonly path: string;
  release(): void;
}

/**
 * Makes the folder where it is missing (mode 0700, durably), takes it for this process, and makes an
 * empty database file of mode 0600 where there is none.
 * @throws StoreLockedError when another process has it, or the file system's error
 */
export async function ownFolder(folder: string): Promise<Ownership> {
  const made = mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (made !== undefined) await syncFolder(join(made, ".."));
  const lock = takeLock(folder);
  try {
    writeFileSync(join(folder, holderFile), `process ${process.pid} on ${hostname()}\n`);
    const path = join(folder, databaseFile);
    makeEmpty(path);
    chmodSync(path, 0o600);
    await syncFolder(folder);
    return { path, release: () => lock.close() };
  } catch (error) {
    lock.close();
    throw error;
  }
}

function takeLock(folder: string): DatabaseSync {
  const lock = new DatabaseSync(join(folder, lockFile), { timeout: 0 });
  try {
    lock.exec("BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock.close();
    throw isBusy(error) ? new StoreLockedError(folder, holderOf(folder)) : error;
  }
}

/** SQLITE_BUSY: another connection holds the lock (sqlite.org/rescode.html#busy). */
function isBusy(error: unknown): boolean {
  return (error as { errcode?: unknown }).errcode === 5;
}

function holderOf(folder: string): string {
  try {
    return readFileSync(join(folder, holderFile), "utf8").trim() || "another process";
  } catch {
    return "another process";
  }
}

function makeEmpty(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}
