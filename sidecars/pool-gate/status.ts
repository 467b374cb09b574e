/** What a gate says about itself, from its leases and what PgBouncer's console shows. Pure. */
import type { PoolerDatabase, PoolerPool, PoolerWorkState } from "../../kit/pooler-console.ts";
import type { GateStatus, LeaseReply } from "./contract.ts";
import type { LeaseBook } from "./lease.ts";

/** 200, or why not: 409 refused, 410 the lease has ended, 503 PgBouncer is silent, 504 not in time. */
export type GateAnswer<T = LeaseReply> =
  | { readonly status: 200; readonly body: T }
  | { readonly status: 409 | 410 | 503 | 504; readonly body: GateStatus };

/** One look at PgBouncer's console. */
export interface PoolerLook {
  readonly version: string;
  readonly whole: PoolerWorkState;
  readonly databases: readonly PoolerDatabase[];
  readonly pools: readonly PoolerPool[];
  /** By database. */
  readonly modes: Readonly<Record<string, string>>;
  readonly busy: readonly { readonly database: string; readonly servers: number }[];
}

const isPaused = (whole: PoolerWorkState): boolean => whole === "paused" || whole === "suspended";

/**
 * Why these databases cannot be paused under a lease now, in one sentence without its full stop;
 * undefined when they can. A PAUSE of a database that is pooled by session would wait until every
 * client has left.
 */
export function objectionTo(look: PoolerLook, databases: readonly string[]): string | undefined {
  if (isPaused(look.whole)) return `somebody else ${look.whole} this PgBouncer as a whole`;
  const reasons = databases.map((name) => {
    const database = look.databases.find((one) => one.name === name);
    if (database === undefined) {
      return `${name} is no entry of [databases]: PgBouncer would forget its pause`;
    }
    if (database.paused) return `somebody else paused ${name} at PgBouncer's console`;
    if (database.disabled) return `${name} is disabled at PgBouncer's console`;
    const pools = look.pools.filter((one) => one.database === name).map((one) => one.mode);
    const session = [look.modes[name], ...pools].includes("session");
    return session ? `${name} is pooled by session, so a pause would wait for every client` : "";
  });
  return reasons.find((one) => one !== "");
}

/**
 * The status of a gate; `look` is undefined when PgBouncer did not answer, `silence` says why then.
 * `now` is on the clock of the leases.
 */
export function statusOf(
  book: LeaseBook,
  look: PoolerLook | undefined,
  facts: { readonly now: number; readonly silence: string },
): GateStatus {
  const { current, owed } = book;
  const foreign = foreignPauses(look);
  const [state, reason] = stateOf(book, look, facts.silence);
  return {
    state,
    reason,
    holder: current?.holder ?? null,
    expiresInMs: current === null ? null : Math.max(0, Math.round(current.until - facts.now)),
    databases: [...(current?.databases ?? (owed.length > 0 ? owed : foreign))],
    waitingClients: (look?.pools ?? []).reduce((sum, one) => sum + one.clientsWaiting, 0),
    busy: (look?.busy ?? []).map((one) => ({ ...one })),
    pooler: look === undefined ? null : { version: look.version, poolModes: { ...look.modes } },
  };
}

function foreignPauses(look: PoolerLook | undefined): string[] {
  if (look === undefined) return [];
  const all = isPaused(look.whole);
  return look.databases.filter((one) => all || one.paused).map((one) => one.name);
}

function stateOf(
  { current, owed, ended }: LeaseBook,
  look: PoolerLook | undefined,
  silence: string,
): [GateStatus["state"], string] {
  if (look === undefined) return ["unreachable", `PgBouncer does not answer: ${silence}`];
  if (current?.phase === "pausing") {
    return ["pausing", `${current.holder} pauses, and waits for transactions to end`];
  }
  if (current !== null) return ["paused", `${current.holder} holds a lease`];
  if (owed.length > 0) {
    return ["paused", `the lease of ${ended.at(-1)?.holder ?? "a holder"} has ended, resuming`];
  }
  if (isPaused(look.whole)) return ["foreign", `somebody else ${look.whole} PgBouncer as a whole`];
  const foreign = foreignPauses(look);
  return foreign.length > 0
    ? ["foreign", `somebody else paused ${foreign.join(", ")} at PgBouncer's console`]
    : ["open", "nothing is paused"];
}
