/**
 * `router ENV apply`: brings each router's configuration up to date, one router after the other.
 * All are looked at before the first is changed, so that a refusal of one means that none was.
 */
import { countInWords, formatDuration } from "../../../config/units.ts";
import type { Environment, Router } from "../../../config/schema.ts";
import { applyPlan, isApplied, objectionTo, planApply } from "../../../router/haproxy/apply.ts";
import type { ApplyPlan } from "../../../router/haproxy/apply.ts";
import { clusterRecords } from "../../../router/flip-db/history.ts";
import { LockedError } from "../../../router/operation/lock.ts";
import { renderRouter } from "../../../router/haproxy/install.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodeOf, exitCodes } from "../../cli/exit-codes.ts";
import type { ExitCode } from "../../cli/exit-codes.ts";
import { printable } from "../../cli/output.ts";
import { RefusedError } from "../../cli/confirm.ts";
import { chooseFleet } from "./fleet.ts";

/**
 * A reload in the middle of a flip would leave sessions behind where the flip does not see them.
 * @throws LockedError while an operation holds the cluster's lock
 */
async function refuseWhileLocked(environment: Environment, signal: AbortSignal): Promise<void> {
  const cluster = await clusterRecords(environment, signal);
  if (!("holder" in cluster) || cluster.holder === null) return;
  throw new LockedError(`cluster ${environment.cluster}`, cluster.holder);
}

type Look =
  | { readonly router: Router; readonly plan: ApplyPlan }
  | { readonly router: Router; readonly error: Error };

/** What became of a router, in the order of the summary. */
const fates = [
  "applied",
  "right already",
  "would be applied",
  "failed",
  "not tried",
  "not reached, left as it is",
] as const;
type Fate = (typeof fates)[number];
type Fates = Map<string, Fate>;

/**
 * 0 when all routers run what is rendered, 1 when one failed, was not tried or not reached, 69 when
 * none was reached, 3 when something was refused and nothing changed, 75 while another operation
 * holds the cluster's lock, 78 for what cannot be rendered.
 */
export async function run(invocation: Invocation): Promise<number> {
  const { output, signal } = invocation;
  const { environment, routers } = await chooseFleet(invocation);
  if (invocation.flags["dry-run"] !== true) await refuseWhileLocked(environment, signal);
  const looks = await Promise.all(routers.map((router) => lookAt(environment, router, signal)));
  for (const look of looks) for (const line of linesOf(environment, look)) output.note(line);
  const blocked = looks.find((one) => "error" in one && !isUnreached(one));
  if (blocked !== undefined && "error" in blocked) {
    output.note("nothing was changed on any router");
    return exitCodeOf(blocked.error);
  }
  const isDry = invocation.flags["dry-run"] === true;
  const objections = objectionsTo(looks);
  for (const line of objections) output.note(line);
  if (objections.length > 0 && !isDry && invocation.flags["yes"] !== true) {
    throw new RefusedError("nothing was changed on any router; --yes does it");
  }
  const told: Fates = new Map(looks.map((look) => [look.router.name, fateBefore(look, isDry)]));
  const failure = isDry ? undefined : await applyAll(invocation, environment, looks, told);
  output.result(summary(told));
  return failure ?? exitCodeOfFates(told);
}

async function lookAt(
  environment: Environment,
  router: Router,
  signal: AbortSignal,
): Promise<Look> {
  try {
    const text = await renderRouter(environment, router, signal);
    return { router, plan: await planApply(environment, router, text, signal) };
  } catch (error) {
    signal.throwIfAborted();
    return { router, error: error as Error };
  }
}

function isUnreached(look: Look): boolean {
  return "error" in look && exitCodeOf(look.error) === exitCodes.unavailable;
}

function fateBefore(look: Look, isDry: boolean): Fate {
  if ("error" in look) return "not reached, left as it is";
  if (isApplied(look.plan)) return "right already";
  return isDry ? "would be applied" : "not tried";
}

/** A message with its router's name before it, once. */
function named({ name }: Router, message: string): string {
  return printable(message.startsWith(`${name}: `) ? message : `${name}: ${message}`);
}

function linesOf(environment: Environment, look: Look): string[] {
  if ("error" in look) {
    const isLost = isUnreached(look) ? "not reached: " : "";
    const { name } = look.router;
    const message = look.error.message.replace(`${name}: `, "");
    return [named(look.router, isLost + message)];
  }
  const { plan, router } = look;
  const lines = isApplied(plan) ? ["runs this configuration already"] : forecast(environment, plan);
  return [...plan.warnings, ...lines].map((line) => named(router, line));
}

/**
 * Why this is not to be done unasked. A router that is not reached may be serving all the same:
 * with other servers for writes in the rest, two routers could write to two members, and the
 * split-brain guard of each would see its own alone.
 */
function objectionsTo(looks: readonly Look[]): string[] {
  const plans = looks.flatMap((one) => ("plan" in one && !isApplied(one.plan) ? [one.plan] : []));
  const lost = looks.filter(isUnreached).map((one) => one.router.name);
  const moved = lost.length === 0 ? [] : plans.filter((plan) => plan.movesWrites);
  return [
    ...plans.flatMap((plan) => objectionTo(plan) ?? []),
    ...moved.map(
      ({ router }) =>
        `${router.name}: would send writes to other servers or addresses than ${lost.join(", ")}, not reached, may still do`,
    ),
  ];
}

/** Applies what is left to apply, up to the first that fails; the exit code of that one. */
async function applyAll(
  invocation: Invocation,
  environment: Environment,
  looks: readonly Look[],
  told: Fates,
): Promise<ExitCode | undefined> {
  const { output, signal } = invocation;
  for (const [index, look] of looks.entries()) {
    const { router } = look;
    if ("error" in look || told.get(router.name) !== "not tried") continue;
    try {
      // The routers before have taken their time: what was seen of this one is old by now.
      const plan =
        index === 0 ? look.plan : await planApply(environment, router, look.plan.text, signal);
      const objection = objectionTo(plan);
      if (objection !== undefined && invocation.flags["yes"] !== true) {
        throw new RefusedError(`${objection}; --yes does it`);
      }
      const { pid } = await applyPlan(environment, plan, signal);
      told.set(router.name, "applied");
      output.result(named(router, `applied; worker ${pid} runs it`));
    } catch (error) {
      told.set(router.name, "failed");
      output.note(named(router, (error as Error).message));
      if (signal.aborted) output.note(summary(told));
      signal.throwIfAborted();
      const isWhole = ![...told.values()].includes("applied");
      return isWhole && error instanceof RefusedError ? exitCodes.refused : exitCodes.failed;
    }
  }
  return undefined;
}

function summary(told: Fates): string {
  const names = (fate: Fate): string[] =>
    [...told].filter(([, one]) => one === fate).map(([name]) => name);
  return fates
    .map((fate) => ({ fate, names: names(fate) }))
    .filter((one) => one.names.length > 0)
    .map((one) => `${one.fate}: ${one.names.join(", ")}`)
    .join("; ");
}

function exitCodeOfFates(told: Fates): ExitCode {
  const lost = [...told.values()].filter((one) => one === "not reached, left as it is").length;
  if (lost === 0) return exitCodes.done;
  return lost === told.size ? exitCodes.unavailable : exitCodes.failed;
}

/** What an apply is about to do, for an operator to read before it happens. */
function forecast(environment: Environment, plan: ApplyPlan): string[] {
  const { sessions, forced, found, foundSessions } = plan;
  const path = plan.router.configuration.path;
  const hardStop = formatDuration(environment.haproxy.hardStopAfter);
  return [
    plan.installed === plan.text ? `${path} is right, but not loaded` : `writes ${path}`,
    sessions === 0
      ? "reloads; no write session is open"
      : `reloads; ${sessions} write ${sessions === 1 ? "session stays" : "sessions stay"} in the old worker, unwatched, and ${sessions === 1 ? "is" : "are"} cut ${hardStop} later`,
    ...(foundSessions === 0
      ? []
      : [
          `${countInWords(foundSessions, "session")} of backends ${foundSessions === 1 ? "stays" : "stay"} there as well, up to ${hardStop}`,
        ]),
    ...(found === 0
      ? []
      : [
          `${countInWords(found, "server")} found by DNS ${found === 1 ? "goes" : "go"} with the reload; bin/router ${environment.name} backends, where it runs, adds them to the new worker, and clients wait until then`,
        ]),
    ...forced.map((one) => `keeps ${one.backend}/${one.server} in ${one.state}`),
  ];
}
