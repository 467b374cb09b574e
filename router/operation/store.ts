/**
 * Where a host keeps its operations on a cluster: a folder with one journal and one file of events
 * each. The folder is given; it is readable by its owner alone.
 */
import { mkdir, open, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseJournal } from "./journal-file.ts";
import { fold } from "./records.ts";
import type { OperationState } from "./records.ts";

const journalEnd = ".journal.jsonl";
const eventsEnd = ".events.jsonl";
const idPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** No more than this is read of one journal; a whole flip writes some ten kilobytes. */
const mostBytes = 1024 * 1024;

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

/** Makes the folder, and those above it, with mode 0700. @throws the file system's error */
export async function makeOperationFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return;
    // Node's own recursion never ends where a parent is there and takes no folder, as in /proc.
    if (code !== "ENOENT" || dirname(folder) === folder || (await isFolder(dirname(folder)))) {
      throw error;
    }
    await makeOperationFolder(dirname(folder));
    await mkdir(folder, { mode: 0o700 });
  }
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/**
 * The operations in `folder`, newest last by their first record, at most `limit` of the newest
 * names; none when there is no folder. A journal that cannot be read is listed with its fault.
 * @throws the file system's error for the folder itself
 */
export async function listOperations(folder: string, limit = 200): Promise<StoredOperation[]> {
  const names = await namesIn(folder);
  const ids = names
    .filter((name) => name.endsWith(journalEnd))
    .map((name) => name.slice(0, -journalEnd.length))
    .filter((id) => idPattern.test(id));
  const found = await Promise.all(ids.map((id) => readOne(folder, id)));
  const byTime = found.toSorted((left, right) => left.at - right.at);
  return byTime.slice(-limit).map(({ stored }) => stored);
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

async function readOne(
  folder: string,
  id: string,
): Promise<{ readonly at: number; readonly stored: StoredOperation }> {
  const files = operationFiles(folder, id);
  try {
    const records = parseJournal(await readStart(files.journal), files.journal);
    const state = fold(records).find((one) => one.operationId === id);
    const stored = { id, files, state, fault: undefined };
    return { at: records[0]?.at ?? 0, stored };
  } catch (error) {
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
