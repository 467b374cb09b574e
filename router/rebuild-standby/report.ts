/** What is left to say when a rebuild has ended: made of its events and its outcome. */
import type { Outcome } from "../operation/execute.ts";
import type { StepEvent } from "../operation/run-step.ts";
import type { RebuildReport } from "./events.ts";
import type { RebuildRequest } from "./plan.ts";
import type { Progress } from "./progress.ts";
import type { RebuildPlan } from "./rebuild-actions.ts";

/** Everything that a report is made of. */
export interface RebuildRecord {
  readonly environment: string;
  readonly request: RebuildRequest;
  /** All that were carried out, the last one last; none when it was refused. */
  readonly plans: readonly RebuildPlan[];
  readonly outcome: Outcome | null;
  /** Why it was refused; "" when it was not. */
  readonly refused: string;
  readonly events: readonly StepEvent[];
  /** Of the last copy; null where nothing was copied. */
  readonly copied: Progress | null;
  readonly startedAt: string;
  readonly tookMs: number;
}

/** The report of a rebuild, whatever became of it. */
export function rebuildReport(record: RebuildRecord): RebuildReport {
  const { request, plans, outcome, events, startedAt, tookMs } = record;
  const last = plans.at(-1);
  const result = outcome?.result ?? "refused";
  const ended = events.filter(({ phase }) => phase === "done" || phase === "skipped");
  const lost = plans.find(({ thrownAway }) => thrownAway !== null);
  const isThrown = result === "done" && lost?.thrownAway !== null && lost !== undefined;
  return {
    event: "report",
    operationId: request.operationId,
    kind: "rebuild",
    result,
    member: request.member,
    source: request.source,
    method: last?.method ?? null,
    why: last?.why ?? record.refused,
    startedAt,
    tookMs,
    steps: ended.map(({ step, ms, facts }) => ({ step, ms: Math.round(ms), facts: facts ?? {} })),
    copied: copiedOf(record),
    thrownAway:
      isThrown && lost.thrownAway !== null
        ? { ...lost.thrownAway, exportedTo: lost.exportTo }
        : null,
    streams: result === "done" && last?.method !== "put-back",
    problems: problemsOf(outcome),
    next: nextOf(record, result),
  };
}

function problemsOf(outcome: Outcome | null): RebuildReport["problems"] {
  if (outcome === null) return [];
  return [...(outcome.failed === null ? [] : [outcome.failed]), ...outcome.left];
}

function copiedOf({ events, copied }: RebuildRecord): RebuildReport["copied"] {
  const step = events.findLast(
    (one) => one.phase === "done" && (one.step === "copy" || one.step === "rewind"),
  );
  if (step === undefined || copied === null) return null;
  const ms = Math.round(step.ms);
  const bytesPerSecond = ms === 0 ? 0 : Math.round((copied.bytes * 1000) / ms);
  return { bytes: copied.bytes, ms, bytesPerSecond };
}

function nextOf(
  { environment, request, refused }: RebuildRecord,
  result: RebuildReport["result"],
): string | null {
  if (result === "done") return null;
  const command = `bin/recovery ${environment}`;
  if (refused.includes("fence")) return `${command} fence ${request.member}`;
  if (result === "refused") return `${command} topology`;
  return `${command} rebuild-standby --member ${request.member}`;
}
