/**
 * One whole story from one seed: a cluster, a flip that something happens to, people who resume or
 * abort it here or elsewhere, and at last an operator who, with nothing going wrong any more, brings
 * it to an end. What must never be is checked all the way; the end is checked here.
 */
import { flipMachine, runFlip } from "../../router/flip-db/flip.ts";
import type { FlipMachine, FlipResult } from "../../router/flip-db/flip.ts";
import type { FlipRequest } from "../../router/flip-db/plan.ts";
import { LockedError } from "../../router/operation/lock.ts";
import type { JournalRecord } from "../../router/operation/records.ts";
import { drawFaults, noFaults } from "./faults.ts";
import type { Faults } from "./faults.ts";
import { chanceOf } from "./random.ts";
import type { Chance } from "./random.ts";
import { Tool } from "./tool.ts";
import { worldOf } from "./tool-world.ts";
import type { Sessions } from "./tool.ts";
import { gateTtlMs, World } from "./world.ts";
import type { RestartPolicy } from "./member.ts";

export interface Story {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly trace: readonly string[];
  /** What the commands came to, for the count of what was covered. */
  readonly results: readonly string[];
}

type Goal = FlipRequest["goal"];

class Stage {
  readonly chance: Chance;
  readonly world: World;
  readonly machine: FlipMachine;
  readonly mode: "seamless" | "fast";
  readonly sessions: Sessions = { all: new Map(), locks: new Map() };
  readonly files: Record<string, JournalRecord[]> = { a: [], b: [] };
  readonly results: string[] = [];
  #runs = 0;

  constructor(seed: number, machine: FlipMachine) {
    this.chance = chanceOf(seed);
    this.machine = machine;
    const { chance } = this;
    this.mode = chance.hit(0.7) ? "seamless" : "fast";
    const policies: RestartPolicy[] = [
      chance.pick(["never", "when killed", "always"]),
      chance.pick(["never", "when killed"]),
      "when killed",
    ];
    this.world = new World(chance, {
      names: chance.hit(0.2) ? ["dal-01", "chi-02", "nyc-03"] : ["dal-01", "chi-02"],
      policies,
      delayMs: chance.between(1, 40),
      slowPromotion: chance.hit(0.3),
    });
  }

  /** One command of the tool. @returns how it ended */
  async command(goal: Goal, host: string, faults: Faults): Promise<{ how: string; tool: Tool }> {
    this.#runs += 1;
    const { world, machine } = this;
    const words = { run: `r${this.#runs}`, host, faults, file: this.files[host] ?? [] };
    const tool = new Tool(world, this.sessions, words);
    tool.onFreeze = () => this.meanwhile(tool);
    const members = world.members.map((one) => one.name);
    const request: FlipRequest = {
      goal,
      run: tool.run,
      mode: this.mode,
      members,
      ...(goal === "flip" ? { to: "chi-02" } : {}),
    };
    const { signal } = new AbortController();
    const options = { holder: host, signal, onEvent: () => undefined, machine };
    const begun = world.now;
    const how = await Promise.race([
      runFlip(request, worldOf(tool), options).then(wordsOf, (error: unknown) =>
        error instanceof LockedError ? "locked" : `threw ${String(error)}`,
      ),
      tool.died,
    ]);
    tool.alive = false;
    if (world.now - begun > 3_600_000) world.violate(`${goal} took ${world.now - begun} ms`);
    world.trace.push(`${world.now} ${goal} on ${host} as ${tool.run}: ${how}`);
    this.results.push(`${goal}: ${how.split(":")[0] ?? ""}`);
    return { how, tool };
  }

  /** While one tool is frozen, somebody aborts or resumes its flip from elsewhere. */
  async meanwhile(frozen: Tool): Promise<void> {
    this.world.advance(this.chance.between(10, 3000));
    if (this.#runs > 8) return;
    await this.command(
      this.chance.pick<Goal>(["abort", "resume"]),
      frozen.host === "a" ? "b" : "a",
      noFaults,
    );
    this.world.advance(this.chance.between(10, 12_000));
  }
}

function wordsOf(result: FlipResult): string {
  if (result.kind === "refused") return `refused: ${result.why}`;
  const { result: word, failed } = result.outcome;
  return failed === null ? word : `${word}: ${failed.reason}`;
}

/** Tells the story of `seed` with the given machine. */
export async function tell(seed: number, machine: FlipMachine = flipMachine): Promise<Story> {
  const stage = new Stage(seed, machine);
  const { world, chance } = stage;
  world.advance(500);
  const faults = drawFaults(chance, false);
  const { how, tool } = await stage.command("flip", "a", faults);
  const isCalm = faults.strikes.every((one) => one.what === "die") && faults.lie === 0;
  if (how === "died" && isCalm && !tool.sent.has("stopOld")) {
    world.advance(gateTtlMs + 3000);
    if (!flows(world)) world.violate("the tool died before the stop and writes do not flow again");
  }
  const turns = chance.between(0, 3);
  for (let turn = 0; turn < turns; turn += 1) {
    const goal = chance.pick<Goal>(["resume", "abort"]);
    await stage.command(goal, chance.pick(["a", "b"]), drawFaults(chance, goal === "abort"));
    world.advance(chance.between(0, 8000));
  }
  await conclude(stage);
  const { violations, trace } = world;
  return { seed, violations, trace, results: stage.results };
}

/** Every router leads its clients to a member that takes their writes, and no gate holds them. */
function flows(world: World): boolean {
  return (
    world.gates.every((one) => one.pausedBy === null) &&
    world.routers.every((one) => one.up.size === 1 && world.write(one))
  );
}

/** With nothing going wrong any more, one ending or the other leads to a whole cluster. */
async function conclude(stage: Stage): Promise<void> {
  const { world, chance } = stage;
  world.cut.clear();
  world.loseWalsenders = false;
  world.advance(10_000);
  const first: Goal = chance.pick(["resume", "abort"]);
  const goals: Goal[] = first === "resume" ? ["resume", "abort"] : ["abort", "resume"];
  for (let turn = 0; turn < 6; turn += 1) {
    const { how } = await stage.command(
      goals[turn % 2] ?? "resume",
      chance.pick(["a", "b"]),
      noFaults,
    );
    world.advance(10_000);
    if (how.startsWith("refused: no unfinished") && flows(world)) break;
  }
  if (world.grafted) return;
  if (!flows(world)) world.violate("in the end writes do not flow");
  const primary = world.members.find((one) => one.writable);
  for (const one of world.members) {
    if (one === primary) {
      if (one.signal !== null) world.violate(`in the end ${one.name} is armed`);
    } else if (one.running && one.upstream !== primary?.name) {
      world.violate(`in the end ${one.name} does not follow ${primary?.name ?? "anyone"}`);
    }
  }
}
