/**
 * The store on PostgreSQL, for several registry processes side by side. Each change locks the row of
 * the zone's state, so generations are given out one after the other; its notices go out with its
 * commit, to this process at once and to the others by NOTIFY.
 */
import { randomUUID } from "node:crypto";
import { Secret } from "../../config/secret.ts";
import { systemClock } from "../../kit/clock.ts";
import { faultCode, faultWords } from "../../kit/fault-words.ts";
import { formatAddress } from "../../kit/address.ts";
import type { PgConnection, PgTarget } from "../../kit/pg-connection.ts";
import { PgConnectionError } from "../../kit/pg-connection.ts";
import { assembleStore } from "./assemble.ts";
import type { Ends } from "./assemble.ts";
import { dialects } from "./database.ts";
import type { Database, Statements, Value } from "./database.ts";
import { createListeners } from "./listeners.ts";
import type { Listeners, Notice } from "./listeners.ts";
import { migrate } from "./migrate.ts";
import { noticeTexts } from "./notice-text.ts";
import { startPostgresBus } from "./postgres-bus.ts";
import type { Now } from "./postgres-bus.ts";
import { waitForLead } from "./postgres-lead.ts";
import type { LeadOptions } from "./postgres-lead.ts";
import { PgPool } from "./postgres-pool.ts";
import { databaseTarget } from "./postgres-url.ts";
import { StoreError } from "./store.ts";
import type { RegistryStore, StoreOptions } from "./store.ts";

/**
 * Opens the store in the database that `url` leads to (in the first schema of its search path), and
 * makes it where there is none.
 * @throws DatabaseUrlError, StoreSchemaError, StoreError
 */
export async function openPostgresStore(
  url: Secret | string,
  options: StoreOptions,
): Promise<RegistryStore> {
  const target = databaseTarget(typeof url === "string" ? new Secret(url) : url);
  const { clock = systemClock, logger } = options;
  const pool = new PgPool(target);
  const self = randomUUID();
  const listeners = createListeners();
  const source = { pool, target, self, listeners };
  try {
    const at = new Date(clock.now()).toISOString();
    const { epoch } = await migrate(postgresDatabase(source, undefined), {
      zone: options.zone,
      at,
    });
    const channel = `registry_${epoch.replaceAll("-", "")}`;
    const database = postgresDatabase(source, channel);
    const bus = startPostgresBus({
      ...{ target, channel, self, clock, logger },
      take: (notice) => listeners.tell(notice),
      missed: (now) => tellMissed(now, listeners),
    });
    await bus.ready;
    const close = async (): Promise<void> => {
      await Promise.all([bus.close(), pool.close()]);
    };
    const ends = endsOf(database, listeners, { target, key: leadKey(epoch), clock, logger }, close);
    return assembleStore(database, ends, { zone: options.zone, clock });
  } catch (error) {
    await pool.close();
    throw asStoreError(titleOf(target), "open it", error);
  }
}

function endsOf(
  database: Database,
  listeners: Listeners,
  lead: Omit<LeadOptions, "closing">,
  close: () => Promise<void>,
): Ends {
  const closing = new AbortController();
  return {
    publish: (topic, payload) =>
      database.write("tell the other processes", async (statements) => {
        statements.tell(topic, payload);
        await Promise.resolve();
      }),
    subscribe: listeners.subscribe,
    lead: (signal) => waitForLead({ ...lead, closing: closing.signal }, signal),
    close: async () => {
      closing.abort(new StoreError(`${database.title}: closed`));
      await close();
    },
  };
}

/** What was missed while the bus was away is not known, so everybody looks for themselves. */
function tellMissed({ generation, revoked }: Now, listeners: Listeners): void {
  listeners.tell({ topic: "generation", payload: String(generation) });
  for (const id of revoked) listeners.tell({ topic: "nodes", payload: String(id) });
  listeners.tell({ topic: "acks", payload: "" });
  listeners.tell({ topic: "clusters", payload: "" });
}

/** Of all stores in one database, each has a lock of its own. */
function leadKey(epoch: string): string {
  return BigInt.asIntN(64, BigInt(`0x${epoch.replaceAll("-", "").slice(0, 16)}`)).toString();
}

function titleOf(target: PgTarget): string {
  return `registry store ${formatAddress(target)}/${target.database}`;
}

interface Source {
  readonly pool: PgPool;
  readonly target: PgTarget;
  readonly self: string;
  readonly listeners: Listeners;
}

/** Without a channel nothing is told: so it is while the store is being made. */
function postgresDatabase(source: Source, channel: string | undefined): Database {
  const title = titleOf(source.target);
  return {
    kind: "postgres",
    dialect: dialects.postgres,
    title,
    read: (what, work) =>
      transaction(source.pool, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", work).catch(
        (error: unknown) => {
          throw asStoreError(title, what, error);
        },
      ),
    write: async (what, work) => {
      const notices: Notice[] = [];
      const tell = (topic: Notice["topic"], payload: string): void => {
        notices.push({ topic, payload });
      };
      const begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
      const change = async (statements: Statements): ReturnType<typeof work> => {
        const result = await work({ ...statements, tell });
        if (channel !== undefined) await send(statements, channel, source.self, notices);
        return result;
      };
      const result = await transaction(source.pool, begin, change).catch((error: unknown) => {
        throw asStoreError(title, what, error);
      });
      for (const notice of notices) source.listeners.tell(notice);
      return result;
    },
  };
}

async function send(
  statements: Statements,
  channel: string,
  self: string,
  notices: readonly Notice[],
): Promise<void> {
  for (const notice of notices) {
    const texts = noticeTexts(self, notice);
    if (texts === undefined) {
      throw new StoreError(`a notice of ${notice.topic} is too long: ${notice.payload.length}`);
    }
    for (const text of texts) await statements.run("SELECT pg_notify($1, $2)", [channel, text]);
  }
}

function transaction<T>(
  pool: PgPool,
  begin: string,
  work: (statements: Statements) => Promise<T>,
): Promise<T> {
  return pool.transaction(begin, async (connection) => {
    const result = await work(statementsOf(connection));
    await connection.query("COMMIT");
    return result;
  });
}

function statementsOf({ client }: PgConnection): Statements {
  return {
    run: async <Row extends object>(text: string, values: readonly Value[] = []) =>
      (await client.query<Row>(text, [...values])).rows,
  };
}

/** What the server or the way to it said, as ours; what this store itself throws, as it is. */
function asStoreError(title: string, what: string, error: unknown): unknown {
  const code = faultCode(error);
  const isOurs =
    code.startsWith("ERR_") && !(error instanceof PgConnectionError) && code !== "ERR_TURNS";
  if (isOurs) return error;
  const sqlState = error instanceof PgConnectionError ? error.sqlState : undefined;
  const reason = sqlState ?? (code === "" ? undefined : code);
  const facts = reason === undefined ? {} : { reason };
  const words = faultWords(error instanceof PgConnectionError ? error.cause : error);
  return new StoreError(`${title}: ${what}: ${words}`, { cause: error, ...facts });
}
