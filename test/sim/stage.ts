/**
 * Where a story plays: a simulated cluster, the journals of two hosts, and commands that are given
 * there. What every command must leave behind is checked here.
 */
import { flipMachine, runFlip } from "../../router/flip-db/flip.ts";
import type { FlipMachine, FlipResult } from "../../router/flip-db/flip.ts";
import type { FlipGoal, FlipPlan } from "../../router/flip-db/flip-actions.ts";
import type { FlipRequest } from "../../router/flip-db/plan/plan-request.ts";
import { parseSignature } from "../../router/member/signature.ts";
import { LockedError } from "../../router/operation/lock.ts";
import type { JournalRecord } from "../../router/operation/records.ts";
import { noFaults } from "./faults.ts";
import type { Faults } from "./faults.ts";
import type { Chance } from "./random.ts";
import { Tool } from "./tool.ts";
import type { Sessions } from "./tool.ts";
import { worldOf } from "./tool-world.ts";
import { World } from "./world.ts";
import type { WorldOptions } from "./world.ts";

export interface Story {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly trace: readonly string[];
  /** What the commands came to, for the count of what was covered. */
  readonly results: readonly string[];
}

export interface StageOptions extends Omit<WorldOptions, "names"> {
  readonly mode: "seamless" | "fast";
}

/** A command that takes longer waits for something that never comes. */
const longestMs = 3_600_000;
/** Of all that one story may start. */
const mostRuns = 14;

export class Stage {
  readonly chance: Chance;
  readonly world: World;
  readonly machine: FlipMachine;
  readonly options: StageOptions;
  readonly sessions: Sessions = { all: new Map(), locks: new Map() };
  readonly files: Record<string, JournalRecord[]> = { a: [], b: [] };
  readonly results: string[] = [];
  #runs = 0;

  constructor(chance: Chance, options: StageOptions, machine: FlipMachine = flipMachine) {
    this.chance = chance;
    this.machine = machine;
    this.options = options;
    this.world = new World(chance, { ...options, names: ["dal-01", "chi-02"] });
  }

  /** One command of the tool. @returns how it ended */
  async command(
    goal: FlipGoal,
    host: string,
    faults: Faults,
    more: Partial<FlipRequest> = {},
  ): Promise<{ how: string; tool: Tool }> {
    this.#runs += 1;
    const { world } = this;
    const run = `r${this.#runs}`;
    const tool = new Tool(world, this.sessions, {
      run,
      host,
      faults,
      file: this.files[host] ?? [],
    });
    tool.onFreeze = () => this.#meanwhile(tool);
    const begun = world.now;
    const how = await Promise.race([this.#run(goal, tool, more), tool.died]);
    tool.alive = false;
    if (world.now - begun > longestMs) world.violate(`${goal} took ${world.now - begun} ms`);
    world.trace.push(`${world.now} ${goal} on ${host} as ${tool.run}: ${how}`);
    this.results.push(`${goal}: ${how.split(":")[0] ?? ""}`);
    if (how.startsWith("undone") && run === `r${this.#runs}`) this.#checkUndone(goal);
    return { how, tool };
  }

  async #run(goal: FlipGoal, tool: Tool, more: Partial<FlipRequest>): Promise<string> {
    const request: FlipRequest = {
      goal,
      run: tool.run,
      mode: this.options.mode,
      environment: "sim",
      members: this.world.options.names,
      ...(this.options.synchronous === "none" ? {} : { synchronous: this.options.synchronous }),
      ...more,
    };
    const { signal } = tool.interruption;
    const words = {
      holder: tool.host,
      signal,
      onPlan: ({ loss }: FlipPlan) => {
        if (!loss.startsWith("none")) this.world.mayLose = true;
      },
      onEvent: () => undefined,
      machine: this.machine,
    };
    try {
      return wordsOf(await runFlip(request, worldOf(tool), words));
    } catch (error) {
      if (error instanceof LockedError) return "locked";
      if (error instanceof TypeError) this.world.violate(`${goal} threw ${String(error)}`);
      return `threw ${String(error)}`;
    }
  }

  /** What `fence` does, where the host can be reached: arm, stop, and see that it is stopped. */
  fence(name: string): void {
    const one = this.world.member(name);
    one.signal = "fence f1";
    one.stop(this.world.now, 50);
    this.world.advance(5000);
    this.world.trace.push(`${this.world.now} ${name} is fenced`);
  }

  /** What was undone is gone: nothing of it waits for the next restart, or for the next flip. */
  #checkUndone(goal: FlipGoal): void {
    for (const { name, signal, writable } of this.world.members) {
      if (!writable || signal === null || parseSignature(signal) === undefined) continue;
      this.world.violate(`${goal} was undone and left ${name} armed`);
    }
  }

  /** While one tool is frozen, somebody aborts or resumes its flip from elsewhere. */
  async #meanwhile(frozen: Tool): Promise<void> {
    this.world.advance(this.chance.between(10, 3000));
    if (this.#runs > mostRuns - 6) return;
    const goal = this.chance.pick<FlipGoal>(["abort", "resume"]);
    await this.command(goal, frozen.host === "a" ? "b" : "a", noFaults);
    this.world.advance(this.chance.between(10, 12_000));
  }

  /** What has come of it. */
  story(seed: number): Story {
    const { violations, trace } = this.world;
    return { seed, violations, trace, results: this.results };
  }
}

function wordsOf(result: FlipResult): string {
  if (result.kind === "refused") return `refused: ${result.why}`;
  const { result: word, failed } = result.outcome;
  return failed === null ? word : `${word}: ${failed.reason}`;
}
