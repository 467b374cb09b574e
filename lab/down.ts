/**
 * Ends a lab and removes all that it left, in whatever state it is: whole, half made, crashed, or
 * with its lab.json gone. Nothing in it is worth a clean stop, so everything is killed.
 */
import { readFile, rm } from "node:fs/promises";
import type { DriverKind } from "./addresses.ts";
import { withDriver } from "./driver/open.ts";
import { isEnvironmentOf } from "./environment.ts";
import { withLock } from "./lock.ts";
import type { LabPlace } from "./place.ts";
import { environmentFile, labFolder, listLabs, readState, removeState } from "./state.ts";

/**
 * Ends the lab `name`; returns false when there was none.
 * @throws LabLockedError, CutError, DeadlineError, EngineError
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
  // Without its lab.json it may have been either.
  const kinds: readonly DriverKind[] = state === undefined ? ["process", "docker"] : [state.driver];
  let found = false;
  for (const kind of kinds) {
    const was = await withDriver(place, kind, (driver) => driver.destroy(name, state));
    found ||= was;
  }
  const file = environmentFile(state ?? { configFolder: place.configFolder, name });
  const text = await readFile(file, "utf8").catch(() => "");
  // One that does not say whose it is goes with the lab that wrote one there, and with no other.
  const isOurs = isEnvironmentOf(labFolder(place, name), text) ?? state !== undefined;
  if (isOurs) await rm(file, { force: true });
  await removeState(place, name);
  return known || isOurs || found;
}
