/**
 * What becomes of a flip whose executor died: whether the watcher goes on, and the report where nothing
 * has to be gone on with, before the stop of the old primary or after the outcome was written. Pure.
 */
import { fold } from "../../operation/records.ts";
import type { JournalRecord, OperationState } from "../../operation/records.ts";
import type { FlipReport } from "../events.ts";
import type { FlipRequest } from "../plan/plan-request.ts";

/**
 * What the watcher goes on with: an abort is begun again, all else that has begun to stop the old
 * primary, or has asked a monitor to, is resumed; undefined where there is nothing to do.
 */
export function goalAfterDeath(
  request: FlipRequest,
  state: OperationState | undefined,
): "resume" | "abort" | undefined {
  if (state === undefined || state.outcome !== null) return undefined;
  if (request.goal === "abort") return "abort";
  return ["stop", "promote", "ask"].some((step) => state.started.includes(step))
    ? "resume"
    : undefined;
}

/**
 * @param records the operation's journal
 * @param now ms since the epoch; where nothing was written the flip counts as begun just now
 * @returns the report: the cluster is as it was, and what the executor may have left behind is named
 */
export function deathReport(
  environment: string,
  request: FlipRequest & { readonly operationId: string },
  records: readonly JournalRecord[],
  now: number,
): FlipReport {
  const state = fold(records).find((one) => one.operationId === request.operationId);
  const startedAt = records.find((one) => one.phase === "intent")?.at ?? now;
  const endedAt = records.findLast((one) => one.phase === "outcome")?.at ?? now;
  const text = (key: string): string => String(state?.intent?.[key] ?? "");
  const [from, to] = [text("from"), text("to") || (request.to ?? "")];
  const outcome = state?.outcome?.["result"];
  const hasBegun = state !== undefined && state.started.length > 0;
  const abort = `bin/recovery ${environment} flip-db --abort ${request.operationId}`;
  return {
    event: "report",
    operationId: request.operationId,
    kind: request.goal,
    result: outcome === "done" ? "done" : hasBegun && outcome === undefined ? "stuck" : "undone",
    aborted: false,
    from,
    to,
    mode: request.mode,
    startedAt: new Date(startedAt).toISOString(),
    tookMs: Math.max(0, endedAt - startedAt),
    pauseMs: null,
    longestHoldMs: null,
    steps: (state?.done ?? []).map((step) => ({ step, ms: 0, facts: {} })),
    sessionsClosed: 0,
    timelines: { before: Number(text("timeline")), after: null },
    lsns: { checkpoint: null, replayed: null },
    loss:
      outcome === "done"
        ? "none: the flip had ended"
        : `none: ${from || "the primary"} was not stopped, and takes writes as soon as the gates' leases end`,
    rejoined: outcome === "done",
    problems: [{ step: state?.started.at(-1) ?? "begin", reason: "the executor died" }],
    next: hasBegun && outcome === undefined ? abort : `bin/recovery ${environment} topology`,
  };
}
