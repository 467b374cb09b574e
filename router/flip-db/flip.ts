/**
 * One run of the flip: look, plan, take the lock, look and plan again under it, carry out. A new
 * flip, a resume and an abort, here or from another host, are this same code.
 */
import type { Timing } from "../../kit/clock.ts";
import { execute } from "../operation/execute.ts";
import type { Outcome } from "../operation/execute.ts";
import type { Journal } from "../operation/journal-file.ts";
import { LockedError, relockAs } from "../operation/lock.ts";
import type { Lock, LockHold } from "../operation/lock.ts";
import { fold, operationRecord } from "../operation/records.ts";
import type { JournalRecord } from "../operation/records.ts";
import type { StepEvent } from "../operation/run-step.ts";
import type { StepRow } from "../operation/step.ts";
import type { FlipActions, FlipKind, FlipPlan } from "./flip-actions.ts";
import { allParts } from "./observation.ts";
import type { FlipObservation, FlipPart } from "./observation.ts";
import { intentFacts, plan, undoable } from "./plan.ts";
import { monitoredUndoable } from "./plan/plan-monitored.ts";
import type { FlipRequest, Refusal } from "./plan/plan-request.ts";
import { flipSteps, rowsNamed } from "./steps.ts";
import type { FlipTable } from "./steps.ts";

/** Which members the lock is taken on, the one that counts first. */
export type LockEnds = Pick<FlipPlan, "from" | "to">;

export interface FlipWorld {
  /** `ends` says who is from and to once that is known; before, every member is looked at. */
  readonly observe: (
    parts: readonly FlipPart[],
    ends: LockEnds | undefined,
    signal: AbortSignal,
  ) => Promise<FlipObservation>;
  readonly actions: FlipActions;
  /** From now on these are neither looked at nor acted on; the words are those of FlipPlan.leftOut. */
  readonly leaveOut: (parts: readonly string[]) => void;
  readonly lock: Lock<LockEnds>;
  /** The local file: its records so far, and where new ones go. */
  readonly records: () => Promise<readonly JournalRecord[]>;
  readonly journal: Journal;
  readonly timing: Timing;
}

/** What a test may replace by something broken. */
export interface FlipMachine {
  readonly table: FlipTable;
  readonly plan: typeof plan;
  /** What takes back a flip that failed; undefined: what this run has started. */
  readonly takeBack: (table: FlipTable, plan: FlipPlan) => FlipTable | undefined;
}

export const flipMachine: FlipMachine = {
  table: flipSteps(),
  plan,
  // A lost primary stays down and armed: starting it is not for a failover to do by itself.
  takeBack: (table, { cause, manager }) => {
    const undone = manager === "none" ? undoable : monitoredUndoable;
    return cause === "lost" ? [] : rowsNamed(table, undone).flatMap((row) => row.undo);
  },
};

export interface FlipOptions {
  readonly holder: string;
  readonly signal: AbortSignal;
  readonly onPlan?: (plan: FlipPlan) => void;
  readonly onEvent: (event: StepEvent) => void;
  readonly machine?: FlipMachine;
}

export type FlipResult =
  | { readonly kind: "refused"; readonly why: string; readonly passing: boolean }
  | { readonly kind: "ended"; readonly plan: FlipPlan; readonly outcome: Outcome };

/**
 * Runs a flip, a resume or an abort to its end.
 * @throws LockedError when another operation holds the lock; the operator's reason when aborted
 * before anything was begun; what looking throws
 */
export async function runFlip(
  request: FlipRequest,
  world: FlipWorld,
  options: FlipOptions,
): Promise<FlipResult> {
  const machine = options.machine ?? flipMachine;
  const first = await decide(request, world, machine, options.signal);
  if ("refused" in first) return await refused(first, world, options.signal);
  const purpose = { holder: options.holder, why: `${request.goal} ${first.operationId}` };
  const lock = (ends: LockEnds): Promise<LockHold> =>
    world.lock.acquire(ends, purpose, options.signal);
  let hold = await lock(first);
  try {
    // Until the lock was there, another operation may have changed everything.
    const chosen = await decide(request, world, machine, options.signal);
    if ("refused" in chosen) return refusal(chosen);
    if (chosen.from !== first.from || chosen.to !== first.to) {
      return refusal({ refused: "the cluster changed while the lock was taken" });
    }
    options.onPlan?.(chosen);
    world.leaveOut(chosen.leftOut);
    const at = world.timing.clock.now();
    const { operationId } = chosen;
    const facts = intentFacts(chosen);
    await world.journal.append(operationRecord(operationId, "intent", at, facts));
    const takeBack = machine.takeBack(machine.table, chosen);
    const ended = await execute<FlipKind>({
      operationId,
      plan: chosen,
      rows: rowsOf(chosen, machine.table),
      direction: chosen.goal,
      crossed: chosen.crossed,
      ...(takeBack === undefined ? {} : { takeBack }),
      actions: world.actions,
      observe: (parts, signal) => world.observe(parts, chosen, signal),
      hold,
      relock: () => relockAs(purpose, () => lock(chosen)),
      journal: world.journal,
      timing: world.timing,
      signal: options.signal,
      onEvent: options.onEvent,
    });
    hold = ended.hold;
    const { result, failed, left } = ended;
    return { kind: "ended", plan: chosen, outcome: { result, failed, left } };
  } finally {
    await hold.release();
  }
}

/** What another operation is in the middle of looks like something to be mended. */
async function refused(
  why: Refusal,
  { lock }: FlipWorld,
  signal: AbortSignal,
): Promise<FlipResult> {
  const holder = await lock.holder?.(signal);
  if (holder) throw new LockedError("the cluster", holder);
  return refusal(why);
}

function refusal({ refused: why, passing = false }: Refusal): FlipResult {
  return { kind: "refused", why, passing };
}

/**
 * Looks at everything. Where routers or gates were silent it looks once more, and takes for silent
 * only what was so both times: a host that was busy for a moment is not to be left out of a flip. A
 * failover, which nobody waits for longer than they must, goes on without them as it is.
 * @throws what looking throws
 */
export async function lookAtAll(
  world: Pick<FlipWorld, "observe">,
  { goal, acceptedRisks = [] }: Pick<FlipRequest, "goal" | "acceptedRisks">,
  signal: AbortSignal,
): Promise<FlipObservation> {
  const first = await world.observe(allParts, undefined, signal);
  if (goal === "failover" && acceptedRisks.length === 0) return first;
  if ([...first.routers, ...first.gates].every(({ reached }) => reached)) return first;
  const again = await world.observe(allParts, undefined, signal);
  return {
    ...again,
    routers: eachReached(again.routers, first.routers),
    gates: eachReached(again.gates, first.gates),
  };
}

/** Each as it was seen now, or before where it is silent now. */
function eachReached<T extends { readonly name: string; readonly reached: boolean }>(
  now: readonly T[],
  before: readonly T[],
): T[] {
  return now.map((one) =>
    one.reached ? one : (before.find(({ name, reached }) => reached && name === one.name) ?? one),
  );
}

/** Looks at everything and plans. @returns the plan, or why there is none; changes nothing */
export async function decide(
  request: FlipRequest,
  world: Pick<FlipWorld, "observe" | "records">,
  machine: FlipMachine,
  signal: AbortSignal,
): Promise<FlipPlan | Refusal> {
  const seen = await lookAtAll(world, request, signal);
  const local = await world.records();
  return machine.plan(seen, fold([...local, ...seen.journal]), request);
}

/** The rows of a plan: the steps themselves, or what undoes them. */
export function rowsOf(chosen: FlipPlan, table: FlipTable): readonly StepRow<FlipKind>[] {
  const rows = rowsNamed(table, chosen.steps);
  return chosen.goal === "forward" ? rows : rows.flatMap((row) => row.undo);
}
