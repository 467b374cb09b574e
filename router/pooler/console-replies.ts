/** Reads what PgBouncer's admin console answers with: rows by column name, never by position. */

export interface PoolerDatabase {
  readonly name: string;
  readonly host: string | null;
  readonly port: number;
  readonly paused: boolean;
  readonly disabled: boolean;
}

export interface PoolerPool {
  readonly database: string;
  readonly user: string;
  readonly clientsActive: number;
  readonly clientsWaiting: number;
  readonly servers: number;
  /** For how long the first client in the queue has waited. */
  readonly maxWaitMs: number;
  readonly mode: string;
}

export type PoolerFacts =
  | { readonly console: false }
  | {
      readonly console: true;
      /** Such as 1.18.0. */
      readonly version: string;
      /** Of the whole PgBouncer; unknown before 1.19. */
      readonly state: "active" | "paused" | "suspended" | "unknown";
      readonly databases: readonly PoolerDatabase[];
      /** Pools of real databases; the console's own is left out. */
      readonly pools: readonly PoolerPool[];
    };

export type ConsoleRow = Readonly<Record<string, unknown>>;

const consoleDatabase = "pgbouncer";

/** Joins the answers of SHOW VERSION, STATE, DATABASES and POOLS. */
export function parsePoolerFacts(answers: {
  readonly version: readonly ConsoleRow[];
  readonly state: readonly ConsoleRow[];
  readonly databases: readonly ConsoleRow[];
  readonly pools: readonly ConsoleRow[];
}): PoolerFacts {
  return {
    console: true,
    version: text(answers.version[0]?.["version"]).replace(/^PgBouncer /, ""),
    state: parseState(answers.state),
    databases: answers.databases
      .map((row) => ({
        name: text(row["name"]),
        host: typeof row["host"] === "string" && row["host"] !== "" ? row["host"] : null,
        port: Number(row["port"]),
        paused: isOn(row["paused"]),
        disabled: isOn(row["disabled"]),
      }))
      .filter((one) => one.name !== consoleDatabase),
    pools: answers.pools
      .map((row) => ({
        database: text(row["database"]),
        user: text(row["user"]),
        clientsActive: Number(row["cl_active"]),
        clientsWaiting: Number(row["cl_waiting"]),
        servers: ["sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login"]
          .map((name) => Number(row[name] ?? 0))
          .reduce((sum, count) => sum + count, 0),
        maxWaitMs: Number(row["maxwait"]) * 1000 + Math.round(Number(row["maxwait_us"]) / 1000),
        mode: text(row["pool_mode"]),
      }))
      .filter((one) => one.database !== consoleDatabase),
  };
}

function parseState(rows: readonly ConsoleRow[]): "active" | "paused" | "suspended" | "unknown" {
  if (rows.length === 0) return "unknown";
  const has = (key: string): boolean =>
    rows.some((row) => row["key"] === key && isOn(row["value"]));
  if (has("suspended")) return "suspended";
  return has("paused") ? "paused" : "active";
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function isOn(value: unknown): boolean {
  return ["1", "yes", "true"].includes(String(value));
}
