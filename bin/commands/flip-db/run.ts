/**
 * `recovery ENV flip-db`: looks, asks, has it carried out by an executor of its own, and shows what
 * that one does.
 */
import type { Environment } from "../../../config/schema.ts";
import type { Ending } from "../../../router/flip-db/carry-out.ts";
import { endOfLog } from "../../../router/flip-db/event-log.ts";
import type { FlipEvent, FlipReport } from "../../../router/flip-db/events.ts";
import type { FlipPlan } from "../../../router/flip-db/flip-actions.ts";
import { unaccepted } from "../../../router/flip-db/report.ts";
import { LockedError } from "../../../router/operation/lock.ts";
import { operationFiles, removeUnbegun } from "../../../router/operation/store.ts";
import type { Invocation } from "../../cli/command.ts";
import { canAsk, confirm, RefusedError, saidYes } from "../../cli/confirm.ts";
import type { Question } from "../../cli/confirm.ts";
import { printable } from "../../cli/output.ts";
import { jsonLines } from "../../cli/step-json.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import type { ExitCode } from "../../cli/exit-codes.ts";
import { environmentNamed, memberNamed, refuseManaged } from "../environment.ts";
import {
  holderName,
  newOperationId,
  newRun,
  operationsFolder,
  operationsPath,
} from "../operation-place.ts";
import { dryLines, dryObject, findingLines } from "./findings.ts";
import { follow } from "./follow.ts";
import { lostEnding } from "./lost-ending.ts";
import { orderLine } from "./order.ts";
import { prepare } from "./prepare.ts";
import type { Preparation, Prepared } from "./prepare.ts";
import { readAsked } from "./request.ts";
import type { Asked } from "./request.ts";
import { eventPrinter, reportLines } from "./screen.ts";
import { removeEmptyLog, startProcess } from "./spawn.ts";
import type { FlipProcess } from "./spawn.ts";

/** 0 done; 1 done in part, undone or stuck; 3 refused; 4 aborted; 69, 75 and 78 as everywhere. */
export async function run(invocation: Invocation): Promise<number> {
  const asked = readAsked(invocation);
  const environment = await environmentNamed(invocation.environment);
  return await flip(invocation, environment, asked, askWhether);
}

/** Puts the question. @returns the plan to carry out, which the answer may have changed */
export type Ask = (
  invocation: Invocation,
  prepared: Prepared,
  preparation: Preparation,
) => Promise<Prepared>;

/**
 * Does what was asked for, from the look beforehand to the report.
 * @throws what refuses, aborts or cannot be reached; with --json the last line says so as well
 */
export async function flip(
  invocation: Invocation,
  environment: Environment,
  asked: Asked,
  ask: Ask,
): Promise<number> {
  try {
    if (asked.to !== undefined) memberNamed(environment, asked.to);
    refuseManaged(environment, asked.goal === "failover" ? "failover" : "flip");
    const ids = { operationId: newOperationId(), run: newRun() };
    const folder = operationsPath(environment.name);
    const { output, signal } = invocation;
    const preparation = { environment, asked, folder, ...ids, signal, note: output.note };
    if (asked.isDry) return await dryRun(invocation, preparation);
    if (!saidYes(invocation) && !canAsk(invocation)) {
      throw new RefusedError(
        "not confirmed: --yes, or RECOVERY_YES=1, does it; --dry-run shows it",
      );
    }
    return await launch(invocation, preparation, ask);
  } catch (error) {
    if (asked.json && error instanceof Error) {
      const { code = "ERR_FLIP_PROCESS" } = error as { code?: string };
      invocation.output.result(JSON.stringify({ event: "failure", code, message: error.message }));
    }
    throw error;
  }
}

async function dryRun({ output }: Invocation, preparation: Preparation): Promise<ExitCode> {
  const prepared = await prepare(preparation);
  const lines = preparation.asked.json
    ? [JSON.stringify(dryObject(prepared))]
    : dryLines(prepared, output.style);
  for (const line of lines) output.result(line);
  if (whyRefused(prepared) === undefined) return exitCodes.done;
  if (prepared.holder === null) return exitCodes.refused;
  output.note(printable(new LockedError("the cluster", prepared.holder).message));
  return exitCodes.locked;
}

async function launch(
  invocation: Invocation,
  preparation: Preparation,
  ask: Ask,
): Promise<ExitCode> {
  const { output } = invocation;
  const { environment, asked, run: run_ } = preparation;
  const folder = await operationsFolder(environment.name);
  // It warms up while this process looks and asks, and ends by itself when this one does.
  const words = { environment: environment.name, run: run_, folder };
  const executor = await startProcess("executor", words, "log");
  try {
    const seen = await prepare(preparation);
    if (!asked.json) for (const line of findingLines(seen, output.style)) output.note(line);
    const prepared = await ask(invocation, seen, preparation);
    return await carriedOut(invocation, environment, { folder, executor, prepared });
  } finally {
    executor.child.stdin?.destroy();
    executor.child.unref();
    await removeEmptyLog(executor.logFile);
  }
}

async function askWhether(invocation: Invocation, prepared: Prepared): Promise<Prepared> {
  await confirm(invocation, questionFor(planOf(prepared)));
  return prepared;
}

/**
 * @returns the plan
 * @throws RefusedError where there is none, or a precheck stands in its way; LockedError where that is
 * because of another operation
 */
export function planOf(prepared: Prepared): FlipPlan {
  const { plan, holder } = prepared;
  // What another operation is in the middle of looks like something to be mended.
  if (holder !== null) throw new LockedError("the cluster", holder);
  const why = whyRefused(prepared);
  if (why !== undefined || "refused" in plan) throw new RefusedError(why ?? "there is no plan");
  return plan;
}

/** Why nothing may be done; undefined when it may. */
function whyRefused({ plan, prechecks }: Prepared): string | undefined {
  if ("refused" in plan) return plan.refused;
  const [first, ...others] = prechecks.filter((one) => one.refuses);
  if (first === undefined) return undefined;
  const more = others.length > 0 ? ` (and ${others.length} more)` : "";
  const risk = first.risk === null ? "" : `; --accept-risk=${first.risk} accepts it`;
  return `${first.code}: ${first.finding}${more}${risk}`;
}

function questionFor({ asked, from, to, mode, goal }: FlipPlan): Question {
  const otherwise = "--yes, or RECOVERY_YES=1, does it";
  if (goal === "back") {
    return { text: `Take the flip to ${to} back, so that ${from} takes writes?`, otherwise };
  }
  const how = mode === "seamless" ? "clients wait a moment" : "sessions are closed once";
  const what = asked === "resume" ? "Finish the flip of" : "Flip";
  return { text: `${what} writes from ${from} to ${to} (${mode}: ${how})?`, otherwise };
}

interface Launched {
  readonly folder: string;
  readonly executor: FlipProcess;
  readonly prepared: Prepared;
}

async function carriedOut(
  { output, flags, signal }: Invocation,
  environment: Environment,
  { folder, executor, prepared }: Launched,
): Promise<ExitCode> {
  const { plan, request } = prepared;
  const operationId = "refused" in plan ? "" : plan.operationId;
  const files = operationFiles(folder, operationId);
  const offset = await endOfLog(files.events);
  const order = { request: { ...request, operationId }, holder: holderName() };
  executor.child.stdin?.write(orderLine(order));
  const isJson = flags["json"] === true;
  const linesFor = isJson ? jsonLines : eventPrinter(output.style);
  const show = (event: FlipEvent): void => {
    if (event.event !== "failure") for (const line of linesFor(event)) output.result(line);
  };
  const told = await follow({
    environment: environment.name,
    operationId,
    executor,
    eventFile: files.events,
    offset,
    note: output.note,
    show,
  });
  const ending = told ?? (await lostEnding({ environment, order, files, executor, signal, show }));
  if (ending.event === "failure") await removeUnbegun(files).catch(() => undefined);
  if (ending.event === "report" && !isJson) {
    for (const line of reportLines(ending, output.style, false)) output.result(line);
  }
  return exitCodeOfEnding(ending);
}

/** An error of the executor, as it came back. */
class ExecutorError extends Error {
  override readonly name = "ExecutorError";
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * What the end of a flip means to the shell.
 * @throws the executor's error where nothing was begun
 */
export function exitCodeOfEnding(ending: Ending): ExitCode {
  if (ending.event === "failure") throw new ExecutorError(ending.code, ending.message);
  return exitCodeByResult[ending.result](ending);
}

const exitCodeByResult: Readonly<Record<FlipReport["result"], (report: FlipReport) => ExitCode>> = {
  done: ({ kind, rejoined, problems }) => {
    const isWhole = (rejoined || kind === "failover") && unaccepted({ problems }).length === 0;
    return isWhole ? exitCodes.done : exitCodes.failed;
  },
  undone: ({ kind, aborted }) => {
    if (kind === "abort") return exitCodes.done;
    return aborted ? exitCodes.aborted : exitCodes.failed;
  },
  stuck: () => exitCodes.failed,
  refused: () => exitCodes.refused,
};
