/** Brings a lab up: all of it or nothing. What fails, or is interrupted, is cleared away again. */
import { join } from "node:path";
import type { Environment } from "../config/schema.ts";
import { systemClock } from "../kit/clock.ts";
import { claimPlace } from "./claim.ts";
import { configureLab } from "./configure.ts";
import { destroyLab, labLock } from "./down.ts";
import { awaitPart, launchPart } from "./driver/process.ts";
import type { ProcessDriver, StartedPart } from "./driver/process.ts";
import { withLock } from "./lock.ts";
import { partOf } from "./model.ts";
import type { MemberHost, Part } from "./model.ts";
import { fillPrimary, makePrimary, makeStandby, prepareSlots } from "./postgres.ts";
import type { Making } from "./postgres.ts";
import type { LabPlace } from "./place.ts";
import { findPrograms } from "./programs.ts";
import { awaitReady } from "./ready.ts";
import { makeSecrets, readSecrets } from "./secrets.ts";
import { labFolder, listLabs, modelOf, readState, writeState } from "./state.ts";
import { summarise } from "./summary.ts";
import type { LabSummary } from "./summary.ts";
import { checkName, refuseUnlessAsWished, refuseUnlessWhole } from "./up-checks.ts";
import type { VerbOptions } from "./verbs.ts";

export interface UpRequest {
  readonly name: string;
  readonly appHosts: number;
  readonly pooling: "transaction" | "session";
  readonly sharedBuffers: string;
  readonly archiveCommand: string | null;
}

/** What an up that was not told otherwise makes. */
export const upDefaults: Omit<UpRequest, "name"> = {
  appHosts: 1,
  pooling: "transaction",
  sharedBuffers: "128MB",
  archiveCommand: null,
};

/** What an up asks for: of what is left out a new lab has the default, and one that stands its own. */
export type UpWishes = Pick<UpRequest, "name"> & Partial<UpRequest>;

/**
 * Brings the lab up, or says that it is up already, and describes it.
 * @throws LabRefusedError, LabUnavailableError, LabLockedError, or what went wrong on the way
 */
export async function labUp(
  place: LabPlace,
  wishes: UpWishes,
  options: VerbOptions,
): Promise<LabSummary> {
  const { name } = wishes;
  const { signal } = options;
  return await withLock(
    labLock(name),
    { purpose: `bin/lab up --name ${name}`, signal },
    async () => {
      const state = await readState(place, name);
      if (state?.phase === "up") {
        await refuseUnlessWhole(place, state);
        refuseUnlessAsWished(state, wishes);
        options.note(`lab ${name} is up already; nothing was changed`);
        return summarise(modelOf(place, state), await readSecrets(labFolder(place, name)));
      }
      if (state !== undefined || (await listLabs(place)).includes(name)) {
        options.note(`lab ${name} was left half made: clearing it away first`);
        await destroyLab(place, name);
      }
      await checkName(place, name);
      return await makeOrClear(place, { ...upDefaults, ...wishes }, options);
    },
  );
}

async function makeOrClear(
  place: LabPlace,
  request: UpRequest,
  options: VerbOptions,
): Promise<LabSummary> {
  const programs = await findPrograms();
  const note = timed(options.note);
  const state = await claimPlace(place, request);
  try {
    const model = modelOf(place, state);
    const secrets = await makeSecrets(model.folder);
    const making: Making = { model, place, programs, secrets, signal: options.signal };
    const environment = await configureLab(making, state.configFolder);
    const started = await startAll(making, environment, note);
    options.signal.throwIfAborted();
    const processes = Object.fromEntries(started.map(({ part, ...main }) => [part, main]));
    await writeState(place, { ...state, phase: "up", processes });
    note("up");
    return summarise(model, secrets);
  } catch (error) {
    options.note(`clearing away what was made of lab ${request.name}`);
    await destroyLab(place, request.name);
    throw error;
  }
}

/** Starts everything: what needs no Postgres at once, beside the making of the two nodes. */
async function startAll(
  making: Making,
  environment: Environment,
  note: (line: string) => void,
): Promise<StartedPart[]> {
  const { model } = making;
  const driver: ProcessDriver = { ...making, configFolder: join(environment.file, "..") };
  const start = async (part: Part): Promise<StartedPart> => {
    const started = await launchPart(driver, part);
    await awaitPart(part, { signal: making.signal });
    return started;
  };
  const [primary, ...standbys] = model.members;
  if (primary === undefined) throw new TypeError("a lab has a first member");
  const others = model.parts.filter((part) => part.kind !== "postgres");
  const [nodes, rest] = await Promise.all([
    startNodes(making, primary, standbys, start, note),
    Promise.all(others.map(start)).then((started) => {
      note("poolers, pg-health and routers answer");
      return started;
    }),
  ]);
  await awaitReady(making, environment);
  return [...nodes, ...rest];
}

async function startNodes(
  making: Making,
  primary: MemberHost,
  standbys: readonly MemberHost[],
  start: (part: Part) => Promise<StartedPart>,
  note: (line: string) => void,
): Promise<StartedPart[]> {
  const node = (member: MemberHost): Part => partOf(making.model, member.name, "postgres");
  await makePrimary(making, primary);
  note(`${primary.name}: initdb is done`);
  const first = await start(node(primary));
  await fillPrimary(making, primary);
  note(`${primary.name}: primary runs`);
  const followers = standbys.map(async (standby) => {
    await makeStandby(making, standby, primary);
    const started = await start(node(standby));
    await prepareSlots(making, standby);
    note(`${standby.name}: base backup is done, standby runs`);
    return started;
  });
  return [first, ...(await Promise.all(followers))];
}

function timed(note: (line: string) => void): (line: string) => void {
  const start = systemClock.monotonic();
  return (line) => {
    const seconds = ((systemClock.monotonic() - start) / 1000).toFixed(1);
    note(`${seconds.padStart(5)} s  ${line}`);
  };
}
