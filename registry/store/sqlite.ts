/**
 * The embedded store: one SQLite file in a folder that one process owns. WAL with synchronous = FULL:
 * when a change is answered, it has been synced (sqlite.org/pragma.html#pragma_synchronous). Writers
 * take turns on one connection; readers have another and see the last commit.
 */
import { DatabaseSync } from "node:sqlite";
import type { StatementSync } from "node:sqlite";
import { systemClock } from "../../kit/clock.ts";
import { createTurns } from "../../kit/turns.ts";
import type { Turns } from "../../kit/turns.ts";
import { assembleStore } from "./assemble.ts";
import { dialects } from "./database.ts";
import type { Database, Statements, Value } from "./database.ts";
import { createListeners, createLocalLead } from "./listeners.ts";
import { takeTerm } from "./lead-term.ts";
import type { Listeners, Notice } from "./listeners.ts";
import { migrate } from "./migrate.ts";
import { ownFolder } from "./sqlite-owner.ts";
import { StoreError } from "./store.ts";
import type { RegistryStore, StoreOptions } from "./store.ts";

const waitingMax = 10_000;
const busyMs = 5000;
const settings = [
  "PRAGMA journal_mode = WAL",
  "PRAGMA synchronous = FULL",
  "PRAGMA foreign_keys = ON",
] as const;

/**
 * Opens the store in `folder`, and makes it where there is none; this process owns it until it is
 * closed.
 * @throws StoreLockedError, StoreSchemaError, StoreError
 */
export async function openSqliteStore(
  folder: string,
  options: StoreOptions,
): Promise<RegistryStore> {
  const title = `registry store ${folder}`;
  const clock = options.clock ?? systemClock;
  const owned = await ownFolder(folder).catch((error: unknown) => {
    throw asStoreError(title, "take the folder", error);
  });
  const opened: DatabaseSync[] = [];
  const closing = new AbortController();
  const close = (): void => {
    if (closing.signal.aborted) return;
    closing.abort(new StoreError(`${title}: closed`));
    // The writer last: only then is everything moved from the log into the file.
    for (const one of opened.splice(0).toReversed()) one.close();
    owned.release();
  };
  try {
    opened.push(openFile(title, owned.path, false));
    opened.push(openFile(title, owned.path, true));
    const [writer, reader] = opened as [DatabaseSync, DatabaseSync];
    const listeners = createListeners();
    const database = sqliteDatabase(title, { writer, reader }, listeners);
    const at = new Date(clock.now()).toISOString();
    await migrate(database, { zone: options.zone, at });
    const ends = {
      publish: async (topic: Notice["topic"], payload: string) =>
        await Promise.resolve(listeners.tell({ topic, payload })),
      subscribe: listeners.subscribe,
      lead: createLocalLead(closing.signal, () => takeTerm(database)),
      close: async () => {
        await database.settled();
        close();
      },
    };
    return assembleStore(database, ends, { zone: options.zone, clock });
  } catch (error) {
    close();
    throw error;
  }
}

function openFile(title: string, path: string, readOnly: boolean): DatabaseSync {
  try {
    const file = new DatabaseSync(path, { readOnly, timeout: busyMs });
    for (const setting of readOnly ? [] : settings) file.exec(setting);
    return file;
  } catch (error) {
    throw asStoreError(title, "open it", error);
  }
}

interface SqliteDatabase extends Database {
  /** Resolves when no transaction is under way. */
  settled(): Promise<void>;
}

/** A database whose transactions take turns, the writing ones among themselves and the reading ones. */
function sqliteDatabase(
  title: string,
  files: { readonly writer: DatabaseSync; readonly reader: DatabaseSync },
  listeners: Listeners,
): SqliteDatabase {
  const writing = createTurns(1, waitingMax);
  const reading = createTurns(1, waitingMax);
  const write = prepared(files.writer);
  const read = prepared(files.reader);
  const run = async <T>(what: string, side: Side, work: () => Promise<T>): Promise<T> => {
    const done = await side.turns.take().catch((error: unknown) => {
      throw asStoreError(title, what, error);
    });
    try {
      return await transaction(side, work);
    } catch (error) {
      throw asStoreError(title, what, error);
    } finally {
      done();
    }
  };
  return {
    kind: "sqlite",
    dialect: dialects.sqlite,
    title,
    read: (what, work) =>
      run(what, { turns: reading, file: files.reader, begin: "BEGIN" }, () => work(read)),
    write: async (what, work) => {
      const notices: Notice[] = [];
      const tell = (topic: Notice["topic"], payload: string): void => {
        notices.push({ topic, payload });
      };
      const side = { turns: writing, file: files.writer, begin: "BEGIN IMMEDIATE" };
      const result = await run(what, side, () => work({ ...write, tell }));
      for (const notice of notices) listeners.tell(notice);
      return result;
    },
    settled: async () => {
      const turns = await Promise.all([writing.take(), reading.take()]);
      for (const done of turns) done();
    },
  };
}

interface Side {
  readonly turns: Turns;
  readonly file: DatabaseSync;
  readonly begin: string;
}

async function transaction<T>({ file, begin }: Side, work: () => Promise<T>): Promise<T> {
  file.exec(begin);
  try {
    const result = await work();
    file.exec("COMMIT");
    return result;
  } catch (error) {
    // A failure such as a full disk has rolled back already.
    if (file.isTransaction) file.exec("ROLLBACK");
    throw error;
  }
}

/** The statements of one connection; each text is prepared once. */
function prepared(file: DatabaseSync): Statements {
  const known = new Map<string, { statement: StatementSync; order: readonly number[] }>();
  const prepare = (text: string): { statement: StatementSync; order: readonly number[] } => {
    // SQLite counts `?` in the order of the text, and a value may stand there more than once.
    const order = [...text.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number) - 1);
    const made = { statement: file.prepare(text.replace(/\$\d+/g, "?")), order };
    known.set(text, made);
    return made;
  };
  return {
    run: <Row extends object>(text: string, values: readonly Value[] = []) => {
      const { statement, order } = known.get(text) ?? prepare(text);
      const rows = statement.all(...order.map((index) => values[index] ?? null));
      return Promise.resolve(rows as unknown as readonly Row[]);
    },
  };
}

/** SQLite's own errors as ours, with its extended result code; all others as they are. */
function asStoreError(title: string, what: string, error: unknown): unknown {
  const { code, errcode, message } = error as NodeJS.ErrnoException & { errcode?: number };
  if (code === undefined || (code.startsWith("ERR_") && !foreign.test(code))) return error;
  const reason = errcode === undefined ? code : String(errcode);
  return new StoreError(`${title}: ${what}: ${message}`, { cause: error, reason });
}

/** Codes of errors that are not ours, beside those of the file system. */
const foreign = /^ERR_(SQLITE_ERROR|TURNS|INVALID_STATE)$/;
