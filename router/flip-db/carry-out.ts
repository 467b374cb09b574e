/**
 * Carries out one flip, resume, abort or failover and writes what happens into the operation's
 * event file, the report last. The executor and, after its death, the watcher do it this way.
 */
import type { OperationFiles } from "../operation/store.ts";
import type { Environment } from "../../config/schema.ts";
import { systemClock } from "../../kit/clock.ts";
import { PgConnectionError } from "../../kit/pg-connection.ts";
import { LockedError } from "../operation/lock.ts";
import type { StepEvent } from "../operation/run-step.ts";
import type { Facts } from "../operation/step.ts";
import { SessionLostError } from "../postgres/session.ts";
import { EventLog } from "./event-log.ts";
import type { FlipFailureEvent, FlipPids, FlipReport } from "./events.ts";
import { runFlip } from "./flip.ts";
import type { FlipResult, FlipWorld } from "./flip.ts";
import type { FlipPlan } from "./flip-actions.ts";
import type { FlipRequest } from "./plan/plan-request.ts";
import { flipReport } from "./report.ts";
import { openFlipWorld } from "./world.ts";
import type { TimedStep } from "./report/report-facts.ts";

/** What the terminal hands to the executor, and the executor to the watcher. */
export interface Order {
  readonly request: FlipRequest & { readonly operationId: string };
  /** A person and a host. */
  readonly holder: string;
}

/** What the executor, or the watcher in its place, has to carry out. */
export interface OrderTask {
  readonly environment: Environment;
  readonly order: Order;
  readonly files: OperationFiles;
  readonly pids: FlipPids;
  /** The operator's wish to abort. */
  readonly signal: AbortSignal;
  /** How long a held lock or gate, or a server that goes down, is waited for: what is dead lingers. */
  readonly patienceMs?: number;
  /** Told once if an event cannot be written; the flip goes on without it. */
  readonly onLost: (error: Error) => void;
}

/**
 * Opens what is needed, carries the order out and closes everything again.
 * @returns the last event
 * @throws the file system's error when the journal cannot be opened, or the last of it not written
 */
export async function carryOutOrder(task: OrderTask): Promise<Ending> {
  const { environment, order, files, pids, signal, patienceMs = 0 } = task;
  const log = await EventLog.open(files.events, task.onLost);
  try {
    const world = await openFlipWorld(environment, { journalFile: files.journal }).catch(
      (error: unknown) => {
        log.append(failureOf(error));
        throw error;
      },
    );
    try {
      const { request, holder } = order;
      return await carryOut({
        environment,
        request,
        holder,
        pids,
        world,
        log,
        signal,
        patienceMs,
      });
    } finally {
      await world.close();
    }
  } finally {
    await log.close();
  }
}

interface Task {
  readonly environment: Environment;
  readonly request: FlipRequest;
  /** A person and a host. */
  readonly holder: string;
  readonly pids: FlipPids;
  readonly world: FlipWorld;
  readonly log: EventLog;
  /** The operator's wish to abort. */
  readonly signal: AbortSignal;
  /** How long a held lock or gate is waited for: a dead executor's sessions and leases linger. */
  readonly patienceMs: number;
}

export type Ending = FlipReport | FlipFailureEvent;

/** Runs it to its end. @returns the last event, which stands in the log as well; never throws */
async function carryOut(task: Task): Promise<Ending> {
  const began = systemClock.monotonic();
  const startedAt = new Date(systemClock.now()).toISOString();
  const told: Told = { steps: [], plan: undefined };
  const unhear = hearAborts(task, told);
  try {
    const result = await run(task, told, startedAt);
    if (result.kind === "refused") return end(task, failure("ERR_REFUSED", result.why));
    const { plan, outcome } = result;
    const tookMs = systemClock.monotonic() - began;
    const wasAborted = task.signal.aborted;
    const before = await factsBefore(task, plan.operationId);
    const facts = { environment: task.environment.name, plan, outcome, wasAborted, before };
    return end(task, flipReport({ ...facts, steps: told.steps, startedAt, tookMs }));
  } catch (error) {
    return end(task, failureOf(error));
  } finally {
    unhear();
  }
}

interface Told {
  readonly steps: TimedStep[];
  plan: FlipPlan | undefined;
}

function failure(code: string, message: string): FlipFailureEvent {
  return { event: "failure", code, message };
}

function failureOf(error: unknown): FlipFailureEvent {
  const { code, message } = error as { code?: unknown; message?: string };
  return failure(typeof code === "string" ? code : "ERR_FLIP_PROCESS", message ?? "");
}

function end(task: Task, ending: Ending): Ending {
  task.log.append(ending);
  return ending;
}

const againMs = 200;

/** What a server that goes down meanwhile, or a dead executor's session that lingers, leads to. */
const passing = [LockedError, SessionLostError, PgConnectionError] as const;

async function run(task: Task, told: Told, startedAt: string): Promise<FlipResult> {
  const until = systemClock.monotonic() + task.patienceMs;
  for (;;) {
    const isLate = systemClock.monotonic() >= until;
    try {
      const result = await runFlip(task.request, task.world, {
        holder: task.holder,
        signal: task.signal,
        onPlan: (plan) => begin(task, told, plan, startedAt),
        onEvent: (event) => step(task, told, event),
      });
      if (result.kind === "ended" || !result.passing || isLate) return result;
    } catch (error) {
      if (isLate || !passing.some((one) => error instanceof one)) throw error;
    }
    await systemClock.sleep(againMs, task.signal);
  }
}

function begin(task: Task, told: Told, plan: FlipPlan, startedAt: string): void {
  told.plan = plan;
  const { operationId, asked: kind, from, to, mode } = plan;
  const { pids } = task;
  task.log.append({ event: "begin", operationId, kind, from, to, mode, startedAt, pids });
}

function step(task: Task, told: Told, event: StepEvent): void {
  told.steps.push({ ...event, at: systemClock.monotonic() });
  const { step: name, phase, words, reason, facts } = event;
  task.log.append({
    event: "step",
    step: name,
    phase,
    pids: task.pids,
    ms: Math.round(event.ms),
    words,
    ...(reason === undefined ? {} : { reason }),
    ...(facts === undefined || Object.keys(facts).length === 0 ? {} : { facts }),
  });
}

/** Says at once what becomes of the wish to abort. */
function hearAborts(task: Task, told: Told): () => void {
  const hear = (): void => {
    const isSent = told.steps.some(
      (one) => ["promote", "verify-new"].includes(one.step) && one.phase === "start",
    );
    const isLate = told.plan?.crossed === true || isSent;
    const isAsked = told.steps.some((one) => one.step === "ask" && one.phase === "start");
    const late = `the promotion of ${told.plan?.to} may have happened: going on is the only safe way, so the flip goes on`;
    const mild = isAsked
      ? "the monitor was asked, and may go on: the clients are let go"
      : "taking back what was begun";
    const words = isLate ? late : mild;
    task.log.append({ event: "note", pids: task.pids, words });
  };
  task.signal.addEventListener("abort", hear, { once: true });
  return () => task.signal.removeEventListener("abort", hear);
}

/** What the steps of all runs of this operation have told, as far as this host knows. */
async function factsBefore(task: Task, operationId: string): Promise<Record<string, Facts>> {
  const records = await task.world.records();
  const own = records.filter((one) => one.operationId === operationId && one.phase === "done");
  return Object.fromEntries(own.map(({ step: name, facts }) => [name, facts]));
}
