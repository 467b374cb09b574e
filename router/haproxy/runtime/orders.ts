/**
 * What an order such as "ready" takes in commands, given what the server and its probe are now, and
 * what it would take away from those who write.
 */
import { haproxyNames } from "../model.ts";
import { commands } from "./commands.ts";
import type { AdminState, Command, HealthState } from "./commands.ts";
import { findServer, formatServerName, trackersOf } from "./servers.ts";
import type { ServerName, ServerView } from "./servers.ts";

function probeOf(servers: readonly ServerView[], view: ServerView): ServerView | undefined {
  return servers.find((one) => formatServerName(one) === view.tracks);
}

/**
 * The commands that bring a server to `wanted`, in the order in which they stand in one line; none
 * when it is there already.
 *
 * Leaving maint, HAProxy takes a server for UP until its checks say otherwise, and a standby would
 * get writes meanwhile (docs/router.md, G2: 132 connections in 2 s). `ready;health down` is not enough: at `ready` the
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

/** The servers to which a router sends writes now; with two, its guard refuses all new ones. */
export function upForWrites(servers: readonly ServerView[]): ServerView[] {
  return servers.filter(
    (one) => one.backend === haproxyNames.write && !one.backup && one.state === "up",
  );
}

/** True for a server that holds clients in the queue while no other of its section is up. */
export function isHold({ server }: ServerName): boolean {
  return server === haproxyNames.hold;
}

/**
 * The servers that are up for writes and that `of` would take out of it (itself, and those that
 * track it), where no other would be left; none where one would.
 */
export function lastUpForWrites(servers: readonly ServerView[], of: ServerName): ServerView[] {
  const itself = findServer(servers, of);
  const touched = new Set([...(itself === undefined ? [] : [itself]), ...trackersOf(servers, of)]);
  const up = upForWrites(servers);
  return up.every((one) => touched.has(one)) ? up : [];
}
