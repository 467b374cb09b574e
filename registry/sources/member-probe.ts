/**
 * One member as the probe source asks it: a connection that stays, one statement a look. A member that
 * is known not to answer holds up no look: it is tried beside it, and news when it answers again.
 */
import { DeadlineError, withDeadline } from "../../kit/clock.ts";
import type { Clock } from "../../kit/clock.ts";
import { PgConnectionError } from "../../kit/pg-connection.ts";
import type { PgFault } from "../../kit/pg-connection.ts";
import { parseLsn } from "../../kit/lsn.ts";
import type { RoleSourceKeys } from "../contract.ts";
import type { MemberPlace } from "../records.ts";
import type { ProbeAnswer, ProbeFault } from "../roles/observation.ts";
import { SteadyConnection, whyNoAnswer } from "./steady-connection.ts";
import type { TextRow } from "./steady-connection.ts";

export type ProbeKeys = Extract<RoleSourceKeys, { kind: "probe" }>;

const openMs = 2000;
const answerMs = 1000;

/** How long a look waits for a member that did not answer the look before. */
const patienceMs = 250;

/**
 * The role is read once (MATERIALIZED), because a promotion may happen in between. A primary's timeline
 * is that of its next WAL file: the control file keeps the old one until the first checkpoint after a
 * promotion. It needs no privilege. PostgreSQL manual, 9.27.
 */
const probeSql = `
WITH state AS MATERIALIZED (SELECT pg_is_in_recovery() AS standby)
SELECT state.standby::text AS standby,
  current_setting('default_transaction_read_only') AS read_only,
  (SELECT system_identifier::text FROM pg_control_system()) AS system,
  CASE WHEN state.standby THEN greatest(
      (SELECT timeline_id FROM pg_control_checkpoint()),
      (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
      (SELECT received_tli FROM pg_stat_wal_receiver))
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
  END::text AS timeline,
  CASE WHEN state.standby THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text AS lsn
FROM state`;

const kindByFault: Readonly<Record<PgFault, ProbeFault["kind"]>> = {
  refused: "down",
  silent: "silent",
  full: "silent",
  denied: "denied",
  failed: "denied",
};

/** SQLSTATEs of a server that is starting, stopping or has crashed (Appendix A, class 57). */
const downStates: ReadonlySet<string> = new Set(["57P01", "57P02", "57P03"]);

const wordsByKind: Readonly<Record<ProbeFault["kind"], string>> = {
  down: "does not answer",
  silent: "does not answer",
  denied: "does not let us look",
  "no-address": "cannot be asked",
};

export interface MemberProbeOptions {
  readonly keys: ProbeKeys;
  readonly clock: Clock;
  /** It ended its connection, or answers again. */
  readonly onNews: () => void;
}

export class MemberProbe {
  readonly #clock: Clock;
  readonly #onNews: () => void;
  readonly #connection: SteadyConnection;
  #answeredAt: number | undefined;
  #fault: ProbeFault | undefined;

  constructor(name: string, place: MemberPlace, options: MemberProbeOptions) {
    const { keys, clock, onNews } = options;
    this.#clock = clock;
    this.#onNews = onNews;
    this.#connection = new SteadyConnection(
      {
        title: `Postgres of ${name}`,
        host: place.address,
        port: place.port,
        user: keys.user,
        database: keys.database,
        tls: keys.tls,
        passwordFile: keys.password_file,
        openMs,
        answerMs,
      },
      { onLost: onNews },
    );
  }

  /** Asks once; never rejects. */
  async look(): Promise<ProbeAnswer | ProbeFault> {
    try {
      if (!this.#connection.isOpen && this.#fault !== undefined) await this.#reopen();
      const [row] = await this.#connection.ask(probeSql);
      const at = this.#clock.monotonic();
      const answer = readAnswer(row, at);
      this.#answeredAt = at;
      this.#fault = undefined;
      return answer;
    } catch (error) {
      this.#fault = this.#faultOf(error);
      return this.#fault;
    }
  }

  /** Lets go of its connection at once. */
  stop(): void {
    this.#connection.stop();
  }

  /** Waits a little; an attempt that takes longer goes on, and is news when it succeeds. */
  async #reopen(): Promise<void> {
    let isLate = false;
    const opening = this.#connection.open();
    opening.then(
      () => (isLate ? this.#onNews() : undefined),
      () => undefined,
    );
    try {
      await withDeadline("a connection", patienceMs, () => opening);
    } catch (error) {
      isLate = error instanceof DeadlineError;
      throw error;
    }
  }

  #faultOf(error: unknown): ProbeFault {
    const silentMs =
      this.#answeredAt === undefined ? null : this.#clock.monotonic() - this.#answeredAt;
    // What is known of it stays true while it is being tried.
    if (error instanceof DeadlineError && this.#fault !== undefined && !this.#connection.isOpen) {
      return { ...this.#fault, kind: "silent", silentMs };
    }
    const kind = kindOf(error);
    return { kind, words: `${wordsByKind[kind]} (${whyNoAnswer(error)})`, silentMs };
  }
}

function kindOf(error: unknown): ProbeFault["kind"] {
  if (error instanceof PgConnectionError) {
    return downStates.has(error.sqlState ?? "") ? "down" : kindByFault[error.fault];
  }
  return error instanceof DeadlineError ? "silent" : "denied";
}

function readAnswer(row: TextRow | undefined, at: number): ProbeAnswer {
  const text = (name: string): string => {
    const value = row?.[name];
    if (typeof value === "string") return value;
    throw new TypeError(`the answer to the probe has no ${name}`);
  };
  const lsn = row?.["lsn"] ?? null;
  return {
    standby: text("standby") === "true",
    readOnly: text("read_only") === "on",
    timeline: Number(text("timeline")),
    system: text("system"),
    progress: lsn === null ? null : { lsn: parseLsn(lsn), at },
  };
}
