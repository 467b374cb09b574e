/**
 * A server as an operator thinks of it: `show servers state` joined with `show stat`. And what an
 * order such as "ready" takes in commands, given what the server and its probe are now.
 */
import { commands, formatServerName } from "./commands.ts";
import type { AdminState, Command, HealthState, ServerName } from "./commands.ts";
import type { AdminFlag, ServerStateRow } from "./servers-state.ts";
import type { StatRow } from "./stat.ts";

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

/** The servers that copy the state of `name`. */
export function trackersOf(servers: readonly ServerView[], name: ServerName): ServerView[] {
  return servers.filter((one) => one.tracks === formatServerName(name));
}

function probeOf(servers: readonly ServerView[], view: ServerView): ServerView | undefined {
  return servers.find((one) => formatServerName(one) === view.tracks);
}

/**
 * The commands that bring a server to `wanted`, in the order in which they stand in one line; none
 * when it is there already.
 *
 * Leaving maint, HAProxy takes a server for UP until its checks say otherwise, and a standby would
 * get writes (facts G2: 132 connections in 2 s). `ready;health down` is not enough: at `ready` the
 * clients that wait in the queue are let through at once (2.6), or are never let through again
 * (3.0.11). By way of drain, which takes nobody from the queue, the server is down before it is
 * ready. A server that is in drain was checked all along, and `health down` would cut the sessions
 * it keeps, so there it is left out. Maint or drain that comes from the probe can only be taken back
 * at the probe.
 */
export function commandsForState(
  servers: readonly ServerView[],
  view: ServerView,
  wanted: AdminState,
): Command[] {
  const own = view.admin.includes("maint") ? "maint" : view.admin.includes("drain") ? "drain" : "";
  if (wanted === "maint") return own === "maint" ? [] : [commands.setServerState(view, "maint")];
  if (wanted === "drain" && own === "drain") return [];
  const probe = probeOf(servers, view);
  const inherited = view.admin.some((flag) => flag.endsWith("-tracked"));
  const atProbe =
    wanted === "ready" && inherited && probe !== undefined
      ? commandsForState(servers, probe, "ready")
      : [];
  if (wanted === "ready" && own === "") return atProbe;
  const mustProve = own === "maint" && view.checked && probe === undefined;
  const downInDrain = [
    commands.setServerState(view, "drain"),
    commands.setServerHealth(view, "down"),
  ];
  if (!mustProve) return [...atProbe, commands.setServerState(view, wanted)];
  return wanted === "drain"
    ? downInDrain
    : [...atProbe, ...downInDrain, commands.setServerState(view, "ready")];
}

/**
 * The commands for changes of health, in order. A server that tracks a probe has no health of its
 * own: its probe is told, once.
 */
export function commandsForHealth(
  servers: readonly ServerView[],
  changes: readonly { readonly of: ServerName; readonly health: HealthState }[],
): Command[] {
  const told = new Map<string, Command>();
  for (const { of, health } of changes) {
    const view = findServer(servers, of);
    const target: ServerName = (view && probeOf(servers, view)) ?? of;
    told.set(`${formatServerName(target)} ${health}`, commands.setServerHealth(target, health));
  }
  return [...told.values()];
}
