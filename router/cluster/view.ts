/**
 * Joins what the environment declares with what was observed into one picture of the cluster. It
 * draws no conclusions about right and wrong; those are findings. What is not known stays unknown:
 * a member that cannot be reached is never a standby.
 */
import type { Environment, Member, Router } from "../../config/schema.ts";
import { lsnDistance } from "../../kit/lsn.ts";
import { haproxyNames } from "../haproxy/model.ts";
import type { WindowView } from "../maintenance/window.ts";
import type { PoolerFacts } from "../pooler/console-replies.ts";
import type { PostgresFacts } from "../postgres/facts.ts";
import type {
  EdgePoolerObservation,
  MemberObservation,
  MonitorObservation,
  NamesObservation,
  Observation,
  Report,
  RouterObservation,
  RouterServer,
  UnfinishedOperation,
} from "./observation.ts";

/** A probe older than this says nothing about now: pg-health looks four times a second. */
const freshProbeMs = 1000;

export interface MemberView {
  readonly name: string;
  readonly declared: Member;
  /** Unknown when neither Postgres nor a fresh answer of pg-health says it. */
  readonly role: "primary" | "standby" | "unknown";
  /** Takes writes: a primary that is not read-only. Null while the role is unknown. */
  readonly writable: boolean | null;
  readonly postgres: Report<PostgresFacts>;
  readonly health: MemberObservation["health"];
  readonly pooler: Report<PoolerFacts>;
  /** Something of it answered: Postgres, pg-health or the node pooler. */
  readonly reached: boolean;
  /** Bytes of the primary's WAL that it has not replayed; null where that cannot be told. */
  readonly lagBytes: number | null;
  readonly lagMs: number | null;
  /** The member that it says it streams from; null when that is none of the members. */
  readonly upstream: string | null;
}

export interface RouterView {
  readonly name: string;
  readonly declared: Router;
  readonly runtime: RouterObservation["runtime"];
  readonly configuration: RouterObservation["configuration"];
  /** The members as servers for writes and for reads; empty while the router is unreachable. */
  readonly write: readonly RouterServer[];
  readonly read: readonly RouterServer[];
  /** Members that it passes new write connections to. */
  readonly sendsWritesTo: readonly string[];
}

export interface ClusterView {
  readonly environment: string;
  readonly cluster: string;
  readonly observedAt: string;
  readonly tookMs: number;
  /** The lag in bytes from which on a standby counts as too far behind. */
  readonly lagLimitBytes: number;
  /** The lag in bytes up to which routers give reads to a standby. */
  readonly readLagBytes: number;
  /** Every member known to take writes; more than one is a split brain. */
  readonly writable: readonly string[];
  /** The one that the others are compared to: of several primaries that on the newest timeline. */
  readonly primary: MemberView | null;
  readonly members: readonly MemberView[];
  readonly routers: readonly RouterView[];
  readonly edgePoolers: readonly EdgePoolerView[];
  /** Null where the environment declares no registry. */
  readonly names: NamesObservation | null;
  /** Null where it declares no monitor. */
  readonly monitor: MonitorObservation | null;
  /** The maintenance window that is open, as this machine knows it; null when none is. */
  readonly maintenance: WindowView | null;
  readonly unfinished: readonly UnfinishedOperation[];
}

export type EdgePoolerView = EdgePoolerObservation & {
  readonly declared: Environment["edgePoolers"][number];
};

/** What a report says, or null when its part could not be reached. */
export function valueOf<T>(report: Report<T>): T | null {
  return report.state === "known" ? report.value : null;
}

/** Builds the picture; both arguments name the same parts. */
export function assembleView(environment: Environment, observation: Observation): ClusterView {
  const half = environment.members.map((declared) => ({
    declared,
    observed: find(observation.members, declared.name),
  }));
  const reference = referencePrimary(half.map(({ observed }) => observed));
  const members = half.map(({ declared, observed }) =>
    memberView(declared, observed, reference, environment.members),
  );
  return {
    environment: environment.name,
    cluster: environment.cluster,
    observedAt: observation.at,
    tookMs: observation.tookMs,
    lagLimitBytes: environment.thresholds.lag,
    readLagBytes: environment.haproxy.replicaLag,
    writable: members.filter((one) => one.writable === true).map((one) => one.name),
    primary: members.find((one) => one.name === reference?.name) ?? null,
    members,
    routers: environment.routers.map((declared) =>
      routerView(declared, find(observation.routers, declared.name), environment.members),
    ),
    edgePoolers: environment.edgePoolers.map((declared) => ({
      declared,
      ...find(observation.edgePoolers, declared.name),
    })),
    names: observation.names ?? null,
    monitor: observation.monitor ?? null,
    maintenance: observation.maintenance ?? null,
    unfinished: observation.unfinished ?? [],
  };
}

function find<T extends { readonly name: string }>(rows: readonly T[], name: string): T {
  const row = rows.find((one) => one.name === name);
  if (row === undefined) throw new TypeError(`nothing was observed of ${name}`);
  return row;
}

interface Role {
  readonly role: MemberView["role"];
  readonly writable: boolean | null;
}

/**
 * Postgres itself knows its role best. Where it lets nobody in (all its connections are taken),
 * pg-health's own connection still knows that it is primary; it is believed for that alone, since
 * a wrong "standby" would hide a danger.
 */
function roleOf({ postgres, health }: MemberObservation): Role {
  const facts = valueOf(postgres);
  if (facts !== null) {
    return { role: facts.role, writable: facts.role === "primary" && !facts.readOnly };
  }
  const status = valueOf(health);
  const fresh = status?.probeAgeMs !== null && (status?.probeAgeMs ?? Infinity) <= freshProbeMs;
  const isUp = status?.link === undefined || status.link === "up";
  if (fresh && isUp && status?.slow === false && status.postgres?.role === "primary") {
    return { role: "primary", writable: !status.postgres.readOnly };
  }
  return { role: "unknown", writable: null };
}

function timelineOf({ postgres, health }: MemberObservation): number {
  return valueOf(postgres)?.timeline ?? valueOf(health)?.postgres?.timeline ?? 0;
}

function referencePrimary(members: readonly MemberObservation[]): MemberObservation | undefined {
  const ranked = members
    .filter((one) => roleOf(one).role === "primary")
    .toSorted(
      (left, right) =>
        Number(roleOf(right).writable) - Number(roleOf(left).writable) ||
        timelineOf(right) - timelineOf(left),
    );
  return ranked[0];
}

function memberView(
  declared: Member,
  observed: MemberObservation,
  reference: MemberObservation | undefined,
  members: readonly Member[],
): MemberView {
  const facts = valueOf(observed.postgres);
  const isStandby = facts?.role === "standby";
  const head = reference === undefined ? null : (valueOf(reference.postgres)?.writeLsn ?? null);
  const replayed = facts?.replayLsn ?? null;
  const reports = [observed.postgres, observed.health, observed.pooler];
  return {
    ...observed,
    declared,
    ...roleOf(observed),
    reached: reports.some((one) => one.state === "known"),
    // Both were asked side by side: a standby may have been asked a moment later than the primary.
    lagBytes:
      isStandby && head !== null && replayed !== null
        ? Math.max(0, lsnDistance(head, replayed))
        : null,
    lagMs: isStandby ? facts.replayLagMs : null,
    upstream: upstreamOf(facts, members),
  };
}

function upstreamOf(facts: PostgresFacts | null, members: readonly Member[]): string | null {
  const receiver = facts?.receiver ?? null;
  if (receiver === null) return null;
  const { senderHost, senderPort } = receiver;
  const upstream = members.find(
    ({ postgres }) => postgres.host === senderHost && postgres.port === senderPort,
  );
  return upstream?.name ?? null;
}

function routerView(
  declared: Router,
  observed: RouterObservation,
  members: readonly Member[],
): RouterView {
  const servers = valueOf(observed.runtime)?.servers ?? [];
  const isMember = (one: RouterServer): boolean => members.some(({ name }) => name === one.server);
  const write = servers.filter((one) => one.backend === haproxyNames.write && isMember(one));
  return {
    ...observed,
    declared,
    write,
    read: servers.filter((one) => one.backend === haproxyNames.read && isMember(one)),
    sendsWritesTo: write.filter((one) => one.state === "up").map((one) => one.server),
  };
}
