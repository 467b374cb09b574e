/** `router ENV apply`: brings each router's configuration up to date, one router after the other. */
import { formatDuration } from "../../../config/units.ts";
import type { Environment } from "../../../config/schema.ts";
import { applyPlan, isApplied, objectionTo, planApply } from "../../../router/haproxy/apply.ts";
import type { ApplyPlan } from "../../../router/haproxy/apply.ts";
import { renderRouter } from "../../../router/haproxy/install.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { chooseFleet, RefusedError } from "./fleet.ts";

/** 0 when all routers run what is rendered, 3 when HAProxy refuses a text, 1 when a reload fails. */
export async function run(invocation: Invocation): Promise<number> {
  const { output, signal } = invocation;
  const { environment, routers } = await chooseFleet(invocation);
  for (const router of routers) {
    const text = await renderRouter(environment, router, signal);
    const plan = await planApply(environment, router, text, signal);
    for (const line of plan.warnings) output.note(`${router.name}: ${line}`);
    if (isApplied(plan)) {
      output.result(`${router.name}: runs this configuration already`);
      continue;
    }
    for (const line of forecast(environment, plan)) output.note(`${router.name}: ${line}`);
    const objection = objectionTo(plan);
    if (objection !== undefined) output.note(objection);
    if (invocation.flags["dry-run"] === true) continue;
    if (objection !== undefined && invocation.flags["yes"] !== true) {
      throw new RefusedError(`${router.name}: nothing was changed; --yes does it`);
    }
    const { pid } = await applyPlan(environment, plan, signal);
    output.result(`${router.name}: applied; worker ${pid} runs it`);
  }
  return exitCodes.done;
}

/** What an apply is about to do, for an operator to read before it happens. */
function forecast(environment: Environment, plan: ApplyPlan): string[] {
  const { sessions, forced } = plan;
  const path = plan.router.configuration.path;
  const hardStop = formatDuration(environment.haproxy.hardStopAfter);
  return [
    plan.installed === plan.text ? `${path} is right, but not loaded` : `writes ${path}`,
    sessions === 0
      ? "reloads; no write session is open"
      : `reloads; ${sessions} write ${sessions === 1 ? "session stays" : "sessions stay"} in the old worker, unwatched, and ${sessions === 1 ? "is" : "are"} cut ${hardStop} later`,
    ...forced.map((one) => `keeps ${one.backend}/${one.server} in ${one.state}`),
  ];
}
