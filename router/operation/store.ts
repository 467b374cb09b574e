/**
 * Where a host keeps its operations on a cluster: a folder with one journal and one file of events
 * each. The folder is given; it is readable by its owner alone.
 */
import { mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseJournal } from "./journal-file.ts";
import { fold } from "./records.ts";
import type { OperationState } from "./records.ts";

const journalEnd = ".journal.jsonl";
const eventsEnd = ".events.jsonl";
const idPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** No more than this is read of one journal; a whole flip writes some ten kilobytes. */
const mostBytes = 1024 * 1024;

/** How many operations a host keeps, and how many it reads: some may be kept as unfinished. */
const kept = 200;
const mostListed = 1000;

/** A name that cannot be the id of an operation. */
export class OperationIdError extends Error {
  override readonly name = "OperationIdError";
  readonly code = "ERR_OPERATION_ID";
  readonly id: string;
  constructor(id: string) {
    super(`not the id of an operation: ${JSON.stringify(id.slice(0, 80))}`);
    this.id = id;
  }
}

export interface OperationFiles {
  readonly journal: string;
  readonly events: string;
}

/** An operation that this host knows, with what its journal amounts to. */
export interface StoredOperation {
  readonly id: string;
  readonly files: OperationFiles;
  /** Undefined when its journal is empty or cannot be read; `fault` says why. */
  readonly state: OperationState | undefined;
  readonly fault: string | undefined;
}

/**
 * The files of operation `id` in `folder`.
 * @throws OperationIdError for an id that is not letters, digits, `-` and `_`
 */
export function operationFiles(folder: string, id: string): OperationFiles {
  if (!idPattern.test(id)) throw new OperationIdError(id);
  return { journal: join(folder, `${id}${journalEnd}`), events: join(folder, `${id}${eventsEnd}`) };
}

/**
 * Makes the folder, and those above it, with mode 0700; another program may do so at the same time.
 * @throws the file system's error
 */
export async function makeOperationFolder(folder: string): Promise<void> {
  const above = dirname(folder);
  // Node's own recursion never ends where a parent is there and takes no folder, as in /proc.
  if (above !== folder && !(await isFolder(above))) await makeOperationFolder(above);
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/**
 * The operations in `folder` with the `limit` latest names, newest last by their first record; none
 * when there is no folder. An id begins with its time, so the latest name is the newest operation.
 * A journal that cannot be read is listed with its fault.
 * @throws the file system's error for the folder itself
 */
export async function listOperations(
  folder: string,
  limit: number = mostListed,
): Promise<StoredOperation[]> {
  const ids = (await idsIn(folder)).slice(-limit);
  const read = await Promise.all(ids.map((id) => readOne(folder, id)));
  const byTime = read.flatMap((one) => one ?? []).toSorted((left, right) => left.at - right.at);
  return byTime.map(({ stored }) => stored);
}

/**
 * Removes the files of the oldest operations until `keep` are left; none that is unfinished, or whose
 * journal cannot be read. Called when a new one begins.
 * @returns the ids that were removed
 * @throws the file system's error
 */
export async function pruneOperations(folder: string, keep: number = kept): Promise<string[]> {
  const removed: string[] = [];
  for (const id of (await idsIn(folder)).slice(0, -keep)) {
    const read = await readOne(folder, id);
    if (read === undefined) continue;
    const { files, state, fault } = read.stored;
    if (fault !== undefined || (state !== undefined && state.outcome === null)) continue;
    // The journal last: it is what the next attempt finds them by.
    await rm(files.events, { force: true });
    await rm(files.journal, { force: true });
    removed.push(id);
  }
  return removed;
}

/** The ids of the operations in `folder`, by name. */
async function idsIn(folder: string): Promise<string[]> {
  return (await namesIn(folder))
    .filter((name) => name.endsWith(journalEnd))
    .map((name) => name.slice(0, -journalEnd.length))
    .filter((id) => idPattern.test(id))
    .toSorted();
}

/**
 * Removes what an attempt has left that was refused before it was begun: files without one record.
 * @throws the file system's error
 */
export async function removeUnbegun({ journal, events }: OperationFiles): Promise<void> {
  const size = await stat(journal).then(
    (found) => found.size,
    () => 0,
  );
  if (size > 0) return;
  await rm(journal, { force: true });
  await rm(events, { force: true });
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Undefined for one that is gone: what was refused, or is too old, is removed by who has just begun. */
async function readOne(
  folder: string,
  id: string,
): Promise<{ readonly at: number; readonly stored: StoredOperation } | undefined> {
  const files = operationFiles(folder, id);
  try {
    const records = parseJournal(await readStart(files.journal), files.journal);
    const state = fold(records).find((one) => one.operationId === id);
    const stored = { id, files, state, fault: undefined };
    return { at: records[0]?.at ?? 0, stored };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    const fault = error instanceof Error ? error.message : String(error);
    return { at: 0, stored: { id, files, state: undefined, fault } };
  }
}

/** The beginning of a file, cut at its last whole line where it is longer than it should be. */
async function readStart(path: string): Promise<string> {
  const file = await open(path, "r");
  try {
    const bytes = Buffer.alloc(mostBytes);
    const { bytesRead } = await file.read(bytes, 0, mostBytes, 0);
    const text = bytes.subarray(0, bytesRead).toString("utf8");
    return bytesRead < mostBytes ? text : text.slice(0, text.lastIndexOf("\n") + 1);
  } finally {
    await file.close();
  }
}
