/** What `recovery fence` and `recovery unfence` have alike: the member, the look, and the report. */
import type { Environment } from "../../../config/schema.ts";
import { systemClock } from "../../../kit/clock.ts";
import type { FenceObservation, FencePlan } from "../../../router/fence/observation.ts";
import type { FenceRequest } from "../../../router/fence/plan.ts";
import { lookForFence, runFence } from "../../../router/fence/run.ts";
import type { FenceReport } from "../../../router/fence/run.ts";
import { openFenceWorld } from "../../../router/fence/world.ts";
import type { FenceWorld } from "../../../router/fence/world.ts";
import { operationFiles } from "../../../router/operation/store.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import type { ExitCode } from "../../cli/exit-codes.ts";
import { printable } from "../../cli/output.ts";
import { stepJson } from "../../cli/step-json.ts";
import { problemWords, stepPrinter } from "../../cli/step-lines.ts";
import { environmentNamed, memberNamed, refuseManaged } from "../environment.ts";
import { holderName, newOperationId, operationsFolder } from "../operation-place.ts";

/** One order on one member, with what was seen of it. */
export interface FenceOrder {
  readonly invocation: Invocation;
  readonly environment: Environment;
  readonly world: FenceWorld;
  readonly request: FenceRequest;
  readonly seen: FenceObservation;
}

/**
 * Looks at the cluster and runs `work` with what was seen; what was opened is closed.
 * @throws UsageError for an unknown member, RefusedError where another manager runs the cluster
 */
export async function withFenceOrder(
  invocation: Invocation,
  deed: "fence" | "unfence",
  work: (order: FenceOrder) => Promise<ExitCode>,
): Promise<ExitCode> {
  const environment = await environmentNamed(invocation.environment);
  const member = memberNamed(environment, invocation.arguments[0] ?? "").name;
  refuseManaged(environment, deed, member);
  const world = openFenceWorld(environment, member);
  try {
    const request: FenceRequest = {
      environment: environment.name,
      operationId: newOperationId(),
      member,
      by: holderName(),
      at: new Date(systemClock.now()).toISOString(),
      why: String(invocation.flags["reason"] ?? ""),
      othersUnknown: invocation.flags["accept-risk"] === "other-unknown",
    };
    const seen = await lookForFence(world, invocation.signal);
    return await work({ invocation, environment, world, request, seen });
  } finally {
    world.close();
  }
}

/** Carries the plan out and prints the report: 0 done, 1 done in part. @throws as runFence */
export async function carryOut(order: FenceOrder, plan: FencePlan): Promise<ExitCode> {
  const { invocation, environment, world } = order;
  const { output, flags, signal } = invocation;
  const isJson = flags["json"] === true;
  const linesOfStep = stepPrinter(output.style);
  const folder = await operationsFolder(environment.name, "fence");
  const report = await runFence({
    environment,
    world,
    plan,
    journalFile: operationFiles(folder, plan.operationId).journal,
    signal,
    onEvent: (event) => {
      if (isJson) for (const line of stepJson(event)) output.result(line);
      else for (const line of linesOfStep(event)) output.note(line);
    },
    onNote: (line) => output.note(printable(line)),
  });
  if (isJson) output.result(JSON.stringify(report));
  else for (const line of reportLines(report)) output.result(printable(line));
  signal.throwIfAborted();
  return report.result === "partial" ? exitCodes.failed : exitCodes.done;
}

function reportLines(report: FenceReport): string[] {
  const { command, member, result, control, problems, next } = report;
  if (result === "partial") {
    return [
      `${member} is NOT ${command}d in every part:`,
      ...problems.map((one) => `  ${problemWords(one)}`),
      `next: ${next ?? ""}`,
    ];
  }
  if (command === "unfence") {
    const says = result === "nothing" ? "was not fenced" : "is no longer fenced";
    return [`${member} ${says}`];
  }
  const state = control?.["state"];
  const proof =
    state === undefined
      ? "no process of it is left"
      : `no process of it is left, and its control file says: ${String(state)}, timeline ${String(control?.["timeline"])}`;
  return [`${member} is fenced: ${proof}`];
}
