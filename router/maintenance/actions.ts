/**
 * What a maintenance step does to the world: programs here or through a shell on another host, and
 * a query on the primary that is asked until it returns nothing.
 */
import type { Environment, MaintenanceStep } from "../../config/schema.ts";
import { ChildError, runChild } from "../../kit/child.ts";
import type { ChildResult } from "../../kit/child.ts";
import { DeadlineError, systemClock, withDeadline } from "../../kit/clock.ts";
import { withPgSession } from "../../kit/pg-session.ts";
import type { PgRow } from "../../kit/pg-connection.ts";
import { memberTarget } from "../postgres/session.ts";
import { deedsOf } from "./deeds.ts";
import type { Argv, MaintenanceActions, MaintenanceKind } from "./deeds.ts";

/** A step of a maintenance window cannot be done; the message says on what and what came back. */
export class MaintenanceError extends Error {
  override readonly name = "MaintenanceError";
  readonly code = "ERR_MAINTENANCE";
  readonly step: string;
  constructor(step: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.step = step;
  }
}

const askEveryMs = 500;
/** Of the step's deadline: what is left to say which rows are still there. */
const sayMs = 200;
const rowsShown = 3;
const rowLength = 120;

/** Binds the acts to `environment`. A failed act throws MaintenanceError, ChildError or a deadline's. */
export function maintenanceActions(environment: Environment): MaintenanceActions {
  return {
    run: async (step, what, signal) => {
      const argv = deedsOf(step)[what];
      if (argv !== undefined) await runArgv(step, argv, signal);
      return {};
    },
    wait: (step, signal) => waitForQuery(environment, step, signal),
  };
}

/** Looks whether steps stand, by their checks, side by side. */
export function maintenanceLook(
  steps: readonly MaintenanceStep[],
): (parts: readonly string[], signal: AbortSignal) => Promise<MaintenanceKind["seen"]> {
  return async (parts, signal) => {
    const wanted = steps.filter((one) => parts.includes(one.name));
    const seen = wanted.map(async (step) => [step.name, await stands(step, signal)] as const);
    return Object.fromEntries(await Promise.all(seen));
  };
}

/** A check that cannot be run says nothing. */
async function stands(step: MaintenanceStep, signal: AbortSignal): Promise<boolean | undefined> {
  const { check } = deedsOf(step);
  if (check === undefined) return undefined;
  try {
    const result = await runArgv(step, check.argv, signal, everyExitCode);
    return check.judge(result.code, result.stdout);
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

const everyExitCode = Array.from({ length: 256 }, (_, code) => code);

async function runArgv(
  step: MaintenanceStep,
  argv: Argv,
  signal: AbortSignal,
  accept: readonly number[] = [0],
): Promise<ChildResult> {
  const options = { deadlineMs: step.deadline, signal, accept };
  if (step.shell === undefined) {
    const [program = "", ...words] = argv;
    return await runChild(program, words, options);
  }
  const [program = "", ...words] = step.shell;
  // Words stay words: each is quoted for the shell, and the program gets no standard input of it.
  const input = `exec ${argv.map(quoted).join(" ")} </dev/null\n`;
  try {
    return await runChild(program, words, { ...options, input });
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    const what = `${argv.join(" ")}: by ${error.message}`;
    throw new MaintenanceError(step.name, what, error);
  }
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

async function waitForQuery(
  environment: Environment,
  step: MaintenanceStep,
  signal: AbortSignal,
): Promise<{ readonly asked: number }> {
  const { wait } = step;
  if (wait === undefined) return { asked: 0 };
  const last = { why: "it was not asked" };
  const end = systemClock.monotonic() + step.deadline - sayMs;
  const leftMs = (): number => end - systemClock.monotonic();
  for (let asked = 1; ; asked += 1) {
    try {
      const ask = (inner: AbortSignal) => askPrimary(environment, wait, inner);
      const rows = await withDeadline("the query", Math.max(1, leftMs()), ask, signal);
      if (rows.length === 0) return { asked };
      last.why = `${rows.length === 1 ? "1 row is" : `${rows.length} rows are`} still there: ${shown(rows)}`;
    } catch (error) {
      // What was there before says more than that the time was over during this look.
      const isCutShort = error instanceof DeadlineError && leftMs() <= 0;
      if (asked === 1 || !isCutShort) last.why = (error as Error).message;
      // SQLSTATE class 42: the query itself is wrong, and stays so.
      const { sqlState } = error as { readonly sqlState?: string };
      if (sqlState?.startsWith("42") === true) throw queryError(step, last.why, error);
    }
    if (signal.aborted || leftMs() <= askEveryMs) throw queryError(step, last.why);
    await systemClock.sleep(askEveryMs, signal);
  }
}

function queryError({ name }: MaintenanceStep, why: string, cause?: unknown): MaintenanceError {
  return new MaintenanceError(name, `the query is not done: ${why}`, cause);
}

function shown(rows: readonly PgRow[]): string {
  const texts = rows.slice(0, rowsShown).map((row) => JSON.stringify(row).slice(0, rowLength));
  return texts.join(", ") + (rows.length > rowsShown ? ", ..." : "");
}

/** @throws MaintenanceError when no member is the primary, or what the query throws */
async function askPrimary(
  environment: Environment,
  wait: NonNullable<MaintenanceStep["wait"]>,
  signal: AbortSignal,
): Promise<readonly PgRow[]> {
  const { login, members, thresholds } = environment;
  const silent: string[] = [];
  for (const member of members) {
    const target = await memberTarget(environment, member, "switchyard-maintenance", {
      database: wait.database ?? login.database,
      values: "parsed",
    });
    const options = { deadlineMs: thresholds.probe, signal };
    const role = await withPgSession(target, options, (ask) =>
      ask("SELECT pg_is_in_recovery() AS standby"),
    ).catch((error: Error) => void silent.push(error.message));
    if (role?.[0]?.["standby"] !== false) continue;
    return await withPgSession(target, { ...options, deadlineMs: queryDeadlineMs }, (ask) =>
      ask(wait.query),
    );
  }
  const why = silent.length === 0 ? "" : `: ${silent.join("; ")}`;
  throw new MaintenanceError("wait", `no member answers as the primary${why}`);
}

const queryDeadlineMs = 30_000;
