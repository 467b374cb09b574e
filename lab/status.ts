/** How the parts of a lab are, and what is cut off, whichever driver runs it. */
import type { PartStatus } from "./driver/driver.ts";
import { withDriver } from "./driver/open.ts";
import type { LabPlace } from "./place.ts";
import { modelOf, requireState } from "./state.ts";

export interface LabStatus {
  readonly parts: readonly PartStatus[];
  /** The two ends of each cut that stands. */
  readonly cuts: readonly (readonly [string, string])[];
}

/**
 * Looks at every part of the lab called `name`.
 * @throws LabMissingError, or what the driver throws when it cannot look
 */
export async function labStatus(place: LabPlace, name: string): Promise<LabStatus> {
  const state = await requireState(place, name);
  const model = modelOf(place, state);
  return await withDriver(place, state.driver, async (driver) => {
    const [parts, cuts] = await Promise.all([driver.states(model, state), driver.cuts(model)]);
    return { parts, cuts };
  });
}
