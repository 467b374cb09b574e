/**
 * Stories of an unplanned loss: the primary crashes for good, is cut off from the tools while it
 * goes on writing, or is truly dead where nobody can see it; then somebody calls for a failover.
 */
import { flipMachine } from "../../router/flip-db/flip.ts";
import type { FlipMachine } from "../../router/flip-db/flip.ts";
import type { FlipRequest } from "../../router/flip-db/plan/plan-request.ts";
import { checkWhole } from "./ending.ts";
import { drawFaults, noFaults } from "./faults.ts";
import type { Faults } from "./faults.ts";
import { chanceOf } from "./random.ts";
import { Stage } from "./stage.ts";
import type { StageOptions, Story } from "./stage.ts";

/** crashed: its host answers; cut off: it writes on, unseen; dead: nothing of it is left. */
type Loss = "crashed" | "cut off" | "dead";

const old = "dal-01";

function strikeAt(stage: Stage, loss: Loss): void {
  const { world, chance } = stage;
  // What was written last may not have reached the standby.
  if (chance.hit(0.5)) world.cut.add("chi-02");
  world.advance(chance.between(1, 200));
  if (loss === "cut off") return;
  world.member(old).kill(world.now, 1);
  if (loss === "dead") world.member(old).isKilled = false;
  world.advance(100);
}

/** Nothing of the old primary can be seen from where the tool runs. */
function blindTo(loss: Loss, faults: Faults): Faults {
  return loss === "crashed" ? faults : { ...faults, unseen: old };
}

/** Tells the story of `seed`. */
export async function tellLoss(seed: number, machine: FlipMachine = flipMachine): Promise<Story> {
  const chance = chanceOf(seed);
  const options: StageOptions = {
    mode: chance.pick(["seamless", "fast"]),
    policies: ["never", "when killed"],
    delayMs: chance.between(1, 60),
    slowPromotion: chance.hit(0.2),
    synchronous: "none",
  };
  const stage = new Stage(chance, options, machine);
  const { world } = stage;
  world.advance(500);
  const loss = chance.pick<Loss>(["crashed", "cut off", "dead"]);
  strikeAt(stage, loss);
  const { how } = await stage.command("failover", "a", blindTo(loss, noFaults));
  if (how.startsWith("refused") && !how.includes("bin/recovery sim fence dal-01")) {
    world.violate(`a refusal that does not name fence: ${how}`);
  }
  if (!how.startsWith("refused")) world.violate(`without proof or word, failover: ${how}`);
  const word: Partial<FlipRequest> = loss === "dead" ? { operatorSaysDead: true } : {};
  if (loss !== "dead") stage.fence(old);
  const seenFrom = loss === "dead" ? loss : "crashed";
  const faults = blindTo(seenFrom, drawFaults(chance, false));
  await stage.command("failover", "a", faults, word);
  for (let turn = 0; turn < 4; turn += 1) {
    world.advance(10_000);
    if (world.members.some((one) => one.writable)) break;
    const again = await stage.command(
      "resume",
      turn % 2 === 0 ? "b" : "a",
      blindTo(seenFrom, noFaults),
      word,
    );
    if (!again.how.startsWith("refused: no unfinished")) continue;
    await stage.command("failover", "a", blindTo(seenFrom, noFaults), word);
  }
  world.mend();
  world.advance(10_000);
  // Whoever comes back after a failover is fenced, or stays where it is: down.
  if (!world.grafted && !world.member(old).running) checkWhole(world);
  return stage.story(seed);
}
