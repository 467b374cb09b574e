/** What an operator does to the parts of a lab that is up, one verb at a time. */
import { nearest } from "../kit/nearest.ts";
import { labLock } from "./down.ts";
import type { LabDriver, PartState } from "./driver/driver.ts";
import { withDriver } from "./driver/open.ts";
import { withLock } from "./lock.ts";
import { partNames, partsNamed } from "./model.ts";
import type { LabModel, Part } from "./model.ts";
import type { LabPlace } from "./place.ts";
import { modelOf, requireState, writeState } from "./state.ts";
import type { LabState } from "./state.ts";
import { LabRefusedError } from "./up-checks.ts";

export type PartVerb = "stop" | "kill" | "start" | "freeze" | "thaw";
export type PairVerb = "cut" | "heal";

/** A verb names a part that the lab does not have. */
export class UnknownPartError extends Error {
  override readonly name = "UnknownPartError";
  readonly code = "ERR_LAB_UNKNOWN_PART";
}

export interface VerbOptions {
  /** Gets a line for each thing that is done or need not be done. */
  readonly note: (line: string) => void;
  readonly signal: AbortSignal;
}

interface Act {
  readonly driver: LabDriver;
  readonly place: LabPlace;
  readonly model: LabModel;
  readonly state: LabState;
  readonly options: VerbOptions;
}

interface VerbRow {
  /** The word for a part on which it was done. */
  readonly done: string;
  /** States in which there is nothing to do, with what is said then. */
  readonly nothing: Partial<Record<PartState, string>>;
  /** States in which it cannot be done, with what helps. */
  readonly refused: Partial<Record<PartState, string>>;
  /** The parts that count as stopped in good order afterwards. */
  readonly stops: boolean;
  readonly run: (act: Act, parts: readonly Part[]) => Promise<void>;
}

const verbs: Readonly<Record<PartVerb, VerbRow>> = {
  stop: {
    done: "stopped",
    nothing: { stopped: "is stopped already" },
    refused: { frozen: "thaw or kill it first" },
    stops: true,
    run: async ({ driver, model, options }, parts) => {
      // What uses Postgres goes first: a pooler must not see its server go away.
      for (const part of parts.toReversed()) await driver.stop(model, part, options.signal);
    },
  },
  kill: {
    done: "killed",
    // Of what has crashed something may be left, or its engine is about to start it again.
    nothing: { stopped: "is stopped already" },
    refused: {},
    stops: false,
    run: ({ driver, model }, parts) => driver.kill(model, parts),
  },
  start: {
    done: "started",
    nothing: { running: "runs already" },
    refused: { frozen: "thaw it instead" },
    stops: false,
    run: startParts,
  },
  freeze: {
    done: "frozen",
    nothing: { frozen: "is frozen already", stopped: "is stopped", crashed: "has crashed" },
    refused: {},
    stops: false,
    run: ({ driver, model }, parts) => driver.freeze(model, parts),
  },
  thaw: {
    done: "thawed",
    nothing: { running: "is not frozen", stopped: "is stopped", crashed: "has crashed" },
    refused: {},
    stops: false,
    run: ({ driver, model }, parts) => driver.thaw(model, parts),
  },
};

/**
 * Does `verb` to a part, or to all parts of a host.
 * @throws LabMissingError, UnknownPartError, LabRefusedError, PartError, LabLockedError
 */
export async function actOnPart(
  place: LabPlace,
  name: string,
  verb: PartVerb,
  target: string,
  options: VerbOptions,
): Promise<void> {
  await withOpenLab(place, name, `${verb} ${target}`, options, async (act) => {
    const row = verbs[verb];
    const parts = requireParts(act.model, target);
    const seen = await act.driver.states(act.model, act.state);
    const states = new Map(seen.map((one) => [one.part, one.state]));
    const stateOf = (part: Part): PartState => states.get(part.name) ?? "crashed";
    const refusal = parts.find((part) => row.refused[stateOf(part)] !== undefined);
    if (refusal !== undefined) {
      const state = stateOf(refusal);
      throw new LabRefusedError(`${verb} ${refusal.name}: it is ${state}: ${row.refused[state]}`);
    }
    const idle = parts.filter((part) => row.nothing[stateOf(part)] !== undefined);
    for (const part of idle) options.note(`${part.name} ${row.nothing[stateOf(part)]}`);
    const due = parts.filter((part) => !idle.includes(part));
    if (due.length === 0) return;
    const others = act.state.stopped.filter((one) => !due.some((part) => part.name === one));
    const stopped = row.stops ? [...others, ...due.map((part) => part.name)] : others;
    const state = { ...act.state, stopped };
    // Beforehand: a verb that is interrupted has been asked for all the same.
    await writeState(place, state);
    await row.run({ ...act, state }, due);
    for (const part of due) options.note(`${part.name} ${row.done}`);
  });
}

async function startParts(act: Act, parts: readonly Part[]): Promise<void> {
  const { driver, model, place, state, options } = act;
  const started = await driver.start(model, state, parts);
  const processes = { ...state.processes, ...started };
  // Before the wait: a part that is slow to answer is started all the same.
  await writeState(place, { ...state, processes });
  const { signal } = options;
  const results = await Promise.allSettled(
    parts.map((part) => driver.awaitPart(model, part, signal)),
  );
  const failed = results.find((one) => one.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/**
 * Cuts two parts or hosts off from each other, or undoes that.
 * @throws LabMissingError, UnknownPartError, CutError, LabLockedError
 */
export async function actOnPair(
  place: LabPlace,
  name: string,
  verb: PairVerb,
  ends: readonly [string, string],
  options: VerbOptions,
): Promise<void> {
  const [one, other] = ends;
  await withOpenLab(place, name, `${verb} ${one} ${other}`, options, async ({ driver, model }) => {
    const [left, right] = [requireParts(model, one), requireParts(model, other)];
    if (left.some((part) => right.includes(part))) {
      throw new UnknownPartError(`${verb} ${one} ${other}: a part is never apart from itself`);
    }
    if (verb === "cut") {
      const changed = await driver.cut(model, one, other);
      options.note(`${one} and ${other} ${changed ? "are" : "were already"} cut off`);
    } else {
      const changed = await driver.heal(model, one, other);
      options.note(
        `${one} and ${other} ${changed ? "reach" : "were not cut: they reach"} each other`,
      );
    }
  });
}

async function withOpenLab(
  place: LabPlace,
  name: string,
  what: string,
  options: VerbOptions,
  work: (act: Act) => Promise<void>,
): Promise<void> {
  const purpose = `bin/lab ${what} --name ${name}`;
  await withLock(labLock(name), { purpose, signal: options.signal }, async () => {
    const state = await requireState(place, name);
    await withDriver(place, state.driver, (driver) =>
      work({ driver, place, model: modelOf(place, state), state, options }),
    );
  });
}

function requireParts(model: LabModel, target: string): Part[] {
  const parts = partsNamed(model, target);
  if (parts.length > 0) return parts;
  const names = partNames(model);
  const near = nearest(target, names);
  const guess = near === undefined ? "" : ` did you mean ${near}?`;
  throw new UnknownPartError(
    `lab ${model.name} has no part ${JSON.stringify(target)}:${guess} it has ${names.join(", ")}`,
  );
}
