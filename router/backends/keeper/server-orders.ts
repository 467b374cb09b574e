/**
 * The orders that a router is given about one server that was found by DNS: add, start, weight, drain,
 * remove; each in the commands that it takes and in words for an operator. Pure.
 */
import { countInWords, formatDuration } from "../../../config/units.ts";
import { commands } from "../../haproxy/runtime/commands.ts";
import type { CheckWords, Command } from "../../haproxy/runtime/commands.ts";
import type { ServerName, ServerView } from "../../haproxy/runtime/servers.ts";

/** What every router has of one backend. */
export interface BackendPlan {
  readonly name: string;
  /** The name of its environment, for commands in messages. */
  readonly environment: string;
  readonly maxConnections: number;
  readonly check: CheckWords | undefined;
  /** How long a server that is no longer wanted may end its sessions. */
  readonly drainGraceMs: number;
  /** How long one that is up may serve on while none that is wanted is up; ms. */
  readonly keepUntilUpMs: number;
}

export interface WantedServer {
  readonly ip: string;
  readonly port: number;
  readonly weight: number;
}

/** What is remembered of a server from look to look, which HAProxy does not say. */
export interface Remembered {
  /** What it was seen to have come to: in service, or out of it, as was wanted then. */
  readonly settled?: "in" | "out";
  /** When it was told to leave, or was first seen leaving; ms. */
  readonly leavingSinceMs?: number;
  /** Since when it serves on though it is not wanted, as none that is wanted is up; ms. */
  readonly sparedSinceMs?: number;
  /** How an operator has set it. */
  readonly held?: "maint" | "drain";
  /** It was up when it was seen last. */
  readonly up: boolean;
  /** That was in the worker before this one, a moment ago. */
  readonly isFormer?: true;
}

export type Deed = "add" | "start" | "weight" | "drain" | "remove";

/** Commands for one line, or the end of the server's sessions. */
export type Act = readonly Command[] | "close-sessions";

export interface Order {
  readonly deed: Deed;
  readonly of: ServerName;
  /** One after the other; the first that fails ends the order. */
  readonly acts: readonly Act[];
  /** What it does, for an operator. */
  readonly says: string;
}

/** A server that is wanted: what of it, how it is seen, and what is remembered of it. */
export interface WantedCase {
  readonly backend: BackendPlan;
  readonly of: ServerName;
  readonly one: WantedServer;
  readonly view: ServerView | undefined;
  readonly known: Remembered | undefined;
}

/** What an operator, or this process, has set the server to. */
export function ownState({ admin }: ServerView): "maint" | "drain" | undefined {
  if (admin.includes("maint")) return "maint";
  return admin.includes("drain") ? "drain" : undefined;
}

/**
 * A new server begins in maint, with weight 0. Where it is checked, its checks decide when it is up,
 * unless it was up in the worker before this one.
 */
export function addOrder(given: WantedCase): Order {
  const { backend, of, one, known } = given;
  const { ip: host, port, weight } = one;
  const { maxConnections, check } = backend;
  const add = commands.addServer(of, { host, port, weight: 0, maxConnections, check });
  const acts = [[add], startCommands(given, false)];
  const held = known?.held;
  const as = held === undefined ? "" : `, in ${held} as it was before`;
  return { deed: "add", of, acts, says: `added, weight ${weight}${as}` };
}

/** Checks for a server that serves without: the rest of its start was carried out. */
export function checkOrder({ of }: WantedCase): Order {
  const acts = [[commands.enableServerHealth(of)]];
  return { deed: "start", of, acts, says: "its checks are switched on" };
}

/** Another weight for a server that serves. */
export function weightOrder({ of, one }: WantedCase, view: ServerView): Order {
  const acts = [[commands.setServerWeight(of, one.weight)]];
  return { deed: "weight", of, acts, says: `weight ${view.weight} → ${one.weight}` };
}

/**
 * Puts a server of weight 0 into service. One that is up goes by way of maint, which ends no session:
 * with its weight alone HAProxy would give it nobody who waits in the queue (2.6 and 3.0). One that is
 * down takes them when its checks find it up.
 */
export function startOrder(given: WantedCase, view: ServerView): Order {
  const { of, one } = given;
  const order = (does: string, list: readonly Command[]): Order => ({
    deed: "start",
    of,
    acts: [list],
    says: `${does}, weight ${one.weight}`,
  });
  const own = ownState(view);
  if (own === "maint") return order("is put into service", startCommands(given, view.checked));
  const weight = commands.setServerWeight(of, one.weight);
  if (own === "drain" || view.state !== "up") return order("is wanted again", [weight]);
  const ready = [commands.setServerState(of, "maint"), commands.setServerState(of, "ready")];
  return order("is wanted again", [weight, ...ready]);
}

/** Brings a server from maint, where its checks are on or not, into service. */
function startCommands(
  { backend, of, one, known }: WantedCase,
  isChecked: boolean,
): readonly Command[] {
  const enable = backend.check === undefined || isChecked ? [] : [commands.enableServerHealth(of)];
  // Before it is ready: a weight that comes later would give it nobody who waits.
  const weight = commands.setServerWeight(of, one.weight);
  if (known?.held === "maint") return [...enable, weight];
  const ready = commands.setServerState(of, known?.held ?? "ready");
  if (backend.check === undefined || known?.isFormer === true) return [...enable, weight, ready];
  // At ready alone it would count as up until its first check (docs/router.md, G2).
  const down = [commands.setServerState(of, "drain"), commands.setServerHealth(of, "down")];
  return [...enable, weight, ...down, ready];
}

/** Gives a server nobody new. */
export function drainOrder({ drainGraceMs }: BackendPlan, view: ServerView): Order {
  const of = { backend: view.backend, server: view.server };
  const left = view.sessions + view.queued;
  const fate =
    left === 0
      ? ""
      : `; ${countInWords(left, "session")} may end within ${formatDuration(drainGraceMs)}`;
  return {
    deed: "drain",
    of,
    acts: [[commands.setServerWeight(of, 0)]],
    says: `takes nobody new${fate}`,
  };
}

/** Ends a server, and the sessions that it has `left`. */
export function removeOrder({ drainGraceMs }: BackendPlan, view: ServerView, left: number): Order {
  const of = { backend: view.backend, server: view.server };
  const maint: Act = [commands.setServerWeight(of, 0), commands.setServerState(of, "maint")];
  const acts: Act[] = [
    maint,
    ...(left === 0 ? [] : ["close-sessions" as const]),
    [commands.deleteServer(of)],
  ];
  const after = ` after ${formatDuration(drainGraceMs)}`;
  const fate = left === 0 ? "" : `; ${countInWords(left, "session")} cut${after}`;
  return { deed: "remove", of, acts, says: `removed${fate}` };
}
