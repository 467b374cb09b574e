/**
 * Runs a fence or an unfence: looks, plans, takes the lock, carries the rows out, and reports what
 * is done and what is not. Both can be run again after anything: the world says what is left.
 */
import type { Environment } from "../../config/schema.ts";
import { systemClock, systemTiming } from "../../kit/clock.ts";
import { PgConnectionError } from "../../kit/pg-connection.ts";
import { execute, problemsOf } from "../operation/execute.ts";
import type { Outcome } from "../operation/execute.ts";
import { FileJournal } from "../operation/journal-file.ts";
import type { LockHold } from "../operation/lock.ts";
import type { StepEvent } from "../operation/run-step.ts";
import { operationRecord } from "../operation/records.ts";
import type { Facts } from "../operation/step.ts";
import { acquireClusterLock, lockDeadlineMs } from "../postgres/lock.ts";
import { standbySignature } from "./observation.ts";
import type { FenceKind, FenceObservation, FencePlan } from "./observation.ts";
import { fenceRows, unfenceRows } from "./steps.ts";
import type { FenceWorld } from "./world.ts";

export interface FenceReport {
  readonly event: "report";
  readonly command: "fence" | "unfence";
  readonly operationId: string;
  readonly environment: string;
  readonly member: string;
  /** done; nothing: it was so already; partial: see `problems`. */
  readonly result: "done" | "nothing" | "partial";
  readonly tookMs: number;
  /** fence: it was seen stopped, and armed, just now; null for an unfence. */
  readonly proven: boolean | null;
  /** fence: what its control file says; null where that was not read. */
  readonly control: Facts | null;
  readonly problems: readonly { readonly step: string; readonly reason: string }[];
  /** The command that helps; null when nothing is left to do. */
  readonly next: string | null;
}

export interface FenceRun {
  readonly environment: Environment;
  readonly world: FenceWorld;
  readonly plan: FencePlan;
  /** A journal file whose folder exists. */
  readonly journalFile: string;
  readonly signal: AbortSignal;
  readonly onEvent: (event: StepEvent) => void;
  /** What the operator should know and no step says. */
  readonly onNote: (line: string) => void;
}

/**
 * Everything there is to see, for the plan.
 * @throws the signal's reason
 */
export async function lookForFence(
  world: FenceWorld,
  signal: AbortSignal,
): Promise<FenceObservation> {
  await world.warm(signal);
  return await world.look(["member", "others", "routers", "files"], signal);
}

/**
 * Carries the plan out.
 * @throws LockedError when another operation holds the cluster; the file system's error for the
 * journal; for an unfence what the lock throws otherwise
 */
export async function runFence(run: FenceRun): Promise<FenceReport> {
  const began = systemClock.monotonic();
  const hold = await takeLock(run);
  const journal = await FileJournal.open(run.journalFile);
  const told = { acts: 0, facts: null as Facts | null, proven: false };
  try {
    await journal.append(intentOf(run.plan));
    const outcome = await carryOut(run, hold, journal, (event) => {
      if (event.phase === "start" && event.step !== "prove") told.acts += 1;
      if (event.step === "prove" && (event.phase === "done" || event.phase === "skipped")) {
        told.proven = true;
        told.facts = event.facts ?? null;
      }
      run.onEvent(event);
    });
    const tookMs = Math.round(systemClock.monotonic() - began);
    return { ...reportOf(run, outcome, told.acts), tookMs, ...provenIn(run.plan, told) };
  } finally {
    await journal.close();
    await hold.release();
  }
}

function provenIn(
  { command }: FencePlan,
  told: { readonly proven: boolean; readonly facts: Facts | null },
): Pick<FenceReport, "proven" | "control"> {
  return command === "fence"
    ? { proven: told.proven, control: told.facts }
    : { proven: null, control: null };
}

function reportOf(
  { environment, plan }: FenceRun,
  outcome: Outcome,
  acts: number,
): Omit<FenceReport, "tookMs" | "proven" | "control"> {
  const problems = problemsOf(outcome);
  const { command, operationId, member } = plan;
  const isWhole = problems.length === 0;
  return {
    event: "report",
    command,
    operationId,
    environment: environment.name,
    member,
    result: isWhole ? (acts === 0 ? "nothing" : "done") : "partial",
    problems,
    next: isWhole ? null : `bin/recovery ${environment.name} ${command} ${member} goes on`,
  };
}

function intentOf({ operationId, command, member, mark, restores }: FencePlan) {
  const { by, why } = mark;
  const facts: Facts = { command, member, by, why, restores };
  return operationRecord(operationId, "intent", systemClock.now(), facts);
}

const noHold: LockHold = {
  session: null,
  stillHeld: async () => false,
  release: async () => undefined,
};

/** The others first: theirs outlive the member. A fence must not fail for want of a login. */
async function takeLock({ environment, plan, signal, onNote }: FenceRun): Promise<LockHold> {
  const { member, command, mark } = plan;
  const others = environment.members.map((one) => one.name).filter((name) => name !== member);
  const purpose = { holder: mark.by, why: `${command} ${member}` };
  const options = { deadlineMs: lockDeadlineMs, signal };
  try {
    return await acquireClusterLock(environment, [...others, member], purpose, options);
  } catch (error) {
    if (command === "unfence" || !(error instanceof PgConnectionError)) throw error;
    onNote(`without the cluster's lock: ${error.message}`);
    return noHold;
  }
}

async function carryOut(
  { world, plan, signal }: FenceRun,
  hold: LockHold,
  journal: FileJournal,
  onEvent: (event: StepEvent) => void,
): Promise<Outcome> {
  const needsLock = hold.session !== null;
  const rows =
    plan.command === "fence" ? fenceRows : unfenceRows(plan, needsLock, standbySignature);
  return await execute<FenceKind>({
    operationId: plan.operationId,
    plan,
    rows,
    direction: "forward",
    // Nothing is taken back: half a fence is better than none, and an unfence is run again.
    crossed: false,
    takeBack: [],
    actions: world.actions,
    observe: world.look,
    hold,
    relock: async () => hold,
    journal,
    timing: systemTiming,
    signal,
    onEvent,
  });
}
