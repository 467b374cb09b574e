/**
 * Where a maintenance window is kept on this machine: window.json while it is open, and a journal
 * for each window. One program at a time works on it.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { syncFolder, writeFileAtomically } from "../../kit/atomic-file.ts";
import { askLocalHolder, tryLocalLock } from "../../kit/local-lock.ts";
import { readJournal } from "../operation/journal-file.ts";
import { windowView } from "./window.ts";
import type { MaintenanceWindow, WindowView } from "./window.ts";

/** Another program opens or closes the window. */
export class MaintenanceLockedError extends Error {
  override readonly name = "MaintenanceLockedError";
  readonly code = "ERR_LOCKED";
}

/** window.json cannot be read. */
export class WindowFileError extends Error {
  override readonly name = "WindowFileError";
  readonly code = "ERR_MAINTENANCE_WINDOW";
}

const privateMode = 0o600;
const privateFolder = 0o700;

/** The folder of an environment's windows below the folder of its operations. */
export function windowFolder(operations: string): string {
  return join(operations, "maintenance");
}

/** The journal of one window. */
export function windowJournal(folder: string, id: string): string {
  return join(folder, `${id}.journal.jsonl`);
}

const windowPath = (folder: string): string => join(folder, "window.json");

/**
 * The window that is open; undefined when none is.
 * @throws WindowFileError when the file is there and cannot be read
 */
export async function readWindow(folder: string): Promise<MaintenanceWindow | undefined> {
  const path = windowPath(folder);
  try {
    const value = JSON.parse(await readFile(path, "utf8")) as Partial<MaintenanceWindow>;
    const isWindow = typeof value.id === "string" && Array.isArray(value.steps);
    if (!isWindow) throw new Error("it is no maintenance window");
    return value as MaintenanceWindow;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new WindowFileError(`cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}

/**
 * The window that is open, with the state of its steps; undefined when none is.
 * @throws WindowFileError, JournalError
 */
export async function lookAtWindow(folder: string): Promise<WindowView | undefined> {
  const window = await readWindow(folder);
  if (window === undefined) return undefined;
  return windowView(window, await readJournal(windowJournal(folder, window.id)));
}

/** Writes the window, durably and for its owner alone. @throws the file system's error */
export async function writeWindow(folder: string, window: MaintenanceWindow): Promise<void> {
  await mkdir(folder, { recursive: true, mode: privateFolder });
  await syncFolder(dirname(folder));
  const text = `${JSON.stringify(window, undefined, 2)}\n`;
  await writeFileAtomically(windowPath(folder), text, { mode: privateMode });
}

/** Removes the window, durably. @throws the file system's error */
export async function removeWindow(folder: string): Promise<void> {
  await rm(windowPath(folder), { force: true });
  await syncFolder(folder);
}

/**
 * Runs `work` while no other program of this machine works on the window.
 * @throws MaintenanceLockedError at once when one does, or what `work` throws
 */
export async function withWindowLock<T>(
  folder: string,
  purpose: string,
  work: () => Promise<T>,
): Promise<T> {
  const name = `maintenance-${createHash("sha256").update(folder).digest("hex").slice(0, 32)}`;
  const held = await tryLocalLock(name, purpose);
  if (held === undefined) {
    const holder = await askLocalHolder(name);
    throw new MaintenanceLockedError(`the maintenance window is being worked on: ${holder}`);
  }
  try {
    return await work();
  } finally {
    held.release();
  }
}
