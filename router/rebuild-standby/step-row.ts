/**
 * What the rows of a rebuild have in common: how long each sort of step may take, and what must
 * hold before anything of the member is changed.
 */
import type { StepRow } from "../operation/step.ts";
import type { LeftoverKind, RebuildObservation } from "./observation.ts";
import type { RebuildActions, RebuildKind, RebuildPlan } from "./rebuild-actions.ts";

export type Row = StepRow<RebuildKind>;

const second = 1000;
const hour = 3_600_000;
const times = {
  short: { deadlineMs: 20 * second, lookEveryMs: 100 },
  stop: { deadlineMs: 120 * second, lookEveryMs: 50 },
  start: { deadlineMs: 300 * second, lookEveryMs: 100 },
  follow: { deadlineMs: 12 * hour, lookEveryMs: 200 },
  long: { deadlineMs: 96 * hour, lookEveryMs: 1000 },
} as const;

const both = ["source", "member"] as const;
const plain = { looksAt: both, needsLock: true, undo: [] } as const;

/** Why the source, or the member, is not as it was when this was planned. */
export function whyNotSafe(
  plan: RebuildPlan,
  { source, member }: RebuildObservation,
): string | undefined {
  if (!source.reached || source.writable !== true) return `${plan.source} does not take writes`;
  if (source.systemIdentifier !== plan.systemIdentifier) return `${plan.source} was exchanged`;
  if (member.writable === true || member.role === "primary") return `${plan.member} is a primary`;
  if (member.process === "unknown") return `whether Postgres runs on ${plan.member} is not known`;
  return undefined;
}

/** The same, and its Postgres is down: its files may be changed. */
export function whyNotDown(plan: RebuildPlan, seen: RebuildObservation): string | undefined {
  const why = whyNotSafe(plan, seen);
  if (why !== undefined) return why;
  const { process } = seen.member;
  return process === "gone" ? undefined : `Postgres on ${plan.member} is ${process}`;
}

/** Whether the directory of that kind of this plan lies beside the data. */
export function has(plan: RebuildPlan, seen: RebuildObservation, kind: LeftoverKind): boolean {
  const { layout } = seen.member;
  return layout?.leftovers.some((one) => one.kind === kind && one.id === plan.copyId) === true;
}

/** Whether what lies at the data directory's path is one of `kinds`. */
export function dataIs(seen: RebuildObservation, ...kinds: readonly string[]): boolean {
  return kinds.includes(seen.member.layout?.data ?? "");
}

/** A row that only acts, with what it acts by. */
export function act(
  step: string,
  time: keyof typeof times,
  describe: Row["describe"],
  work: (actions: RebuildActions, plan: RebuildPlan, signal: AbortSignal) => ReturnType<Row["run"]>,
): Row {
  return {
    ...plain,
    ...times[time],
    step,
    describe,
    whyNot: whyNotSafe,
    run: ({ actions, plan }, signal) => work(actions, plan, signal),
  };
}
