/**
 * How far each member was before: what a source keeps from look to look, so that a standby can be
 * compared with what the primary had before the standby's own moment (roles/lag.ts).
 */
import type { Progress } from "../roles/observation.ts";

interface Known {
  /** As the last look had it. */
  readonly now: Progress;
  /** Of another moment; undefined until there is one. */
  readonly earlier: Progress | undefined;
}

interface Placed {
  readonly name: string;
  readonly progress: Progress | null;
}

export class ProgressMemory {
  #known = new Map<string, Known>();

  /**
   * Takes the positions of a new look and tells for each member the one before, by name. Looks can
   * follow each other faster than members report: a position of the same moment is no new one.
   */
  earlierThan(members: readonly Placed[]): Readonly<Record<string, Progress>> {
    const next = new Map<string, Known>();
    for (const { name, progress } of members) {
      const known = this.#known.get(name);
      if (progress === null || known?.now.at === progress.at) {
        if (known !== undefined) next.set(name, known);
      } else {
        next.set(name, { now: progress, earlier: known?.now });
      }
    }
    this.#known = next;
    return Object.fromEntries(
      [...next].flatMap(([name, { earlier }]) => (earlier === undefined ? [] : [[name, earlier]])),
    );
  }
}
