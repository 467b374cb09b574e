/** All that a flip keeps open: the ways to members, routers, gates and node poolers of a cluster. */
import type { Environment } from "../../../config/schema.ts";
import { fleetOf } from "../../haproxy/addresses.ts";
import { openRouterChannels } from "../../haproxy/runtime/channels.ts";
import type { RouterChannels } from "../../haproxy/runtime/channels.ts";
import { MemberChannels } from "../../member/channels.ts";
import { SessionLostError } from "../../postgres/session.ts";
import type { MemberSession } from "../../postgres/session.ts";
import { MonitorChannel } from "../../monitor/ask.ts";
import { Gates } from "./gates.ts";
import { NodePoolers } from "./node-poolers.ts";
import { gateWord, routerWord } from "../plan/plan-cut-off.ts";

/** What an engine's exec takes on a busy host; twice that is less than a whole look. */
const routerDeadlineMs = 2400;

/** All the ways into a cluster that a flip keeps open. */
export interface FlipChannels {
  readonly environment: Environment;
  readonly members: ReadonlyMap<string, MemberChannels>;
  readonly routers: RouterChannels;
  readonly gates: Gates;
  readonly poolers: NodePoolers;
  /** Where one runs the cluster. */
  readonly monitor: MonitorChannel | undefined;
}

/** Names all the ways into a cluster; nothing is opened yet. */
export function flipChannels(environment: Environment): FlipChannels {
  const { members, monitor, thresholds } = environment;
  const names = members.map((one) => one.name);
  return {
    environment,
    members: new Map(members.map((one) => [one.name, new MemberChannels(environment, one)])),
    routers: openRouterChannels(fleetOf(environment), names, { deadlineMs: routerDeadlineMs }),
    gates: new Gates(environment),
    poolers: new NodePoolers(environment),
    monitor: monitor === undefined ? undefined : new MonitorChannel(monitor, thresholds.probe),
  };
}

/**
 * The same channels without the routers and gates that are named, in the words of
 * FlipPlan.leftOut. Nobody may still be held by these gates.
 */
export function channelsWithout(channels: FlipChannels, parts: readonly string[]): FlipChannels {
  if (parts.length === 0) return channels;
  channels.routers.close();
  channels.gates.close();
  const { environment } = channels;
  const names = environment.members.map((one) => one.name);
  const routers = environment.routers.filter((one) => !parts.includes(routerWord(one)));
  const edgePoolers = environment.edgePoolers.filter((one) => !parts.includes(gateWord(one)));
  const rest = { ...environment, routers, edgePoolers };
  return {
    ...channels,
    environment: rest,
    routers: openRouterChannels(fleetOf(rest), names, { deadlineMs: routerDeadlineMs }),
    gates: new Gates(rest),
  };
}

/** Ends everything that was opened; leases that are still held end by themselves. */
export function closeChannels(channels: FlipChannels): void {
  const { members, routers, gates, poolers, monitor } = channels;
  for (const one of members.values()) one.close();
  routers.close();
  gates.close();
  poolers.close();
  monitor?.close();
}

/** The ways to one member. @throws TypeError for a name that is no member: a mistake of ours */
export function channelsOf({ members }: FlipChannels, name: string): MemberChannels {
  const found = members.get(name);
  if (found === undefined) throw new TypeError(`there is no member ${name}`);
  return found;
}

/** The session that holds the lock, if it is the one that is meant. @throws SessionLostError */
export function lockSession(channels: FlipChannels, id: string): MemberSession {
  const session = [...channels.members.values()]
    .map((one) => one.lockSession)
    .find((one) => one?.id === id);
  if (session?.isOpen === true) return session;
  throw new SessionLostError(id.split("#")[0] ?? id, "the lock's session is gone");
}
