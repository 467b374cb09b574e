/** The process driver: a lab of programs on this machine, on loopback addresses of its own. */
import type { Environment } from "../../config/schema.ts";
import { eventually } from "../../kit/clock.ts";
import type { MemberHost, Part, PartKind } from "../model.ts";
import { partOf } from "../model.ts";
import type { LabPlace } from "../place.ts";
import { fillPrimary, prepareSlots } from "../postgres.ts";
import { findPrograms, requireAutoctl } from "../programs.ts";
import type { Programs } from "../programs.ts";
import { fillRegistry } from "../registry.ts";
import { labFolder, modelOf } from "../state.ts";
import type { LabState } from "../state.ts";
import { settled } from "./driver.ts";
import type { LabDriver, MainProcesses, Making } from "./driver.ts";
import { cutParts, healParts, listCuts, removeAllCuts } from "./faults.ts";
import { checkAddresses, checkPaths, checkProcesses } from "./process-place.ts";
import { writeParts } from "./process-files.ts";
import { startManagedNodes } from "./process-autoctl.ts";
import { processKeys } from "./process-keys.ts";
import { makePrimary, makeStandby } from "./process-postgres.ts";
import { processStates } from "./process-states.ts";
import {
  awaitPart,
  freezeParts,
  killParts,
  launchPart,
  signalDeadlineMs,
  stopPart,
  thawParts,
} from "./process.ts";
import type { StartedPart } from "./process.ts";
import { processesUnder, signalProcess, startOf } from "./processes.ts";
import { removeLeftovers } from "./leftovers.ts";

/** The process driver for the labs of `place`. */
export function processDriver(place: LabPlace): LabDriver {
  let found: Promise<Programs> | undefined;
  const programs = (): Promise<Programs> => (found ??= findPrograms());
  return {
    kind: "process",
    prepare: async ({ cluster }) => {
      const all = await programs();
      if (cluster === "pg_auto_failover") await requireAutoctl(all);
    },
    // What a lab of processes has lies in its folder and at its addresses alone.
    checkNames: async () => undefined,
    checkPlace: async (model) => {
      checkPaths(model);
      checkProcesses(model);
      await checkAddresses(model);
    },
    environmentKeys: async (model) => processKeys(model, place, await programs()),
    make: async (making, environment) => await makeProcesses(making, await programs(), environment),
    destroy: (name, state) => destroyProcesses(place, name, state),
    states: async (model, state) => processStates(model, state),
    stop: (_model, part, signal) => stopPart(part, signal),
    kill: (_model, parts) => killParts(parts),
    start: async (model, state, parts) => {
      // Leftovers of a crashed part hold its addresses and its shared memory.
      await killParts(parts);
      if (place.privileged) await removeLeftovers(parts);
      const setting = {
        model,
        place,
        programs: await programs(),
        configFolder: state.configFolder,
      };
      return mainsOf(await Promise.all(parts.map((part) => launchPart(setting, part))));
    },
    awaitPart: (_model, part, signal) => awaitPart(part, { signal }),
    freeze: (_model, parts) => freezeParts(parts),
    thaw: (_model, parts) => thawParts(parts),
    cut: cutParts,
    heal: healParts,
    cuts: listCuts,
    close: () => undefined,
  };
}

function mainsOf(started: readonly StartedPart[]): MainProcesses {
  return Object.fromEntries(started.map(({ part, ...main }) => [part, main]));
}

/** Starts everything: what needs no Postgres at once, beside the making of the two nodes. */
async function makeProcesses(
  making: Making,
  programs: Programs,
  environment: Environment,
): Promise<MainProcesses> {
  const { model } = making;
  await writeParts(making, environment);
  const start = async (part: Part): Promise<StartedPart> => {
    const started = await launchPart({ ...making, programs }, part);
    await awaitPart(part, { signal: making.signal });
    return started;
  };
  const apart: readonly PartKind[] = ["postgres", "monitor", "registry", "resolver"];
  const others = model.parts.filter((part) => !apart.includes(part.kind));
  const startAll = model.monitor === undefined ? startNodes : startManagedNodes;
  const [nodes, names, rest] = await settled([
    startAll(making, programs, start),
    startNames(making, start),
    settled(others.map(start)).then((started) => {
      making.note("poolers, pg-health and routers answer");
      return started;
    }),
  ]);
  return mainsOf([...nodes, ...names, ...rest]);
}

/** The registry, and once it knows their nodes the resolvers. */
async function startNames(
  making: Making,
  start: (part: Part) => Promise<StartedPart>,
): Promise<StartedPart[]> {
  const { model, note } = making;
  if (model.registry === undefined) return [];
  const registry = await start(partOf(model, model.registry.name, "registry"));
  await fillRegistry(making);
  const resolvers = model.resolvers.map(({ name }) => start(partOf(model, name, "resolver")));
  const started = [registry, ...(await settled(resolvers))];
  note("the registry and its resolvers answer");
  return started;
}

async function startNodes(
  making: Making,
  programs: Programs,
  start: (part: Part) => Promise<StartedPart>,
): Promise<StartedPart[]> {
  const { model, note } = making;
  const [primary, ...standbys] = model.members;
  if (primary === undefined) throw new TypeError("a lab has a first member");
  const node = (member: MemberHost): Part => partOf(model, member.name, "postgres");
  await makePrimary(making, programs, primary);
  note(`${primary.name}: initdb is done`);
  const first = await start(node(primary));
  await fillPrimary(making, primary);
  note(`${primary.name}: primary runs`);
  const followers = standbys.map(async (standby) => {
    await makeStandby(making, programs, standby, primary);
    const started = await start(node(standby));
    await prepareSlots(making, standby);
    note(`${standby.name}: base backup is done, standby runs`);
    return started;
  });
  return [first, ...(await settled(followers))];
}

/** Nothing in a lab is worth a clean stop, so everything is killed. */
async function destroyProcesses(
  place: LabPlace,
  name: string,
  state: LabState | undefined,
): Promise<boolean> {
  if (state !== undefined) {
    const { parts } = modelOf(place, state);
    await killParts(parts);
    if (place.privileged) await removeLeftovers(parts);
    for (const { pid, startedAt } of Object.values(state.processes)) {
      if (startOf(pid) === startedAt) signalProcess(pid, "SIGKILL");
    }
  }
  const folder = labFolder(place, name);
  let found = false;
  await eventually(
    `end of the processes in ${folder}`,
    { deadlineMs: signalDeadlineMs, intervalMs: 10 },
    () => {
      const left = processesUnder(folder);
      for (const { pid } of left) signalProcess(pid, "SIGKILL");
      found ||= left.length > 0;
      return left.length === 0 ? true : undefined;
    },
  );
  if (place.privileged) await removeAllCuts(name);
  return found;
}
