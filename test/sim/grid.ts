/**
 * The exhaustive part: each step of a flip, struck before, during and after it, then brought to an
 * end by each ending, on this host and on the other.
 */
import { flipMachine } from "../../router/flip-db/flip.ts";
import type { FlipMachine } from "../../router/flip-db/flip.ts";
import { wholeSteps } from "../../router/flip-db/plan/plan-steps.ts";
import { checkWhole, flows } from "./ending.ts";
import { noFaults } from "./faults.ts";
import type { Moment, Strike } from "./faults.ts";
import { chanceOf } from "./random.ts";
import { Stage } from "./stage.ts";
import type { StageOptions } from "./stage.ts";
import { gateTtlMs } from "./world.ts";

/** What each step does; those that only wait do nothing. */
const acts: Readonly<Record<string, string>> = {
  record: "recordIntent",
  checkpoint: "checkpoint",
  slot: "createSlot",
  warm: "warmChannels",
  arm: "arm",
  hold: "holdClients",
  divert: "divertFrom",
  stop: "stopOld",
  promote: "promote",
  verify: "verifyWrite",
  "stream-first": "startMember",
  "stream-briefly": "startMember",
  reconnect: "reconnectPooler",
  route: "route",
  release: "releaseClients",
  sweep: "sweepSessions",
  rejoin: "startMember",
  "reconnect-old": "reconnectPooler",
  close: "recordOutcome",
};

/** Steps that find their effect there already in a flip that nothing disturbs. */
const skipped = new Set(["await-end", "await-end-briefly", "relax", "settle"]);

export interface Cell {
  readonly name: string;
  readonly step: string;
  readonly strike: Omit<Strike, "what">;
  readonly options: StageOptions;
}

const kinds = [
  { mode: "seamless", synchronous: "none" },
  { mode: "fast", synchronous: "none" },
  { mode: "seamless", synchronous: "wait" },
  { mode: "seamless", synchronous: "relax" },
] as const;

const policies = [
  ["never", "never"],
  ["always", "when killed"],
] as const;

/** Every step × every moment × every kind of flip × both restart policies. */
export function allCells(): Cell[] {
  return kinds.flatMap((kind) =>
    policies.flatMap((pair) =>
      wholeSteps({ ...kind, cause: "planned" })
        .filter((step) => !skipped.has(step))
        .flatMap((step) =>
          strikesOf(step, kind.synchronous !== "none").map((strike) => ({
            name: `${kind.mode}, synchronous ${kind.synchronous}, restarts ${pair[0]}: ${strike.moment} ${strike.act}`,
            step,
            strike,
            options: { ...kind, policies: pair, delayMs: 10, slowPromotion: false },
          })),
        ),
    ),
  );
}

function strikesOf(step: string, isSynchronous: boolean): Omit<Strike, "what">[] {
  const act = acts[step];
  // The old node is started once: with a synchronous pair before clients go on.
  if (step === "rejoin" && isSynchronous) return [];
  const around = (name: string, moments: readonly Moment[]): Omit<Strike, "what">[] =>
    moments.map((moment) => ({ act: name, moment }));
  const record = around(`started ${step}`, ["before", "after"]);
  return act === undefined ? record : [...record, ...around(act, ["before", "during", "after"])];
}

export const endings = [
  { goal: "resume", host: "a" },
  { goal: "resume", host: "b" },
  { goal: "abort", host: "a" },
  { goal: "abort", host: "b" },
] as const;

export type Ending = (typeof endings)[number];

function stageOf(cell: Cell, seed: number, machine: FlipMachine): Stage {
  const stage = new Stage(chanceOf(seed), cell.options, machine);
  stage.world.advance(500);
  return stage;
}

/**
 * The executor dies in the cell; before the stop writes flow again by themselves; one command, or
 * the other where that one refuses, ends in a whole cluster.
 * @returns what was wrong; none when all is well
 */
export async function dieAndEnd(
  cell: Cell,
  ending: Ending,
  seed: number,
  machine: FlipMachine = flipMachine,
): Promise<readonly string[]> {
  const stage = stageOf(cell, seed, machine);
  const { world } = stage;
  const strikes = [{ ...cell.strike, what: "die" }] as const;
  const { how, tool } = await stage.command("flip", "a", { ...noFaults, strikes });
  // A step whose effect is there already is skipped, and is not struck.
  if (how !== "died" && how !== "done") world.violate(`the flip ended as ${how}`);
  if (!tool.sent.has("stopOld")) {
    world.advance(gateTtlMs + 3000);
    if (!flows(world)) world.violate("before the stop, and writes do not flow again");
  }
  const first = await stage.command(ending.goal, ending.host, noFaults);
  const other = ending.goal === "resume" ? "abort" : "resume";
  const isOver = first.how.startsWith("refused: no unfinished flip");
  // A promotion under way may win against an abort that was just begun.
  const isTooLate = first.how.endsWith("--resume finishes the flip");
  const isRefused = (first.how.startsWith("refused") && !isOver) || isTooLate;
  if (isRefused && !isTooLate && !first.how.includes(`flip-db --${other}`)) {
    world.violate(`a refusal that does not name the other ending: ${first.how}`);
  }
  const last = isRefused ? await stage.command(other, ending.host, noFaults) : first;
  if (!isOver && last.how !== "done" && last.how !== "undone") {
    world.violate(`${ending.goal} on ${ending.host}: ${last.how}`);
  }
  world.advance(10_000);
  checkWhole(world);
  return world.violations;
}

/**
 * The operator presses Ctrl-C in the cell: until the promotion is sent the flip is taken back by
 * itself, after that it goes on to its end.
 * @returns what was wrong; none when all is well
 */
export async function interrupt(cell: Cell, seed: number): Promise<readonly string[]> {
  const stage = stageOf(cell, seed, flipMachine);
  const { world } = stage;
  const strikes = [{ ...cell.strike, what: "interrupt" }] as const;
  const { how, tool } = await stage.command("flip", "a", { ...noFaults, strikes });
  const isPast = tool.sent.has("promote");
  const isRight = isPast ? how === "done" : how.startsWith("undone") || how.startsWith("threw");
  if (!isRight) world.violate(`interrupted, it ended as ${how}`);
  world.advance(10_000);
  checkWhole(world);
  return world.violations;
}
