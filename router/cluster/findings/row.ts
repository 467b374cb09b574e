/** One row of the findings table. */
import type { Condition } from "../conditions/condition.ts";

/** unsafe: data is at risk now; degraded: something is not right; note: good to know. */
export type Severity = "unsafe" | "degraded" | "note";

/** How a member becomes a fresh standby. */
export const rebuildIt = "bin/recovery ENV rebuild-standby --member PART";

/** How a member is kept from ever taking writes again; MEMBER is for the operator to choose. */
export const fenceIt =
  "bin/recovery ENV fence MEMBER (by hand: Stop a member for good in docs/runbooks/topology.md)";

export interface FindingRow {
  readonly code: string;
  readonly severity: Severity;
  readonly condition: Condition;
  readonly means: string;
  /** What to do; ENV stands for the environment, PART for the part that was found. */
  readonly todo: string;
  /** What to do in its place while a flip is unfinished; FLIP stands for that one's id. */
  readonly duringFlip?: string;
  /** What to do in its place where pg_auto_failover runs the members, and no flip is in the way. */
  readonly underMonitor?: string;
}
