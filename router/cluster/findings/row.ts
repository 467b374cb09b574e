/** One row of the findings table. */
import type { Condition } from "../conditions/condition.ts";

/** unsafe: data is at risk now; degraded: something is not right; note: good to know. */
export type Severity = "unsafe" | "degraded" | "note";

/** How a member becomes a fresh standby by hand; the runbook has the steps. */
export const rebuildByHand =
  "stop PART, move its data directory away, then pg_basebackup -R from the primary (see Rebuild a standby in docs/runbooks/topology.md)";

/** How a member is kept from ever taking writes again, by hand. */
export const stopByHand =
  "create standby.signal in its data directory, then pg_ctl stop -m fast (see Stop a member for good in docs/runbooks/topology.md)";

export interface FindingRow {
  readonly code: string;
  readonly severity: Severity;
  readonly condition: Condition;
  readonly means: string;
  /** What to do; ENV stands for the environment, PART for the part that was found. */
  readonly todo: string;
}
