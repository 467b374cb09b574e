/**
 * Claims a place for a new lab: an index whose addresses and group ids nothing else has. What is in
 * the way is left alone, whosever it is, and the next index is tried.
 */
import { askLocalHolder, tryLocalLock } from "../kit/local-lock.ts";
import type { LabDriver } from "./driver/driver.ts";
import { withLock } from "./lock.ts";
import { LabUnavailableError } from "./place.ts";
import type { LabPlace } from "./place.ts";
import { freeIndexes, modelOf, writeState } from "./state.ts";
import type { LabState } from "./state.ts";

export interface Claim {
  readonly state: LabState;
  /** For when the lab stands, or is gone again: whoever comes sees that by itself. */
  readonly settle: () => void;
}

/**
 * Takes the lowest index that is free in every way, and writes it down before another lab can take
 * it. Labs of other users lie where we may not look, and a lab that is being made has no process at
 * first: so its place is held besides, for all users of this machine, until the claim is settled.
 * @throws LabUnavailableError when there is none, a path of the lab is too long, or a name is taken
 */
export async function claimPlace(
  place: LabPlace,
  driver: LabDriver,
  request: Omit<
    LabState,
    "version" | "driver" | "index" | "phase" | "configFolder" | "processes" | "stopped"
  >,
): Promise<Claim> {
  const stateAt = (index: number): LabState => ({
    ...request,
    version: 1,
    driver: driver.kind,
    index,
    phase: "making",
    configFolder: place.configFolder,
    processes: {},
    stopped: [],
  });
  return await withLock("lab-index", { purpose: `bin/lab up --name ${request.name}` }, async () => {
    const indexes = await freeIndexes(place);
    // Names are the same at every index.
    await driver.checkNames(modelOf(place, stateAt(indexes[0] ?? 0)));
    let settle = (): void => undefined;
    const index = await firstFree(indexes, async (one) => {
      settle = await holdPlace(one, request.name);
      await unlessFailed(settle, () => driver.checkPlace(modelOf(place, stateAt(one))));
    });
    const state = stateAt(index);
    await unlessFailed(settle, () => writeState(place, state));
    return { state, settle };
  });
}

/**
 * Holds the place at `index` for the lab called `name` against every other that is being made on
 * this machine. @returns what lets it go
 * @throws LabUnavailableError when another one has it
 */
export async function holdPlace(index: number, name: string): Promise<() => void> {
  const lock = `lab-place-${index}`;
  const held = await tryLocalLock(lock, `bin/lab up --name ${name}`);
  if (held !== undefined) return held.release;
  throw new LabUnavailableError(
    `lab ${name} needs place ${index}, where another lab is being made: ${await askLocalHolder(lock)}`,
  );
}

async function unlessFailed(settle: () => void, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    settle();
    throw error;
  }
}

/**
 * The first of `indexes` that `check` does not turn down with a LabUnavailableError.
 * @throws LabUnavailableError with the reason against the first when all are turned down, or what
 * else `check` throws
 */
export async function firstFree(
  indexes: readonly number[],
  check: (index: number) => Promise<void>,
): Promise<number> {
  let reason: LabUnavailableError | undefined;
  for (const index of indexes) {
    try {
      await check(index);
      return index;
    } catch (error) {
      if (!(error instanceof LabUnavailableError)) throw error;
      reason ??= error;
    }
  }
  throw new LabUnavailableError(
    `no place for a lab is free; of those that no other lab has, the first: ${reason?.message ?? "there is none"}`,
    { cause: reason },
  );
}
