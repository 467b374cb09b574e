/**
 * One whole story from one seed: a cluster, a flip that something happens to, people who resume or
 * abort it here or elsewhere, and at last an operator who brings it to an end.
 */
import { flipMachine } from "../../router/flip-db/flip.ts";
import type { FlipMachine } from "../../router/flip-db/flip.ts";
import type { FlipGoal } from "../../router/flip-db/flip-actions.ts";
import { conclude, flows } from "./ending.ts";
import { drawFaults } from "./faults.ts";
import type { RestartPolicy } from "./member.ts";
import { chanceOf } from "./random.ts";
import type { Chance } from "./random.ts";
import { Stage } from "./stage.ts";
import type { StageOptions, Story } from "./stage.ts";
import { gateTtlMs } from "./world.ts";

function drawOptions(chance: Chance): StageOptions {
  const policies: RestartPolicy[] = [
    chance.pick(["never", "when killed", "always"]),
    chance.pick(["never", "when killed"]),
  ];
  return {
    mode: chance.hit(0.7) ? "seamless" : "fast",
    policies,
    delayMs: chance.between(1, 40),
    slowPromotion: chance.hit(0.3),
    synchronous: chance.hit(0.2) ? chance.pick(["wait", "relax"]) : "none",
  };
}

/** Tells the story of `seed` with the given machine. */
export async function tell(seed: number, machine: FlipMachine = flipMachine): Promise<Story> {
  const chance = chanceOf(seed);
  const stage = new Stage(chance, drawOptions(chance), machine);
  const { world } = stage;
  world.advance(500);
  const faults = drawFaults(chance, false);
  const { how, tool } = await stage.command("flip", "a", faults, { to: "chi-02" });
  const isCalm = faults.strikes.every((one) => one.what === "die") && faults.lie === 0;
  if (how === "died" && isCalm && !tool.sent.has("stopOld")) {
    world.advance(gateTtlMs + 3000);
    if (!flows(world)) world.violate("the tool died before the stop and writes do not flow again");
  }
  const turns = chance.between(0, 3);
  for (let turn = 0; turn < turns; turn += 1) {
    const goal = chance.pick<FlipGoal>(["resume", "abort"]);
    await stage.command(goal, chance.pick(["a", "b"]), drawFaults(chance, goal === "abort"));
    world.advance(chance.between(0, 8000));
  }
  await conclude(stage, chance.pick(["resume", "abort"]));
  return stage.story(seed);
}
