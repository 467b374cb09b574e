/**
 * The libraries that stand side by side, each asked for the same in its own words: one connection to
 * the writable server among all addresses of a host, and one row written over it.
 */
import { Pool } from "pg";
import postgres from "postgres";
import { createPool } from "../../../client/index.ts";

export interface Access {
  /** A name, or several with commas between them. */
  readonly host: string;
  readonly user: string;
  readonly password: string;
  readonly timeoutMs: number;
}

/** What one library has open. */
export interface Opened {
  /** Runs a statement on any connection; resolves with the first row. */
  ask(text: string, values: readonly number[]): Promise<Row>;
  /** The same on a connection that is made for it. */
  askAfresh(text: string, values: readonly number[]): Promise<Row>;
}

type Row = Record<string, unknown>;

/** A connection that breaks is seen by the statement that ran on it. */
const ignore = (): void => undefined;

const database = "postgres";
const connections = 4;

/**
 * What both pools of pg's kind can do; ours is used as pg's is. A client is taken and given back as
 * pg's manual shows it for transactions, so that an error of a statement leaves it in the pool.
 */
function poolOf(pool: Pool): Opened {
  pool.on("error", ignore);
  const withClient = async (
    text: string,
    values: readonly number[],
    last: boolean,
  ): Promise<Row> => {
    const client = await pool.connect();
    client.on("error", ignore);
    try {
      const { rows } = await client.query<Row>(text, [...values]);
      return rows[0] ?? {};
    } finally {
      client.off("error", ignore);
      client.release(last);
    }
  };
  return {
    ask: (text, values) => withClient(text, values, false),
    askAfresh: (text, values) => withClient(text, values, true),
  };
}

function plainPg({ host, user, password, timeoutMs }: Access): Opened {
  const login = { host, user, password, database };
  return poolOf(new Pool({ ...login, max: connections, connectionTimeoutMillis: timeoutMs }));
}

function ours({ host, user, password, timeoutMs }: Access): Opened {
  const login = { host, user, password, database, target_session_attrs: "read-write" } as const;
  return poolOf(createPool({ ...login, max: connections, connectionTimeoutMillis: timeoutMs }));
}

/** It knows the primary by "primary": its "read-write" looks at the default of the role alone. */
function postgresJs({ host, user, password, timeoutMs }: Access): Opened {
  const open = (max: number): postgres.Sql =>
    postgres({
      host,
      user,
      password,
      database,
      max,
      target_session_attrs: "primary",
      connect_timeout: timeoutMs / 1000,
      onnotice: () => undefined,
    });
  const sql = open(connections);
  const first = async (on: postgres.Sql, text: string, values: readonly number[]): Promise<Row> =>
    (await on.unsafe<Row[]>(text, [...values]))[0] ?? {};
  return {
    ask: (text, values) => first(sql, text, values),
    askAfresh: async (text, values) => {
      const fresh = open(1);
      try {
        return await first(fresh, text, values);
      } finally {
        void fresh.end({ timeout: 0 }).catch(() => undefined);
      }
    },
  };
}

/** By what they are called in docs/client.md. */
export const columns = {
  pg: plainPg,
  "postgres.js": postgresJs,
  "switchyard-client": ours,
} as const;
export type ColumnName = keyof typeof columns;
