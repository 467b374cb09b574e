/**
 * What a lab leaves on disk about itself: lab.json in its folder. It is written before the first
 * process starts, so that whatever happens then can be cleaned up.
 */
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomically } from "../kit/atomic-file.ts";
import { clusterKinds, maximumLabs, modelLab } from "./model.ts";
import type { LabModel } from "./model.ts";
import { LabUnavailableError, makeOpenFolder, systemRoot } from "./place.ts";
import type { LabPlace } from "./place.ts";
import { placesInUse } from "./driver/processes.ts";

const mainProcess = z.object({ pid: z.int(), startedAt: z.string() });

const stateShape = z.object({
  version: z.literal(1),
  name: z.string(),
  driver: z.enum(["process", "docker"]).default("process"),
  cluster: z.enum(clusterKinds).default("pair"),
  memberCount: z.int().min(2).max(3).default(2),
  names: z.boolean().default(false),
  index: z
    .int()
    .min(0)
    .max(maximumLabs - 1),
  appHosts: z.int(),
  pooling: z.enum(["transaction", "session"]),
  sharedBuffers: z.string(),
  archiveCommand: z.string().nullable(),
  /** "making" until the lab has been whole once. */
  phase: z.enum(["making", "up"]),
  configFolder: z.string(),
  /** The main process of each part, as it was started last. */
  processes: z.record(z.string(), mainProcess),
  /** Parts that an operator stopped in good order; what else does not run has crashed. */
  stopped: z.array(z.string()),
});

export type LabState = z.infer<typeof stateShape>;

/** There is no lab of that name, or it is not whole. */
export class LabMissingError extends Error {
  override readonly name = "LabMissingError";
  readonly code = "ERR_LAB_MISSING";
}

/** The folder of one lab. */
export function labFolder(place: LabPlace, name: string): string {
  return join(place.root, name);
}

/** The environment file of the lab. */
export function environmentFile(state: Pick<LabState, "configFolder" | "name">): string {
  return join(state.configFolder, `${state.name}.yml`);
}

/** The model of a lab whose state was read. */
export function modelOf(place: LabPlace, state: LabState): LabModel {
  // Outside of a container only root may listen on 53; the environment says the port in any case.
  const dnsPort = place.privileged || state.driver === "docker" ? 53 : 5353;
  return modelLab({ ...state, folder: labFolder(place, state.name), dnsPort });
}

/** Reads lab.json; undefined when there is none or it cannot be understood. */
export async function readState(place: LabPlace, name: string): Promise<LabState | undefined> {
  return await readStateFile(join(labFolder(place, name), "lab.json"));
}

async function readStateFile(file: string): Promise<LabState | undefined> {
  try {
    return stateShape.parse(JSON.parse(await readFile(file, "utf8")));
  } catch {
    return undefined;
  }
}

/**
 * Reads the state of a lab that has to be up.
 * @throws LabMissingError
 */
export async function requireState(place: LabPlace, name: string): Promise<LabState> {
  const state = await readState(place, name);
  const command = `bin/lab ${state === undefined ? "up" : "down"} --name ${name}`;
  if (state === undefined) {
    throw new LabMissingError(`there is no lab ${name} in ${place.root}: ${command} makes one`);
  }
  if (state.phase === "making") {
    throw new LabMissingError(`lab ${name} was never finished: ${command} clears it away`);
  }
  return state;
}

/** Replaces lab.json. */
export async function writeState(place: LabPlace, state: LabState): Promise<void> {
  const folder = labFolder(place, state.name);
  await makeOpenFolder(folder);
  const text = `${JSON.stringify(state, null, 2)}\n`;
  await writeFileAtomically(join(folder, "lab.json"), text, { mode: 0o644 });
}

/** Removes all that the lab has on disk. */
export async function removeState(place: LabPlace, name: string): Promise<void> {
  await rm(labFolder(place, name), { recursive: true, force: true });
}

/** The names of the labs that have a folder, whole or not, sorted. */
export async function listLabs(place: LabPlace): Promise<string[]> {
  const entries = await readdir(place.root, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((one) => one.isDirectory())
    .map((one) => one.name)
    .toSorted();
}

/**
 * The indexes that no lab has, lowest first. Hold the lock of all indexes until the state with one
 * of them is written.
 * @throws LabUnavailableError when all are taken
 */
export async function freeIndexes(place: LabPlace): Promise<number[]> {
  // Labs of other users lie elsewhere, and share the addresses all the same.
  const roots = new Set([place.root, systemRoot, ...placesInUse()]);
  const taken = new Set<number>();
  for (const root of roots) {
    const names = await readdir(root).catch(() => []);
    const states = await Promise.all(
      names.map((one) => readStateFile(join(root, one, "lab.json"))),
    );
    for (const state of states) if (state !== undefined) taken.add(state.index);
  }
  const free = Array.from({ length: maximumLabs }, (_, index) => index).filter(
    (index) => !taken.has(index),
  );
  if (free.length > 0) return free;
  throw new LabUnavailableError(
    `all ${maximumLabs} places for a lab are taken: end one with bin/lab down --name NAME`,
  );
}
