/** What `recovery fence` and `recovery unfence` have alike: the member, the look, and the report. */
import { loadEnvironment } from "../../../config/load.ts";
import type { Environment } from "../../../config/schema.ts";
import { inCheckout } from "../../../kit/checkout.ts";
import { systemClock } from "../../../kit/clock.ts";
import { nearest } from "../../../kit/nearest.ts";
import type { FenceObservation, FencePlan } from "../../../router/fence/observation.ts";
import type { FenceRequest } from "../../../router/fence/plan.ts";
import { lookForFence, runFence } from "../../../router/fence/run.ts";
import type { FenceReport } from "../../../router/fence/run.ts";
import { openFenceWorld } from "../../../router/fence/world.ts";
import type { FenceWorld } from "../../../router/fence/world.ts";
import type { StepEvent } from "../../../router/operation/run-step.ts";
import { makeOperationFolder, operationFiles } from "../../../router/operation/store.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { RefusedError } from "../../cli/confirm.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import type { ExitCode } from "../../cli/exit-codes.ts";
import { printable } from "../../cli/output.ts";
import { holderName, newOperationId, operationsPath } from "../flip-db/place.ts";

/** One order on one member, with what was seen of it. */
export interface FenceOrder {
  readonly invocation: Invocation;
  readonly environment: Environment;
  readonly world: FenceWorld;
  readonly request: FenceRequest;
  readonly seen: FenceObservation;
}

const managerCommands: Readonly<Record<string, string>> = {
  patroni: "patronictl pause, then patronictl",
  repmgr: "repmgr service pause, then repmgr",
  pg_auto_failover: "pg_autoctl enable maintenance",
};

/**
 * Looks at the cluster and runs `work` with what was seen; what was opened is closed.
 * @throws UsageError for an unknown member, RefusedError where another manager runs the cluster
 */
export async function withFenceOrder(
  invocation: Invocation,
  work: (order: FenceOrder) => Promise<ExitCode>,
): Promise<ExitCode> {
  const environment = await loadEnvironment(invocation.environment, {
    folder: inCheckout("config"),
  });
  const member = memberOf(environment, invocation.arguments[0] ?? "");
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

function memberOf(environment: Environment, name: string): string {
  const names = environment.members.map((one) => one.name);
  const found = environment.members.find((one) => one.name === name);
  if (found === undefined) {
    const near = nearest(name, names);
    const hint = near === undefined ? "" : `did you mean ${near}? `;
    throw new UsageError(
      `${environment.name} has no member ${JSON.stringify(name)}`,
      `${hint}there is ${names.join(", ")}`,
    );
  }
  if (found.manager === "none") return name;
  const command = managerCommands[found.manager] ?? found.manager;
  throw new RefusedError(`${found.manager} runs this cluster, and would undo it: use ${command}`);
}

/** Carries the plan out and prints the report: 0 done, 1 done in part. @throws as runFence */
export async function carryOut(order: FenceOrder, plan: FencePlan): Promise<ExitCode> {
  const { invocation, environment, world } = order;
  const { output, flags, signal } = invocation;
  const isJson = flags["json"] === true;
  const folder = `${operationsPath(environment.name)}/fence`;
  await makeOperationFolder(folder);
  const report = await runFence({
    environment,
    world,
    plan,
    journalFile: operationFiles(folder, plan.operationId).journal,
    signal,
    onEvent: (event) => {
      const line = { event: "step", ...event, ms: Math.round(event.ms) };
      if (isJson) output.result(JSON.stringify(line));
      else for (const one of linesOf(event)) output.note(printable(one));
    },
    onNote: (line) => output.note(printable(line)),
  });
  if (isJson) output.result(JSON.stringify(report));
  else for (const line of reportLines(report)) output.result(printable(line));
  signal.throwIfAborted();
  return report.result === "partial" ? exitCodes.failed : exitCodes.done;
}

function linesOf({ phase, words, ms, reason }: StepEvent): string[] {
  const time = `${String(Math.round(ms)).padStart(7)} ms`;
  const ends: Readonly<Record<StepEvent["phase"], readonly string[]>> = {
    start: [],
    waiting: [`${time}  ... ${words}`],
    skipped: [`${time}  ${words}: it is so already`],
    done: [`${time}  ${words}`],
    failed: [`${time}  ${words}: NOT DONE: ${reason ?? ""}`],
  };
  return [...ends[phase]];
}

function reportLines(report: FenceReport): string[] {
  const { command, member, result, control, problems, next } = report;
  if (result === "partial") {
    return [
      `${member} is NOT ${command}d in every part:`,
      ...problems.map((one) => `  ${one.step}: ${one.reason}`),
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
