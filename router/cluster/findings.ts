/**
 * The table of findings: everything that can be wrong with a cluster. Each row has a code, a
 * severity, a condition over the view, what it means and what to do; its texts stand in findings/,
 * one file for each sort of part, and docs/runbooks/topology.md explains them at length.
 */
import { memberFindings } from "./findings/members.ts";
import { nameFindings } from "./findings/names.ts";
import { poolerFindings } from "./findings/poolers.ts";
import { replicationFindings } from "./findings/replication.ts";
import { routerFindings } from "./findings/routers.ts";
import { fenceIt, rebuildIt } from "./findings/row.ts";
import type { FindingRow, Severity } from "./findings/row.ts";
import { managersCommand } from "./managers.ts";
import type { ClusterView } from "./view.ts";

/** All rows. Within one severity the cause stands before what follows from it. */
export const findingRows = [
  ...memberFindings,
  ...replicationFindings,
  ...routerFindings,
  ...poolerFindings,
  ...nameFindings,
] as const;

export type FindingCode = (typeof findingRows)[number]["code"];

export interface Finding {
  readonly code: FindingCode;
  readonly severity: Severity;
  /** The member, router, edge pooler or cluster that it is about. */
  readonly part: string;
  readonly says: string;
  readonly means: string;
  readonly todo: string;
}

const rank: Readonly<Record<Severity, number>> = { unsafe: 0, degraded: 1, note: 2 };

/** Everything that is found in `view`, the most urgent first. */
export function findingsOf(view: ClusterView): Finding[] {
  const found = findingRows.flatMap((row) =>
    row.condition(view).map(({ part, says }) => ({
      code: row.code,
      severity: row.severity,
      part,
      says,
      means: row.means,
      todo: todoOf(row, view, part).replaceAll("ENV", view.environment).replaceAll("PART", part),
    })),
  );
  return found.toSorted((left, right) => rank[left.severity] - rank[right.severity]);
}

/** What helps otherwise can be the wrong thing in the middle of a flip, or beside a manager. */
function todoOf(row: FindingRow, { unfinished, members }: ClusterView, part: string): string {
  const [newest] = unfinished;
  if (newest !== undefined && row.duringFlip !== undefined) {
    return row.duringFlip.replaceAll("FLIP", newest.operationId);
  }
  const managed = members.filter(({ declared }) => declared.manager !== "none");
  const { manager } = (managed.find(({ name }) => name === part) ?? managed[0])?.declared ?? {};
  if (manager === undefined) return row.todo;
  const todo = manager === "pg_auto_failover" ? (row.underMonitor ?? row.todo) : row.todo;
  // These commands refuse there, and name the manager's own.
  return todo
    .replaceAll(rebuildIt, managersCommand(manager, "rebuild"))
    .replaceAll(fenceIt, managersCommand(manager, "fence"));
}
