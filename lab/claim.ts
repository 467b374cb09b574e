/**
 * Claims a place for a new lab: an index whose addresses and group ids nothing else has. What is in
 * the way is left alone, whosever it is, and the next index is tried.
 */
import type { LabDriver } from "./driver/driver.ts";
import { withLock } from "./lock.ts";
import { LabUnavailableError } from "./place.ts";
import type { LabPlace } from "./place.ts";
import { freeIndexes, modelOf, writeState } from "./state.ts";
import type { LabState } from "./state.ts";

/**
 * Takes the lowest index that is free in every way, and writes it down before another lab can take
 * it.
 * @throws LabUnavailableError when there is none, a path of the lab is too long, or a name is taken
 */
export async function claimPlace(
  place: LabPlace,
  driver: LabDriver,
  request: Omit<
    LabState,
    "version" | "driver" | "index" | "phase" | "configFolder" | "processes" | "stopped"
  >,
): Promise<LabState> {
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
    const index = await firstFree(indexes, async (one) => {
      await driver.checkPlace(modelOf(place, stateAt(one)));
    });
    const state = stateAt(index);
    await writeState(place, state);
    return state;
  });
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
