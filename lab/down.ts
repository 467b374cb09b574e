/**
 * Ends a lab and removes all that it left, in whatever state it is: whole, half made, crashed, or
 * with its lab.json gone. Nothing in it is worth a clean stop, so everything is killed.
 */
import { readFile, rm } from "node:fs/promises";
import { eventually } from "../kit/clock.ts";
import { killParts } from "./driver/process.ts";
import { environmentHead } from "./environment.ts";
import { removeAllCuts } from "./driver/faults.ts";
import { withLock } from "./lock.ts";
import type { LabPlace } from "./place.ts";
import { processesUnder, signalProcess, startOf } from "./driver/processes.ts";
import { environmentFile, labFolder, listLabs, modelOf, readState, removeState } from "./state.ts";
import type { LabState } from "./state.ts";

/**
 * Ends the lab `name`; returns false when there was none.
 * @throws LabLockedError, CutError, DeadlineError
 */
export async function labDown(
  place: LabPlace,
  name: string,
  options: { signal?: AbortSignal } = {},
): Promise<boolean> {
  return await withLock(labLock(name), { purpose: `bin/lab down --name ${name}`, ...options }, () =>
    destroyLab(place, name),
  );
}

/** The name of the lock that every verb on a lab takes. */
export function labLock(name: string): string {
  return `lab-${process.getuid?.() ?? 0}-${name}`;
}

/** Ends the lab; for those who hold its lock. Returns false when there was nothing. */
export async function destroyLab(place: LabPlace, name: string): Promise<boolean> {
  const state = await readState(place, name);
  const known = state !== undefined || (await listLabs(place)).includes(name);
  if (state !== undefined) {
    await killParts(modelOf(place, state).parts);
    killRecorded(state);
  }
  const folder = labFolder(place, name);
  await eventually(
    `end of the processes in ${folder}`,
    { deadlineMs: 4000, intervalMs: 10 },
    () => {
      const left = processesUnder(folder);
      for (const { pid } of left) signalProcess(pid, "SIGKILL");
      return left.length === 0 ? true : undefined;
    },
  );
  if (place.privileged) await removeAllCuts(name);
  const hadFile = await removeEnvironmentFile(
    environmentFile(state ?? { configFolder: place.configFolder, name }),
  );
  await removeState(place, name);
  return known || hadFile;
}

function killRecorded(state: LabState): void {
  for (const { pid, startedAt } of Object.values(state.processes)) {
    if (startOf(pid) === startedAt) signalProcess(pid, "SIGKILL");
  }
}

/** Removes an environment file only when a lab wrote it. */
async function removeEnvironmentFile(file: string): Promise<boolean> {
  const text = await readFile(file, "utf8").catch(() => "");
  if (!text.startsWith(environmentHead)) return false;
  await rm(file, { force: true });
  return true;
}
