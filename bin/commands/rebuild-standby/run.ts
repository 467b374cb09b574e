/**
 * `recovery ENV rebuild-standby`: looks, shows what it would do and why, asks, and makes the member
 * a streaming standby again. Ctrl-C takes back what can be taken back.
 */
import type { Environment, Member } from "../../../config/schema.ts";
import { operationFiles } from "../../../router/operation/store.ts";
import { chooseEnds } from "../../../router/rebuild-standby/ends.ts";
import type { RebuildReport } from "../../../router/rebuild-standby/report.ts";
import type { RebuildRequest } from "../../../router/rebuild-standby/rebuild-actions.ts";
import { decideRebuild, runRebuild } from "../../../router/rebuild-standby/rebuild.ts";
import { askRoles } from "../../../router/rebuild-standby/ask-roles.ts";
import { openRebuildWorld } from "../../../router/rebuild-standby/world.ts";
import type { RebuildWorld } from "../../../router/rebuild-standby/world.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import type { ExitCode } from "../../cli/exit-codes.ts";
import { environmentNamed, memberNamed, refusal } from "../environment.ts";
import { holderName, newOperationId, operationsFolder } from "../operation-place.ts";
import { approver } from "./approve.ts";
import { planLines, reportLines } from "./screen.ts";
import { Telling } from "./telling.ts";

/** 0 it streams; 1 it does not, or a part failed; 3 refused; 4 taken back by the operator. */
export async function run(invocation: Invocation): Promise<number> {
  const { flags, signal } = invocation;
  const environment = await environmentNamed(invocation.environment);
  const wanted = typeof flags["member"] === "string" ? flags["member"] : undefined;
  if (wanted !== undefined) memberNamed(environment, wanted);
  const ends = chooseEnds(await askRoles(environment, signal), wanted);
  if ("refused" in ends) throw await refusal(environment, ends.refused, signal);
  const operationId = newOperationId();
  const member = memberNamed(environment, ends.member);
  const request = requestOf(invocation, member, ends.source, operationId);
  const isDry = flags["dry-run"] === true;
  const world = await openRebuildWorld(environment, {
    member,
    source: memberNamed(environment, ends.source),
    exportTo: request.exportTo,
    run: operationId,
    journalFile: isDry ? null : await journalFile(environment.name, operationId),
  });
  try {
    return isDry
      ? await showPlan(invocation, environment, request, world)
      : await rebuild(invocation, environment, request, world);
  } finally {
    await world.close();
  }
}

/** A folder of its own: the journals beside it are those of flips. */
async function journalFile(environment: string, operationId: string): Promise<string> {
  const folder = await operationsFolder(environment, "rebuilds");
  return operationFiles(folder, operationId).journal;
}

function requestOf(
  { flags }: Invocation,
  member: Member,
  source: string,
  operationId: string,
): RebuildRequest {
  const method = flags["method"] ?? "auto";
  const exportTo = typeof flags["export"] === "string" ? flags["export"] : null;
  if (exportTo !== null && !/^\/[^\p{Cc}]{1,200}$/u.test(exportTo)) {
    throw new UsageError(
      `--export takes an absolute path on the member's host; got ${JSON.stringify(exportTo)}`,
      "see recovery ENVIRONMENT rebuild-standby --help",
    );
  }
  return {
    operationId,
    member: member.name,
    source,
    method: method as RebuildRequest["method"],
    slot: member.slot ?? null,
    keepOld: flags["keep-old"] === true,
    exportTo,
    hooks: {
      snapshot: member.control?.snapshot !== undefined,
      restartPooler:
        (member.control?.restartPooler ?? member.control?.poolerContainer) !== undefined,
    },
  };
}

async function showPlan(
  invocation: Invocation,
  environment: Environment,
  request: RebuildRequest,
  world: RebuildWorld,
): Promise<ExitCode> {
  const { output, flags, signal } = invocation;
  const plan = await decideRebuild(request, world, signal);
  if ("refused" in plan) throw await refusal(environment, plan.refused, signal);
  if (flags["json"] === true) output.result(JSON.stringify({ event: "plan", ...plan }));
  else for (const line of planLines(plan, output.style)) output.result(line);
  return exitCodes.done;
}

async function rebuild(
  invocation: Invocation,
  environment: Environment,
  request: RebuildRequest,
  world: RebuildWorld,
): Promise<ExitCode> {
  const { output, flags, signal } = invocation;
  const telling = new Telling(invocation, environment.name, request);
  const approve = approver(invocation);
  // Asked before the lock is taken: others need not wait for the answer.
  const first = await decideRebuild(request, world, signal);
  if ("refused" in first) throw await refusal(environment, first.refused, signal);
  await approve(first);
  try {
    const result = await runRebuild(request, world, {
      holder: holderName(),
      signal,
      approve,
      onEvent: (event) => telling.step(event),
      onAmount: (step, amount) => telling.amount(step, amount),
    });
    const report = telling.report(result);
    if (flags["json"] === true) output.result(JSON.stringify(report));
    else for (const line of reportLines(report, output.style)) output.result(line);
    return exitCodeOf(report, signal.aborted);
  } finally {
    telling.end();
  }
}

function exitCodeOf(report: RebuildReport, aborted: boolean): ExitCode {
  if (report.result === "refused") return exitCodes.refused;
  if (report.result === "undone" && aborted) return exitCodes.aborted;
  return report.result === "done" && report.problems.length === 0
    ? exitCodes.done
    : exitCodes.failed;
}
