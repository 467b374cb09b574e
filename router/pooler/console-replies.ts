/** What PgBouncer's admin console says about itself, as one value. */
import { readDatabases, readPools, readState, readVersion } from "../../kit/pooler-console.ts";
import type { PoolerDatabase, PoolerPool, PoolerWorkState } from "../../kit/pooler-console.ts";
import type { PgRow } from "../../kit/pg-connection.ts";

export type { PoolerDatabase, PoolerPool } from "../../kit/pooler-console.ts";

export type PoolerFacts =
  | { readonly console: false }
  | {
      readonly console: true;
      /** Such as 1.18.0. */
      readonly version: string;
      readonly state: PoolerWorkState;
      readonly databases: readonly PoolerDatabase[];
      /** Pools of real databases; the console's own is left out. */
      readonly pools: readonly PoolerPool[];
    };

/** The tables that the facts are read from. */
export const factTables = ["version", "state", "databases", "pools"] as const;

/** Joins the answers of SHOW VERSION, STATE, DATABASES and POOLS. */
export function parsePoolerFacts(
  answers: Readonly<Record<(typeof factTables)[number], readonly PgRow[]>>,
): PoolerFacts {
  return {
    console: true,
    version: readVersion(answers.version),
    state: readState(answers.state),
    databases: readDatabases(answers.databases),
    pools: readPools(answers.pools),
  };
}
