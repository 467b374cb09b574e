/** Binds the acts of a flip to the real parts: Postgres, its host, the routers and the gates. */
import type { Environment } from "../../config/schema.ts";
import { eventually, systemClock } from "../../kit/clock.ts";
import type { Moved } from "../haproxy/runtime/channels.ts";
import type { Facts } from "../operation/step.ts";
import { heartbeatStatement } from "../postgres/journal.ts";
import { askOf } from "../postgres/session.ts";
import { resetSlots } from "../postgres/slots.ts";
import { followFlip } from "../names/follow.ts";
import { namesOf } from "../names/ask.ts";
import { databaseActs } from "./acts/database-acts.ts";
import type { FlipActions, FlipPlan } from "./flip-actions.ts";
import { channelsOf, lockSession } from "./acts/flip-channels.ts";
import type { FlipChannels } from "./acts/flip-channels.ts";
import { closeOldSessions } from "./acts/old-workers.ts";
import { promoteStatement, sleeperStatement } from "./acts/promotion.ts";

/** A member's Postgres was started, and has ended before it took a session. */
export class EndedAfterStartError extends Error {
  override readonly name = "EndedAfterStartError";
  readonly code = "ERR_ENDED_AFTER_START";
  readonly member: string;
  constructor(member: string) {
    super(`start ${member}: Postgres has ended right after it; its log says why`);
    this.member = member;
  }
}

const startedLookMs = 20;
const startedMs = 50_000;
/** A supervisor may start what has ended once more; longer than this it does not take. */
const goneMs = 2000;

/** The acts, over these channels. */
export function flipActions(channels: FlipChannels): FlipActions {
  const { routers, gates, poolers } = channels;
  const host = (name: string) => channelsOf(channels, name).requireHost();
  return {
    ...databaseActs(channels),
    warmChannels: (plan, signal) => warm(channels, plan, signal),
    arm: (member, by, signal) => nothing(host(member).arm(by, signal)),
    disarm: (member, by, signal) => nothing(host(member).disarm(by, signal)),
    stopOld: (member, by, signal) => nothing(channelsOf(channels, member).stop(signal, { by })),
    stopStandby: async (id, member, signal) => {
      // Whoever has lost the lock must not stop what another operation relies on.
      await lockSession(channels, id).ask("SELECT 1", signal);
      await channelsOf(channels, member).stop(signal);
      return undefined;
    },
    removePromoteFile: (member, signal) => nothing(host(member).removePromoteFile(signal)),
    startMember: (member, signal) => start(channels, member, signal),
    holdClients: (run, signal) => nothing(gates.hold(run, signal)),
    releaseClients: async (run, signal) => {
      const longestHoldMs = await gates.release(run, signal);
      return longestHoldMs === null ? undefined : { longestHoldMs: Math.round(longestHoldMs) };
    },
    divertFrom: (member, signal) => closed(routers.divertFrom(member, signal)),
    undivert: (member, signal) => nothing(routers.undivert(member, signal)),
    route: (move, signal) => closed(routers.route(move, signal)),
    sweepSessions: async (member, signal) => {
      const old = closeOldSessions(channels.environment, member, signal);
      const [swept, closedOld] = await Promise.all([
        closed(routers.closeSessions(member, signal)),
        old,
      ]);
      return { sessionsClosed: swept.sessionsClosed + closedOld };
    },
    moveNames: (plan, signal) => moveNames(channels.environment, plan, signal),
    askMonitor: ({ cause, to }, signal) => {
      const { monitor } = channels;
      if (monitor === undefined) throw new TypeError("no monitor is declared");
      return nothing(cause === "lost" ? monitor.failover(signal) : monitor.promote(to, signal));
    },
    reconnectPooler: (member, signal) => poolers.reconnect(member, signal),
  };
}

/** When each resolver had it: `acknowledged NAME` and `answered NAME`, in ms since this began. */
async function moveNames(
  environment: Environment,
  { from, to, cause }: Pick<FlipPlan, "from" | "to" | "cause">,
  signal: AbortSignal,
): Promise<Facts> {
  const names = namesOf(environment);
  if (names === undefined) return {};
  const wish = cause === "lost" ? { to, lost: from } : { to };
  const { generation, acknowledged, answered, ...others } = await followFlip(names, wish, signal);
  const { absent, gone } = others;
  const named = (word: string, times: Readonly<Record<string, number>>) =>
    Object.entries(times).map(([name, ms]) => [`${word} ${name}`, ms] as const);
  return {
    generation,
    ...Object.fromEntries([...named("acknowledged", acknowledged), ...named("answered", answered)]),
    ...(absent.length === 0 ? {} : { absent: absent.join(", ") }),
    ...(gone.length === 0 ? {} : { gone: gone.join(", ") }),
  };
}

async function nothing(work: Promise<unknown>): Promise<undefined> {
  await work;
  return undefined;
}

async function closed(moved: Promise<readonly Moved[]>): Promise<{ sessionsClosed: number }> {
  return { sessionsClosed: (await moved).reduce((sum, one) => sum + one.sessions, 0) };
}

/** Everything that the steps between hold and release use is opened, and asked once. */
async function warm(
  channels: FlipChannels,
  { from, to, mode, manager }: FlipPlan,
  signal: AbortSignal,
): Promise<undefined> {
  const { routers, gates, poolers, monitor } = channels;
  await Promise.all([
    ...[from, to].map(async (name) => {
      await channelsOf(channels, name).host?.warm(signal);
      await channelsOf(channels, name).session(signal);
    }),
    routers.warm(signal),
    mode === "seamless" ? gates.warm(signal) : undefined,
    poolers.warm(to, signal),
    monitor?.nodes(signal),
  ]);
  const session = await channelsOf(channels, to).session(signal);
  if (manager !== "none") return undefined;
  for (const one of [promoteStatement, sleeperStatement, heartbeatStatement]) {
    await session.prepare(one, signal);
  }
  return undefined;
}

/** Starts a member; one that comes up as a standby keeps no WAL for others from earlier times. */
async function start(
  channels: FlipChannels,
  name: string,
  signal: AbortSignal,
): Promise<undefined> {
  const channel = channelsOf(channels, name);
  const host = channel.requireHost();
  await channel.start(signal);
  const { armed } = await host.inspect(signal, "light");
  if (armed === null) return undefined;
  let aliveAt = systemClock.monotonic();
  const session = await eventually(
    `${name} answers after its start`,
    { deadlineMs: startedMs, intervalMs: startedLookMs, signal },
    async (inner) => {
      const { process } = await host.inspect(inner, "light");
      if (process !== "gone") aliveAt = systemClock.monotonic();
      if (systemClock.monotonic() - aliveAt > goneMs) return "ended";
      return process === "gone" ? undefined : await channel.session(inner);
    },
  );
  if (session === "ended") throw new EndedAfterStartError(name);
  await resetSlots(askOf(session, signal), channels.environment.members);
  return undefined;
}
