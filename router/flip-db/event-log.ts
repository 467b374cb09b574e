/**
 * The event file of one operation: a JSON line for each event, written by who carries it out and
 * followed by whoever watches. It outlives all of them; `history` reads it. Readable by its owner
 * alone, like the journal beside it.
 */
import { open, readFile } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { systemClock } from "../../kit/clock.ts";
import type { FlipEvent } from "./events.ts";

/** How often the file is looked at while it is followed. */
const followEveryMs = 20;

/** Appends events in order; nobody waits for the disk while clients wait. */
export class EventLog {
  /** Undefined where the file could not be opened: then every event is dropped. */
  readonly #file: FileHandle | undefined;
  readonly #onLost: (error: Error) => void;
  #written: Promise<unknown> = Promise.resolve();
  #lost = 0;
  /** A line may have been written in part. */
  #isTorn = false;

  private constructor(file: FileHandle | undefined, onLost: (error: Error) => void) {
    this.#file = file;
    this.#onLost = onLost;
  }

  /**
   * Opens the file at `path` to append.
   * @param onLost told of the first event that could not be written, and of no other
   */
  static async open(path: string, onLost: (error: Error) => void): Promise<EventLog> {
    try {
      return new EventLog(await open(path, "a", 0o600), onLost);
    } catch (error) {
      onLost(error as Error);
      return new EventLog(undefined, onLost);
    }
  }

  /** Queues one line. What the disk does not take is dropped: the operation comes first. */
  append(event: FlipEvent): void {
    const line = `${JSON.stringify(event)}\n`;
    this.#written = this.#written.then(() => this.#write(line));
  }

  /** Resolves when everything is written, or dropped. */
  async close(): Promise<void> {
    await this.#written;
    await this.#file?.close();
  }

  async #write(line: string): Promise<void> {
    try {
      await this.#file?.appendFile(this.#isTorn ? `\n${line}` : line);
      this.#isTorn = false;
    } catch (error) {
      this.#isTorn = true;
      this.#lost += 1;
      if (this.#lost === 1) this.#onLost(error as Error);
    }
  }
}

/** The events of a text of lines; a torn or foreign line is passed over. */
export function parseEvents(text: string): FlipEvent[] {
  return text.split("\n").flatMap((line) => {
    try {
      const value = JSON.parse(line) as Partial<FlipEvent> | null;
      return typeof value?.event === "string" ? [value as FlipEvent] : [];
    } catch {
      return [];
    }
  });
}

/** All events at `path`; none when there is no such file. @throws the file system's error */
export async function readEvents(path: string): Promise<FlipEvent[]> {
  try {
    return parseEvents(await readFile(path, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** The size of the file in bytes, from which a new run is followed; 0 when there is none. */
export async function endOfLog(path: string): Promise<number> {
  try {
    const file = await open(path, "r");
    try {
      return (await file.stat()).size;
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0;
    throw error;
  }
}

/**
 * Every event at `path` from the byte `offset` on, as it comes, until `isOver` (asked whenever there
 * is nothing new) says so and what is there has been given.
 * @throws the signal's reason; the file system's error
 */
export async function* followEvents(
  path: string,
  offset: number,
  isOver: () => boolean,
  signal: AbortSignal,
): AsyncGenerator<FlipEvent> {
  let at = offset;
  let rest = Buffer.alloc(0);
  for (;;) {
    const over = isOver();
    const bytes = await readFrom(path, at);
    at += bytes.length;
    rest = Buffer.concat([rest, bytes]);
    const end = rest.lastIndexOf(0x0a) + 1;
    yield* parseEvents(rest.subarray(0, end).toString("utf8"));
    rest = rest.subarray(end);
    if (over && bytes.length === 0) return;
    if (bytes.length === 0) await systemClock.sleep(followEveryMs, signal);
    signal.throwIfAborted();
  }
}

const readAtOnce = 64 * 1024;

async function readFrom(path: string, offset: number): Promise<Buffer> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
  try {
    const buffer = Buffer.alloc(readAtOnce);
    const { bytesRead } = await file.read(buffer, 0, readAtOnce, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
