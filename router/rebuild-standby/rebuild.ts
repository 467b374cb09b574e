/**
 * One run of a rebuild: look, plan, take the lock, look and plan again under it, carry out. What an
 * earlier run left in the middle is finished or taken back first; a rewind that fails is followed
 * by a base backup where the confirmed plan said so.
 */
import { execute } from "../operation/execute.ts";
import type { Outcome } from "../operation/execute.ts";
import { relockAs } from "../operation/lock.ts";
import { operationRecord } from "../operation/records.ts";
import type { StepEvent } from "../operation/run-step.ts";
import type { StepRow } from "../operation/step.ts";
import { plan } from "./plan.ts";
import type { RebuildKind, RebuildPlan, RebuildRequest, Refusal } from "./rebuild-actions.ts";
import type { Amount } from "./progress.ts";
import { rebuildSteps } from "./steps.ts";
import type { RebuildWorld } from "./world.ts";

export interface RebuildOptions {
  readonly holder: string;
  readonly signal: AbortSignal;
  /** Asked with every plan before it is carried out, the lock being held; throws to refuse it. */
  readonly approve: (plan: RebuildPlan) => Promise<void>;
  readonly onEvent: (event: StepEvent) => void;
  readonly onAmount: (step: string, amount: Amount) => void;
}

export type RebuildResult =
  | { readonly kind: "refused"; readonly why: string }
  | {
      readonly kind: "ended";
      /** Every plan that was carried out, the last one last. */
      readonly plans: readonly RebuildPlan[];
      readonly outcome: Outcome;
    };

/** An unfinished run put back, a rewind, the copy in its place: no rebuild has more parts. */
const mostPlans = 4;

/** Looks at everything and plans; changes nothing. @returns the plan, or why there is none */
export async function decideRebuild(
  request: RebuildRequest,
  world: Pick<RebuildWorld, "survey">,
  signal: AbortSignal,
): Promise<RebuildPlan | Refusal> {
  const { seen, survey } = await world.survey(signal);
  return plan(seen, survey, request);
}

/**
 * Rebuilds the member of `request` to its end.
 * @throws LockedError when another operation holds the lock; what `approve` throws; the operator's
 * reason when aborted before anything was begun
 */
export async function runRebuild(
  request: RebuildRequest,
  world: RebuildWorld,
  options: RebuildOptions,
): Promise<RebuildResult> {
  const purpose = { holder: options.holder, why: `rebuild ${request.operationId}` };
  let hold = await world.lock(purpose, options.signal);
  const plans: RebuildPlan[] = [];
  let asked = request;
  try {
    for (;;) {
      const chosen = await decideRebuild(asked, world, options.signal);
      if ("refused" in chosen) return refusal(chosen.refused, plans);
      await options.approve(chosen);
      plans.push(chosen);
      if (chosen.steps.length === 0) return { kind: "ended", plans, outcome: nothingDone };
      await remember(world, chosen);
      const ended = await execute<RebuildKind>({
        operationId: chosen.operationId,
        plan: chosen,
        rows: rowsOf(chosen),
        direction: "forward",
        crossed: false,
        actions: world.actions(options.onAmount),
        observe: world.observe,
        hold,
        relock: () => relockAs(purpose, () => world.lock(purpose, options.signal)),
        journal: world.journal,
        timing: world.timing,
        signal: options.signal,
        onEvent: options.onEvent,
      });
      hold = ended.hold;
      const { result, failed, left } = ended;
      const next = plans.length < mostPlans ? goOn(chosen, ended, asked) : undefined;
      if (next === undefined || options.signal.aborted) {
        return { kind: "ended", plans, outcome: { result, failed, left } };
      }
      asked = next;
    }
  } finally {
    await hold.release();
  }
}

const nothingDone: Outcome = { result: "done", failed: null, left: [] };

/** With something done already, a refusal is an end: what was done is told. */
function refusal(why: string, plans: readonly RebuildPlan[]): RebuildResult {
  if (plans.length === 0) return { kind: "refused", why };
  const failed = { step: "plan", reason: why };
  return { kind: "ended", plans, outcome: { result: "stuck", failed, left: [] } };
}

/** What is asked for next; undefined when this was the end. */
function goOn(
  chosen: RebuildPlan,
  outcome: Outcome,
  asked: RebuildRequest,
): RebuildRequest | undefined {
  if (outcome.result === "done" && chosen.method === "put-back") return asked;
  const isSpoiled = outcome.failed?.step === "rehearse" || outcome.failed?.step === "rewind";
  const isRewind = chosen.mayCopy && outcome.result !== "done" && isSpoiled;
  return isRewind ? { ...asked, method: "basebackup" } : undefined;
}

async function remember(world: RebuildWorld, chosen: RebuildPlan): Promise<void> {
  const { operationId, member, source, method, copyId } = chosen;
  const facts = { kind: "rebuild", member, source, method, copyId };
  const at = world.timing.clock.now();
  await world.journal.append(operationRecord(operationId, "intent", at, facts));
}

/** The rows of a plan, in its order. @throws TypeError for an unknown name */
export function rowsOf(chosen: RebuildPlan): StepRow<RebuildKind>[] {
  return chosen.steps.map((name) => {
    const row = rebuildSteps.find((one) => one.step === name);
    if (row === undefined) throw new TypeError(`there is no step ${name}`);
    return row;
  });
}
