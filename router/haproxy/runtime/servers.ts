/** A server as an operator thinks of it: `show servers state` joined with `show stat`. */
import type { AdminFlag, ServerStateRow } from "./servers-state.ts";
import type { StatRow } from "./stat.ts";

/** One server, as `backend/server` in HAProxy's own words. */
export interface ServerName {
  readonly backend: string;
  readonly server: string;
}

/** Writes `backend/server`. */
export function formatServerName(name: ServerName): string {
  return `${name.backend}/${name.server}`;
}

export type ServerState = "up" | "down" | "maint" | "drain" | "starting" | "stopping";

export interface ServerView extends ServerName {
  readonly host: string;
  readonly port: number;
  readonly state: ServerState;
  /** HAProxy's own words, such as "UP 1/3" or "MAINT (via probe-a/p)". */
  readonly status: string;
  /** Why it is in maint or drain: flags of its own and flags of what it tracks. */
  readonly admin: readonly AdminFlag[];
  /** backend/server whose checks decide for it. */
  readonly tracks: string | undefined;
  readonly backup: boolean;
  /** True when it has checks of its own. */
  readonly checked: boolean;
  /** The last check in words, such as "L7STS/503 in 1ms"; "checks paused", "no check". */
  readonly check: string;
  readonly secondsSinceChange: number;
  readonly sessions: number;
  readonly queued: number;
  readonly weight: number;
  readonly maxConnections: number | undefined;
}

/**
 * Joins the two answers; both must come from one connection, or a reload may lie between them.
 * @throws TypeError when a server stands in one and not in the other
 */
export function joinServers(
  states: readonly ServerStateRow[],
  stats: readonly StatRow[],
): ServerView[] {
  const byName = new Map(
    stats.filter((row) => row.kind === "server").map((row) => [formatServerName(row), row]),
  );
  return states.map((row) => {
    const stat = byName.get(formatServerName(row));
    if (stat === undefined) throw new TypeError(`show stat: no ${formatServerName(row)}`);
    return {
      backend: row.backend,
      server: row.server,
      host: row.address,
      port: row.port,
      state: stateOf(row),
      status: stat.status,
      admin: row.admin,
      tracks: stat.tracked,
      backup: stat.backup,
      checked: row.checked,
      check: checkWords(stat, row.checked),
      secondsSinceChange: row.secondsSinceChange,
      sessions: stat.sessions,
      queued: stat.queued,
      weight: row.weight,
      maxConnections: stat.maxConnections,
    };
  });
}

const operationalStates = {
  stopped: "down",
  starting: "starting",
  running: "up",
  stopping: "stopping",
} as const;

function stateOf(row: ServerStateRow): ServerState {
  if (row.admin.some((flag) => flag.startsWith("maint"))) return "maint";
  if (row.admin.some((flag) => flag.startsWith("drain"))) return "drain";
  return operationalStates[row.operational];
}

function checkWords(stat: StatRow, checked: boolean): string {
  if (stat.tracked !== undefined) return `as ${stat.tracked}`;
  const { status, code, durationMs } = stat.check;
  // In maint there are checks and they rest.
  if (status === "") return checked ? "checks paused" : "no check";
  const time = durationMs === undefined ? "" : ` in ${durationMs}ms`;
  return `${status}${code === "" || code === "0" ? "" : `/${code}`}${time}`;
}

/** The server of that name, if there is one. */
export function findServer(
  servers: readonly ServerView[],
  name: ServerName,
): ServerView | undefined {
  return servers.find((one) => one.backend === name.backend && one.server === name.server);
}

/** The servers by `backend/server`. */
export function serversByName(servers: readonly ServerView[]): ReadonlyMap<string, ServerView> {
  return new Map(servers.map((one) => [formatServerName(one), one]));
}

/** The servers that copy the state of `name`. */
export function trackersOf(servers: readonly ServerView[], name: ServerName): ServerView[] {
  return servers.filter((one) => one.tracks === formatServerName(name));
}
