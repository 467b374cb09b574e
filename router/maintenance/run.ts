/**
 * Opens and closes a maintenance window: the rows that the journal leaves to be done, carried out by
 * the executor, with a report. Nothing is undone on a failure: what stands is told, and `up` and
 * `down` can both go on from there.
 */
import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import type { Environment } from "../../config/schema.ts";
import { systemClock, systemTiming } from "../../kit/clock.ts";
import { execute, problemsOf } from "../operation/execute.ts";
import type { Outcome } from "../operation/execute.ts";
import { FileJournal, readJournal } from "../operation/journal-file.ts";
import type { LockHold } from "../operation/lock.ts";
import type { StepEvent } from "../operation/run-step.ts";
import type { StepRow } from "../operation/step.ts";
import { maintenanceActions, maintenanceLook } from "./actions.ts";
import type { MaintenanceKind } from "./deeds.ts";
import { downRows, upRows } from "./steps.ts";

import { stepStates, windowView } from "./window.ts";
import type { MaintenanceWindow, WindowView } from "./window.ts";
import {
  readWindow,
  removeWindow,
  windowJournal,
  withWindowLock,
  writeWindow,
} from "./window-file.ts";

export interface WindowOptions {
  /** As windowFolder gives it. */
  readonly folder: string;
  /** A person and a host. */
  readonly by: string;
  readonly signal: AbortSignal;
  readonly onEvent: (event: StepEvent) => void;
}

export interface WindowReport {
  readonly event: "report";
  readonly command: "up" | "down";
  readonly environment: string;
  /** done: as asked for; nothing: it was so already; stuck: see `problems` and `next`. */
  readonly result: "done" | "nothing" | "stuck";
  readonly tookMs: number;
  /** The window as it is now, or as it was when it was closed; null where there was none. */
  readonly window: WindowView | null;
  readonly problems: readonly { readonly step: string; readonly reason: string }[];
  /** The command that helps; null when nothing is left to do. */
  readonly next: string | null;
}

/**
 * Opens the window, or goes on with the one that is open.
 * @throws MaintenanceLockedError, WindowFileError, JournalError, the file system's errors
 */
export async function openWindow(
  environment: Environment,
  options: WindowOptions & { readonly reason: string },
): Promise<WindowReport> {
  const { folder, by, reason } = options;
  return await withWindowLock(folder, `maintenance up ${environment.name}`, async () => {
    const open = await readWindow(folder);
    const window = open ?? {
      id: `maintenance-${randomUUID().slice(0, 8)}`,
      environment: environment.name,
      since: new Date(systemClock.now()).toISOString(),
      by,
      reason,
      steps: environment.maintenance.steps,
    };
    if (open === undefined) await writeWindow(folder, window);
    return await carryOut("up", environment, window, options);
  });
}

/**
 * Undoes what stands, latest step first, and closes the window.
 * @throws as openWindow
 */
export async function closeWindow(
  environment: Environment,
  options: WindowOptions,
): Promise<WindowReport> {
  const { folder } = options;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return await withWindowLock(folder, `maintenance down ${environment.name}`, async () => {
    const window = await readWindow(folder);
    if (window === undefined) {
      const nothing = {
        result: "nothing",
        tookMs: 0,
        window: null,
        problems: [],
        next: null,
      } as const;
      return { event: "report", command: "down", environment: environment.name, ...nothing };
    }
    const report = await carryOut("down", environment, window, options);
    if (report.result !== "stuck") await removeWindow(folder);
    return report;
  });
}

/** The lock on the window's folder is held by the caller, around everything. */
const heldAround: LockHold = {
  session: null,
  stillHeld: async () => true,
  release: async () => undefined,
};

async function carryOut(
  command: WindowReport["command"],
  environment: Environment,
  window: MaintenanceWindow,
  options: WindowOptions,
): Promise<WindowReport> {
  const began = systemClock.monotonic();
  const path = windowJournal(options.folder, window.id);
  const states = stepStates(window, await readJournal(path));
  const rows = command === "up" ? upRows(window, states) : downRows(window, states);
  const done = { acts: 0 };
  const onEvent = (event: StepEvent): void => {
    if (event.phase === "start") done.acts += 1;
    options.onEvent(event);
  };
  const outcome = await runRows(environment, window, rows, { ...options, path, onEvent });
  const isStuck = outcome.result !== "done";
  return {
    event: "report",
    command,
    environment: environment.name,
    result: isStuck ? "stuck" : command === "up" && done.acts === 0 ? "nothing" : "done",
    tookMs: Math.round(systemClock.monotonic() - began),
    window: windowView(window, await readJournal(path)),
    problems: problemsOf(outcome),
    next: isStuck ? nextWords(command, environment.name) : null,
  };
}

function foundRecord(window: MaintenanceWindow, step: string) {
  const at = systemClock.now();
  return { operationId: window.id, step, phase: "done", at, facts: { found: true } } as const;
}

function nextWords(command: WindowReport["command"], name: string): string {
  return command === "up"
    ? `bin/maintenance up ${name} goes on; bin/maintenance down ${name} takes it back`
    : `bin/maintenance down ${name} goes on`;
}

async function runRows(
  environment: Environment,
  window: MaintenanceWindow,
  rows: readonly StepRow<MaintenanceKind>[],
  options: WindowOptions & { readonly path: string },
): Promise<Outcome> {
  const journal = await FileJournal.open(options.path);
  try {
    return await execute<MaintenanceKind>({
      operationId: window.id,
      plan: window,
      rows,
      direction: "forward",
      // What was done stays done when a later step fails: the operator chooses up or down.
      crossed: false,
      takeBack: [],
      actions: maintenanceActions(environment),
      observe: maintenanceLook(window.steps),
      hold: heldAround,
      relock: async () => heldAround,
      journal,
      timing: systemTiming,
      signal: options.signal,
      onEvent: (event) => {
        // A step that stood before is part of the window from now on.
        if (event.phase === "skipped") journal.note(foundRecord(window, event.step));
        options.onEvent(event);
      },
    });
  } finally {
    await journal.close();
  }
}
