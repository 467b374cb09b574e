/**
 * The end of every story: nothing goes wrong any more, and an operator brings the cluster in order
 * with the commands alone. What a whole cluster is, is checked here.
 */
import type { FlipGoal } from "../../router/flip-db/flip-actions.ts";
import { noFaults } from "./faults.ts";
import type { Stage } from "./stage.ts";
import type { World } from "./world.ts";

/** Every router leads its clients to a member that takes their writes, and no gate holds them. */
export function flows(world: World): boolean {
  return (
    world.gates.every((one) => one.pausedBy === null) &&
    world.routers.every((one) => one.up.size === 1 && world.write(one))
  );
}

/** With nothing going wrong any more, one ending or the other leads to a whole cluster. */
export async function conclude(stage: Stage, first: FlipGoal): Promise<void> {
  const { world } = stage;
  world.mend();
  world.advance(10_000);
  const goals: FlipGoal[] = first === "resume" ? ["resume", "abort"] : ["abort", "resume"];
  // A refusal may say that only the host with the journal can go on: both hosts try both goals.
  for (let turn = 0; turn < 8; turn += 1) {
    const host = turn % 4 < 2 ? "b" : "a";
    const { how } = await stage.command(goals[turn % 2] ?? "resume", host, noFaults);
    world.advance(10_000);
    if (how.startsWith("refused: no unfinished") && flows(world)) break;
  }
  if (!world.grafted) checkWhole(world);
}

/** One member takes writes, unarmed; the other follows it. */
export function checkWhole(world: World): void {
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
