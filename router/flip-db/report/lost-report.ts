/**
 * The report of a flip whose executor could not say how it ended, as on a full disk: what the journals
 * of this host and of the cluster say of it, and no more. Pure.
 */
import { fold } from "../../operation/records.ts";
import type { JournalRecord } from "../../operation/records.ts";
import { deathReport } from "./death-report.ts";
import type { FlipFailureEvent, FlipReport } from "../events.ts";
import type { FlipRequest } from "../plan/plan-request.ts";

/**
 * @param records the journals' of this operation
 * @param cause why there is no report, as far as can be said
 * @param now ms since the epoch
 * @returns a failure where nothing was begun, otherwise the report
 */
export function lostReport(
  environment: string,
  request: FlipRequest & { readonly operationId: string },
  records: readonly JournalRecord[],
  { cause, now }: { readonly cause: string; readonly now: number },
): FlipReport | FlipFailureEvent {
  const { operationId, goal } = request;
  const state = fold(records).find((one) => one.operationId === operationId);
  if (state === undefined || (state.started.length === 0 && state.outcome === null)) {
    const message = `flip ${operationId} was not begun, and nothing was changed: ${cause}`;
    return { event: "failure", code: "ERR_FLIP_PROCESS", message };
  }
  const basis = deathReport(environment, request, records, now);
  const result = resultOf(state.outcome?.["result"]);
  const { from, to } = basis;
  const flip = `bin/recovery ${environment} flip-db`;
  const { step = "report", reason = cause } = state.outcome ?? {};
  const losses = {
    done: `not told: the report, which has the proof, was lost`,
    undone: `none: ${from} keeps every row, and ${to} was not promoted`,
    stuck: goal === "failover" ? "not known" : `not decided: see ${flip} --resume`,
  } as const;
  return {
    ...basis,
    result,
    loss: losses[result],
    rejoined: result === "done" && ["rejoin", "follow"].some((one) => state.done.includes(one)),
    problems: result === "done" ? [] : [{ step: String(step), reason: String(reason) }],
    next:
      result === "stuck"
        ? `${flip} --resume ${operationId}, or ${flip} --abort ${operationId}`
        : `bin/recovery ${environment} topology`,
  };
}

function resultOf(word: unknown): "done" | "undone" | "stuck" {
  return word === "done" || word === "undone" ? word : "stuck";
}
