/** The report of a rebuild that has ended: made of its events and its outcome. */
import { problemsOf } from "../operation/execute.ts";
import type { Outcome } from "../operation/execute.ts";
import type { StepEvent } from "../operation/run-step.ts";
import type { Facts } from "../operation/step.ts";
import type { RebuildMethod, RebuildPlan, RebuildRequest } from "./rebuild-actions.ts";
import type { Progress } from "./progress.ts";

/** The last line of `rebuild-standby --json`; docs/cli-json.md has it as a contract. */
export interface RebuildReport {
  readonly event: "report";
  readonly operationId: string;
  readonly kind: "rebuild";
  /** done: it streams; undone: it is as before; stuck: see `next`; refused: nothing was done. */
  readonly result: "done" | "undone" | "stuck" | "refused";
  readonly member: string;
  readonly source: string;
  /** Null when it was refused. */
  readonly method: RebuildMethod | null;
  /** Why this method, or why nothing was done. */
  readonly why: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly tookMs: number;
  readonly steps: readonly { readonly step: string; readonly ms: number; readonly facts: Facts }[];
  /** What was copied, by pg_basebackup or pg_rewind; null where nothing was. */
  readonly copied: {
    readonly bytes: number;
    readonly ms: number;
    readonly bytesPerSecond: number;
  } | null;
  /** WAL of the member that its source never had; null when there was none. */
  readonly thrownAway: {
    readonly walBytes: number;
    readonly transactions: number;
    readonly exportedTo: string | null;
  } | null;
  /** Whether the member streams from its source now. */
  readonly streams: boolean;
  /** What failed, or failed without ending the rebuild. */
  readonly problems: readonly { readonly step: string; readonly reason: string }[];
  /** The command that helps; null when nothing is left to do. */
  readonly next: string | null;
}

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
    problems: outcome === null ? [] : problemsOf(outcome),
    next: nextOf(record, result),
  };
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
