/**
 * What the prechecks of a flip are judged by: plain values, gathered beforehand. What could not be
 * read stays a report that says why, and whoever needs it gets no answer instead of a wrong one.
 */
import type { GateStatus } from "../../../sidecars/pool-gate/contract.ts";
import type { Report } from "../../cluster/observation.ts";
import type { ClusterView, MemberView } from "../../cluster/view.ts";
import type { LockPurpose } from "../../operation/lock.ts";
import type { JournalRecord } from "../../operation/records.ts";
import type { PoolerClient, PoolerServer } from "../../pooler/sessions.ts";
import type { PostgresFacts } from "../../postgres/facts.ts";
import type { Backend, FlipPostgres } from "../../postgres/flip-facts.ts";

/** Limits of the environment; times in ms, sizes in bytes. */
export interface PrecheckLimits {
  readonly holdMs: number;
  readonly lagBytes: number;
  readonly archiveBacklog: number;
  /** How long a router may hold a client: its queue, then its connection to the server. */
  readonly routerHoldMs: number;
  readonly synchronous: "wait" | "relax";
}

/** What a member's Postgres said, about itself and about the tools that work on the cluster. */
export interface MemberLook extends FlipPostgres {
  /** Who holds the cluster's lock there; null when nobody does, or we ourselves. */
  readonly lockHolder: (LockPurpose & { readonly since: string }) | null;
  /** Of the cluster's journal; null where the login may not read it. */
  readonly records: readonly JournalRecord[] | null;
}

/** What a member's host said. */
export interface HostLook {
  readonly systemIdentifier: string | null;
  /** Free in the file system of the data directory; null where df did not say. */
  readonly freeBytes: number | null;
  /** Programs that a rebuild needs and that are not there. */
  readonly missingPrograms: readonly string[];
  /** Standby: how long its restore_command took for a history file that does not exist. */
  readonly restoreMs: number | null;
  /** Primary: the system identifier that the standby told over a replication connection from here. */
  readonly reverse: Report<string> | null;
}

/** One session of a router that has a server, or waits for one to write to. */
export interface RouterSession {
  /** The client's address and port, as the router sees it. */
  readonly source: string;
  /** The member it goes to; null while it waits in the queue. */
  readonly server: string | null;
  readonly old: boolean;
}

/** Two looks with all others in between: what is in both was there all the time. */
export interface Twice<T> {
  readonly first: readonly T[];
  readonly last: readonly T[];
}

/** Who is connected to the primary, and by which way. */
export interface SessionLooks {
  readonly backends: Report<Twice<Backend>>;
  readonly nodeClients: Report<Twice<PoolerClient>>;
  readonly nodeServers: Report<readonly PoolerServer[]>;
  /** By router. */
  readonly routers: Readonly<Record<string, Report<Twice<RouterSession>>>>;
  /** By edge pooler. */
  readonly edgeServers: Readonly<Record<string, Report<readonly PoolerServer[]>>>;
}

export interface PrecheckFacts {
  readonly view: ClusterView;
  readonly limits: PrecheckLimits;
  /** The one member that takes writes, and the one that shall; null where that is not known. */
  readonly from: string | null;
  readonly to: string | null;
  /** By member. */
  readonly postgres: Readonly<Record<string, Report<MemberLook>>>;
  /** By member; a member without `control` has none. */
  readonly hosts: Readonly<Record<string, Report<HostLook>>>;
  /** SHOW CONFIG by member, and by edge pooler. */
  readonly nodeSettings: Readonly<Record<string, Report<PoolerSettings>>>;
  readonly edgeSettings: Readonly<Record<string, Report<PoolerSettings>>>;
  /** By edge pooler; one without a gate has none. */
  readonly gates: Readonly<Record<string, Report<GateStatus>>>;
  readonly sessions: SessionLooks;
  /** The journals of this machine. */
  readonly localRecords: readonly JournalRecord[];
}

export type PoolerSettings = Readonly<Record<string, string>>;

/** Something that a check needs could not be read; its message says what, and why. */
export class UnreadError extends Error {
  override readonly name = "UnreadError";
}

/**
 * What a report says.
 * @throws UnreadError where nothing was learned
 */
export function need<T>(report: Report<T> | undefined, what: string): T {
  if (report?.state === "known") return report.value;
  throw new UnreadError(report === undefined ? `${what} was not read` : `${what}: ${report.error}`);
}

/** One end of the flip, with all that is known of it. */
export interface End {
  readonly name: string;
  readonly view: MemberView;
  readonly facts: PostgresFacts;
}

/**
 * The old primary, or the standby that is to take over, and what its Postgres said.
 * @throws UnreadError where it is not known which one that is, or it did not answer
 */
export function endOf(facts: PrecheckFacts, end: "from" | "to"): End {
  const name = facts[end];
  const view = facts.view.members.find((one) => one.name === name);
  if (name === null || view === undefined) {
    throw new UnreadError(
      end === "from" ? "it is not known who takes writes" : "it is not known who shall take over",
    );
  }
  return { name, view, facts: need(view.postgres, `Postgres of ${name}`) };
}

/**
 * The further facts of one end.
 * @throws UnreadError
 */
export function moreOf(facts: PrecheckFacts, end: "from" | "to"): MemberLook {
  const { name } = endOf(facts, end);
  return need(facts.postgres[name], `Postgres of ${name}`);
}

/**
 * Looks at each of `list`; findings count more than what could not be read.
 * @returns the findings in one sentence, undefined when all is fine
 * @throws UnreadError when there is no finding and something was not read
 */
export function overAll<T>(
  list: readonly T[],
  look: (one: T) => readonly string[] | string | undefined,
): string | undefined {
  const found: string[] = [];
  const unread: string[] = [];
  for (const one of list) {
    try {
      const says = look(one) ?? [];
      found.push(...(typeof says === "string" ? [says] : says));
    } catch (error) {
      if (!(error instanceof UnreadError)) throw error;
      unread.push(error.message);
    }
  }
  if (found.length > 0) return found.join("; ");
  if (unread.length > 0) throw new UnreadError([...new Set(unread)].join("; "));
  return undefined;
}

/** `some a, b and 3 more`: never more than `most` of them. */
export function listed(names: readonly string[], most = 4): string {
  const rest = names.length - most;
  return rest <= 0 ? names.join(", ") : `${names.slice(0, most).join(", ")} and ${rest} more`;
}
