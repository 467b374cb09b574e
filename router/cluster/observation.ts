/**
 * What one look at a cluster brings home, part by part and not yet judged: each report is what the
 * part said, or why nothing could be learned from it.
 */
import type { HealthStatus } from "../../sidecars/pg-health/contract.ts";
import type { GateStatus } from "../../sidecars/pool-gate/contract.ts";
import type { FenceMark } from "../haproxy/fence-marks.ts";
import type { WindowView } from "../maintenance/window.ts";
import type { MonitorNode } from "../monitor/nodes.ts";
import type { RegistrySaid, ResolverSaid } from "../names/said.ts";
import type { PoolerFacts } from "../pooler/console-replies.ts";
import type { PostgresFacts } from "../postgres/facts.ts";

export type Report<T> =
  | { readonly state: "known"; readonly tookMs: number; readonly value: T }
  | {
      readonly state: "unreachable";
      readonly tookMs: number;
      readonly error: string;
      readonly sqlState?: string;
    };

export interface MemberObservation {
  readonly name: string;
  readonly postgres: Report<PostgresFacts>;
  readonly health: Report<HealthStatus>;
  readonly pooler: Report<PoolerFacts>;
}

/** One server line of a router: a member in one of its backends, or the hold server. */
export interface RouterServer {
  readonly backend: string;
  readonly server: string;
  readonly address: string;
  readonly port: number;
  /** up: takes new connections; other: drains, is in maintenance or is starting. */
  readonly state: "up" | "down" | "other";
  /** As HAProxy prints it, such as UP, DOWN, MAINT or "UP 1/2". */
  readonly status: string;
  /** What an operator forced on it: maint, drain, weight or checks; empty when nothing. */
  readonly forced: readonly string[];
  /** The last check in words, such as "L7OK/200 in 1ms". */
  readonly check: string;
  readonly sinceS: number;
  readonly sessions: number;
  readonly queued: number;
  readonly backup: boolean;
}

export interface OldWorker {
  readonly pid: number;
  readonly uptimeS: number;
  readonly sessions: number;
  /** Of these the ones for writes that have a server: how many on which. */
  readonly writing: readonly { readonly server: string; readonly sessions: number }[];
}

export interface RouterFacts {
  /** Such as 2.6.12-1+deb12u4. */
  readonly version: string;
  readonly pid: number;
  readonly uptimeS: number;
  readonly servers: readonly RouterServer[];
  /** Frontends that take no connections, by name. */
  readonly closedFrontends: readonly string[];
  /** Clients that wait, by backend: in its own queue and in those of its servers. */
  readonly queued: Readonly<Record<string, number>>;
  /** Workers that a reload left behind; null where no master could be asked. */
  readonly oldWorkers: readonly OldWorker[] | null;
  /** Why the declared master did not answer; null when it did, or none is declared. */
  readonly masterError: string | null;
}

/** How the file on the router's host compares to what the environment renders. */
export interface RouterDrift {
  readonly drifted: boolean;
  /** The first line that differs, as it stands on the router; "" when none does. */
  readonly firstDifference: string;
  /** Members that the file keeps down, with who fenced them and why. */
  readonly fenced: readonly FenceMark[];
}

export interface RouterObservation {
  readonly name: string;
  readonly runtime: Report<RouterFacts>;
  readonly configuration: Report<RouterDrift>;
}

export interface EdgePoolerObservation {
  readonly name: string;
  readonly pooler: Report<PoolerFacts>;
  /** Null where no gate is declared. */
  readonly gate: Report<GateStatus> | null;
}

/** What gives the cluster its names: the registry, and each resolver that is declared. */
export interface NamesObservation {
  /** `primary.<cluster>.<zone>` */
  readonly primary: string;
  readonly registry: Report<RegistrySaid> & { readonly address: string };
  readonly resolvers: readonly ResolverObservation[];
}

export interface ResolverObservation {
  readonly name: string;
  readonly address: string;
  readonly said: Report<ResolverSaid>;
}

/** What the monitor of pg_auto_failover says of the cluster's nodes. */
export type MonitorObservation = Report<readonly MonitorNode[]> & { readonly address: string };

/** A flip that was begun and has no end, from the cluster's journal and this host's. */
export interface UnfinishedOperation {
  readonly operationId: string;
  readonly from: string | null;
  readonly to: string | null;
  /** ISO 8601; null when not known. */
  readonly startedAt: string | null;
  /** Who holds the cluster's lock and so may be working on it; null when nobody does. */
  readonly holder: string | null;
}

export interface Observation {
  /** When the look began; ISO 8601. */
  readonly at: string;
  readonly tookMs: number;
  readonly members: readonly MemberObservation[];
  readonly routers: readonly RouterObservation[];
  readonly edgePoolers: readonly EdgePoolerObservation[];
  /** Left out where the environment declares no registry, or no monitor. */
  readonly names?: NamesObservation;
  readonly monitor?: MonitorObservation;
  /** The maintenance window that is open, as this machine knows it. */
  readonly maintenance?: WindowView | null;
  /** Left out by looks that do not ask the journals. */
  readonly unfinished?: readonly UnfinishedOperation[];
}
