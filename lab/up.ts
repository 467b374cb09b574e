/** Brings a lab up: all of it or nothing. What fails, or is interrupted, is cleared away again. */
import type { DriverKind } from "./addresses.ts";
import { systemClock } from "../kit/clock.ts";
import { claimPlace } from "./claim.ts";
import { destroyLab, labLock } from "./down.ts";
import type { LabDriver, Making } from "./driver/driver.ts";
import { withDriver } from "./driver/open.ts";
import { writeEnvironment } from "./environment.ts";
import { withLock } from "./lock.ts";
import type { ClusterKind } from "./model.ts";
import type { LabPlace } from "./place.ts";
import { awaitReady } from "./ready.ts";
import { makeSecrets, readSecrets } from "./secrets.ts";
import { initialiseRegistry } from "./registry.ts";
import { labFolder, listLabs, modelOf, readState, writeState } from "./state.ts";
import type { LabState } from "./state.ts";
import { summarise } from "./summary.ts";
import type { LabSummary } from "./summary.ts";
import {
  checkName,
  refuseUnlessAsWished,
  refuseUnlessPossible,
  refuseUnlessWhole,
} from "./up-checks.ts";
import type { VerbOptions } from "./verbs.ts";

export interface UpRequest {
  readonly name: string;
  readonly driver: DriverKind;
  readonly cluster: ClusterKind;
  /** 2, or with pg_auto_failover 3. */
  readonly memberCount: number;
  readonly names: boolean;
  readonly appHosts: number;
  readonly pooling: "transaction" | "session";
  readonly sharedBuffers: string;
  readonly archiveCommand: string | null;
}

/** What an up that was not told otherwise makes. */
export const upDefaults: Omit<UpRequest, "name"> = {
  driver: "process",
  cluster: "pair",
  memberCount: 2,
  names: false,
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
        return await describeStanding(place, state, wishes, options);
      }
      if (state !== undefined || (await listLabs(place)).includes(name)) {
        options.note(`lab ${name} was left half made: clearing it away first`);
        await destroyLab(place, name);
      }
      const request = { ...upDefaults, ...wishes };
      refuseUnlessPossible(request);
      await checkName(place, name);
      return await withDriver(place, request.driver, (driver) =>
        makeOrClear(place, driver, request, options),
      );
    },
  );
}

/** A lab that stands: whole and as wished, or refused. */
async function describeStanding(
  place: LabPlace,
  state: LabState,
  wishes: UpWishes,
  options: VerbOptions,
): Promise<LabSummary> {
  return await withDriver(place, state.driver, async (driver) => {
    await refuseUnlessWhole(place, driver, state);
    refuseUnlessAsWished(state, wishes);
    options.note(`lab ${state.name} is up already; nothing was changed`);
    const model = modelOf(place, state);
    const secrets = await readSecrets(labFolder(place, state.name));
    return summarise(model, secrets, await driver.environmentKeys(model));
  });
}

async function makeOrClear(
  place: LabPlace,
  driver: LabDriver,
  request: UpRequest,
  options: VerbOptions,
): Promise<LabSummary> {
  const note = timed(options.note);
  await driver.prepare({ note, signal: options.signal, cluster: request.cluster });
  const { driver: _, ...wanted } = request;
  const { state, settle } = await claimPlace(place, driver, wanted);
  try {
    const model = modelOf(place, state);
    const { configFolder } = state;
    const secrets = await makeSecrets(model.folder);
    const { signal } = options;
    // Its first token stands in the environment file, so it is made before that is read.
    await initialiseRegistry(model, signal);
    const keys = await driver.environmentKeys(model);
    const making: Making = { model, place, secrets, configFolder, signal, note };
    const environment = await writeEnvironment(making, keys);
    const processes = await driver.make(making, environment);
    await awaitReady(making, environment);
    signal.throwIfAborted();
    await writeState(place, { ...state, phase: "up", processes });
    note("up");
    return summarise(model, secrets, keys);
  } catch (error) {
    options.note(`clearing away what was made of lab ${request.name}`);
    await destroyLab(place, request.name).catch((left: Error) => {
      const again = `bin/lab down --name ${request.name} tries it again`;
      options.note(`not all could be cleared away: ${left.message}; ${again}`);
    });
    throw error;
  } finally {
    settle();
  }
}

function timed(note: (line: string) => void): (line: string) => void {
  const start = systemClock.monotonic();
  return (line) => {
    const seconds = ((systemClock.monotonic() - start) / 1000).toFixed(1);
    note(`${seconds.padStart(5)} s  ${line}`);
  };
}
