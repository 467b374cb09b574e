/**
 * A journal in a local file: one JSON record a line, only ever added to, each on the disk before
 * append() resolves. A power cut can leave one torn last line; it is passed over, and the next
 * record starts on a line of its own.
 */
import { open, readFile } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { syncFolder } from "../../kit/atomic-file.ts";
import { phases } from "./records.ts";
import type { JournalRecord } from "./records.ts";

/** Where records go. */
export interface Journal {
  /** Resolves once the record survives a power cut. @throws when it could not be written */
  append(record: JournalRecord): Promise<void>;
  /** Writes the record along with the next one that is appended; not waited for. */
  note?(record: JournalRecord): void;
}

/** A line of the journal, other than a torn last one, is not a record. */
export class JournalError extends Error {
  override readonly name = "JournalError";
  readonly code = "ERR_JOURNAL";
  readonly path: string;
  readonly line: number;
  constructor(path: string, line: number, cause?: unknown) {
    super(`journal ${path}: line ${line} is not a record`, { cause });
    this.path = path;
    this.line = line;
  }
}

/** Appends to one journal file. Close it after use. */
export class FileJournal implements Journal {
  readonly #file: FileHandle;
  #noted = "";
  #isTorn = false;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /**
   * Opens the journal at `path`, readable by its owner alone; its folder must exist.
   * @throws the file system's error
   */
  static async open(path: string): Promise<FileJournal> {
    const file = await open(path, "a+", 0o600);
    try {
      const { size } = await file.stat();
      const last = Buffer.alloc(1);
      if (size > 0) await file.read(last, 0, 1, size - 1);
      if (size > 0 && last.toString() !== "\n") await file.appendFile("\n");
      await file.sync();
      await syncFolder(dirname(path));
      return new FileJournal(file);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Adds one record and waits until it is on the disk. @throws the file system's error */
  async append(record: JournalRecord): Promise<void> {
    this.note(record);
    await this.#flush();
  }

  note(record: JournalRecord): void {
    this.#noted += `${JSON.stringify(record)}\n`;
  }

  /** Writes what is still only noted, and closes the file. @throws the file system's error */
  async close(): Promise<void> {
    try {
      if (this.#noted !== "") await this.#flush();
    } finally {
      await this.#file.close();
    }
  }

  async #flush(): Promise<void> {
    const text = this.#noted;
    this.#noted = "";
    // A write that failed may have left a part of a line.
    const whole = this.#isTorn ? `\n${text}` : text;
    this.#isTorn = true;
    await this.#file.appendFile(whole);
    this.#isTorn = false;
    await this.#file.datasync();
  }
}

/** In its place where nothing but looking is wanted: nothing can be recorded, so nothing be done. */
export const noJournal: Journal = {
  append: () => Promise.reject(new TypeError("this world was opened for looking alone")),
};

/**
 * Reads all records of the journal at `path`; none when there is no such file.
 * @throws JournalError for a line that is not a record, unless a power cut tore it
 */
export async function readJournal(path: string): Promise<JournalRecord[]> {
  try {
    return parseJournal(await readFile(path, "utf8"), path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/**
 * Reads the text of a journal; `path` is for the error alone.
 * A torn line is one that is not whole JSON: the last one, or one that a later run closed.
 * @throws JournalError for whole JSON that is not a record
 */
export function parseJournal(text: string, path: string): JournalRecord[] {
  const lines = text.split("\n");
  return lines.flatMap((line, index) => {
    if (line === "") return [];
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return [];
    }
    if (!isRecord(value)) {
      // A torn line can by chance be whole JSON: a number's digits, for one.
      if (index === lines.length - 1) return [];
      throw new JournalError(path, index + 1);
    }
    return [value];
  });
}

function isRecord(value: unknown): value is JournalRecord {
  if (typeof value !== "object" || value === null) return false;
  const { operationId, step, phase, at, facts } = value as Record<string, unknown>;
  return (
    typeof operationId === "string" &&
    typeof step === "string" &&
    phases.some((one) => one === phase) &&
    typeof at === "number" &&
    typeof facts === "object" &&
    facts !== null
  );
}
