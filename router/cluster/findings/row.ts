/** One row of the findings table. */
import type { Condition } from "../conditions/condition.ts";

/** unsafe: data is at risk now; degraded: something is not right; note: good to know. */
export type Severity = "unsafe" | "degraded" | "note";

export interface FindingRow {
  readonly code: string;
  readonly severity: Severity;
  readonly condition: Condition;
  readonly means: string;
  /** What to do; ENV stands for the environment, PART for the part that was found. */
  readonly todo: string;
}
