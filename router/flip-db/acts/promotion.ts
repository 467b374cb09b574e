/** The promotion: sent only on its terms, in one statement over the session that holds the lock. */
import { escapeLiteral } from "pg";
import { systemClock } from "../../../kit/clock.ts";
import { formatLsn } from "../../../kit/lsn.ts";
import type { Facts } from "../../operation/step.ts";
import { SessionLostError } from "../../postgres/session.ts";
import { replayTimelineSql } from "../../postgres/sql.ts";
import type { MemberSession, PreparedStatement } from "../../postgres/session.ts";
import type { PromotionTerms } from "../flip-actions.ts";

/** The standby is not in the state in which it may be promoted; nothing was sent. */
export class PromotionRefusedError extends Error {
  override readonly name = "PromotionRefusedError";
  readonly code = "ERR_PROMOTION_REFUSED";
  readonly member: string;
  constructor(member: string, { timeline, systemIdentifier, past }: PromotionTerms) {
    super(
      `promote ${member}: it is no standby on timeline ${timeline} of ${systemIdentifier} that has replayed past ${formatLsn(past)}`,
    );
    this.member = member;
  }
}

/** Judges and acts in one, so that neither a stale look nor a lost lock can promote. */
export const promoteStatement: PreparedStatement = {
  name: "switchyard_promote",
  text: `(int, text, pg_lsn) AS SELECT s.replayed, CASE WHEN pg_is_in_recovery()
      AND s.timeline = $1 AND s.identifier = $2 AND s.replayed > $3
    THEN pg_promote(false) END AS sent
  FROM (SELECT pg_last_wal_replay_lsn() AS replayed, ${replayTimelineSql} AS timeline,
    (SELECT system_identifier::text FROM pg_control_system()) AS identifier) s`,
};

/**
 * Whether the startup process sleeps before it asks for WAL once more, though it has been told to
 * promote. That happens when the order comes just while its receiver has failed: it has taken the
 * wake-up then, and sleeps for the rest of wal_retrieve_retry_interval (5 s). A SIGHUP wakes it.
 */
export const sleeperStatement: PreparedStatement = {
  name: "switchyard_sleeper",
  text: `AS SELECT CASE WHEN wait_event = 'RecoveryRetrieveRetryInterval' THEN pg_reload_conf() END
    AS woken, pg_is_in_recovery() AS standby
  FROM (VALUES (1)) one (one) LEFT JOIN pg_stat_activity ON backend_type = 'startup'`,
};

const watchEveryMs = 2;
const watchMs = 1000;

/**
 * Sends the promotion and sees to it for a moment that it is under way.
 * @throws PromotionRefusedError where the terms do not hold; else it may have been sent
 */
export async function promote(
  session: MemberSession,
  member: string,
  terms: PromotionTerms,
  signal: AbortSignal,
): Promise<Facts> {
  if (session.member !== member) throw new SessionLostError(member, "the lock counts elsewhere");
  const { timeline, systemIdentifier, past } = terms;
  const values = [String(timeline), escapeLiteral(systemIdentifier), `'${formatLsn(past)}'`];
  const [row] = await session.execute(promoteStatement, values, signal);
  if (row?.["sent"] !== "t") throw new PromotionRefusedError(member, terms);
  const woken = await wake(session, signal);
  return { replayed: String(row["replayed"]), past: formatLsn(past), ...(woken ? { woken } : {}) };
}

async function wake(session: MemberSession, signal: AbortSignal): Promise<boolean> {
  const end = systemClock.monotonic() + watchMs;
  let woken = false;
  do {
    await systemClock.sleep(watchEveryMs, signal);
    const [row] = await session.execute(sleeperStatement, [], signal);
    woken ||= row?.["woken"] === "t";
    if (row?.["standby"] !== "t") return woken;
  } while (systemClock.monotonic() < end);
  return woken;
}
