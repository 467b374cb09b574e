/** A flip whose executor freezes at one place of it, as a suspended machine does, and is thawed later. */
import { readFile } from "node:fs/promises";
import type { Test } from "tap";
import { eventually, withDeadline } from "../../../kit/clock.ts";
import type { FlipResult } from "../../../router/flip-db/flip.ts";
import { startDoomed } from "./kill-stage.ts";
import type { Cell } from "./kill-stage.ts";
import type { Hands } from "./pitfall-hands.ts";

const frozenSoon = { deadlineMs: 30_000, intervalMs: 10 };

/** Well under the 120 s that a shutdown may take: who waits that long waits for nothing. */
const thawedMs = 45_000;

export interface FrozenFlip {
  readonly operationId: string;
  /** What it said so far, a line for each phase of a step. */
  said(): string;
  /** Lets it go on. @returns how it ended; @throws DeadlineError when that takes too long */
  thaw(): Promise<FlipResult>;
}

/** Starts a flip and returns once it is frozen. */
export async function frozenFlip(
  t: Test,
  hands: Hands,
  cell: Pick<Cell, "mode" | "step" | "moment" | "delayMs">,
): Promise<FrozenFlip> {
  const flip = startDoomed(t, hands, { ...cell, signal: "SIGSTOP" });
  const { pid } = flip.child;
  if (pid === undefined) throw new TypeError("the executor did not start");
  await eventually(`frozen ${cell.moment} ${cell.step}`, frozenSoon, async () => {
    if (flip.child.exitCode !== null) throw new Error(`it ended: ${flip.said()}`);
    const state = await readFile(`/proc/${pid}/stat`, "utf8");
    return /^[0-9]+ \(.*\) T /.test(state) ? true : undefined;
  });
  return {
    operationId: flip.operationId,
    said: flip.said,
    thaw: async () => {
      process.kill(pid, "SIGCONT");
      await withDeadline("the end of a thawed flip", thawedMs, () => flip.ended).catch(
        (cause: unknown) => {
          throw new Error(`it does not end: ${flip.said()}`, { cause });
        },
      );
      const [, json = "null"] = /^ended (.*)$/m.exec(flip.said()) ?? [];
      return JSON.parse(json) as FlipResult;
    },
  };
}
