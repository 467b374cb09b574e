/** Stories that chance would tell too rarely. */
import { flipMachine } from "../../router/flip-db/flip.ts";
import type { FlipMachine } from "../../router/flip-db/flip.ts";
import { checkWhole } from "./ending.ts";
import { noFaults } from "./faults.ts";
import type { Faults, Moment, Strike } from "./faults.ts";
import { chanceOf } from "./random.ts";
import { Stage } from "./stage.ts";
import type { StageOptions, Story } from "./stage.ts";
import { gateTtlMs } from "./world.ts";

const plain: StageOptions = {
  mode: "seamless",
  policies: ["never", "never"],
  delayMs: 10,
  slowPromotion: false,
  synchronous: "none",
};

const diesAt = (act: string, moment: Moment): Faults => ({
  ...noFaults,
  strikes: [{ act, moment, what: "die" }],
});

/**
 * One host has it in its journal that the proof was had. Another takes the flip back and dies just
 * before it can say so; then the first one resumes.
 */
export async function tellJournalAgainstWorld(
  seed: number,
  machine: FlipMachine = flipMachine,
): Promise<Story> {
  const stage = new Stage(chanceOf(seed), plain, machine);
  stage.world.advance(500);
  await stage.command("flip", "a", diesAt("started promote", "after"));
  await stage.command("abort", "b", diesAt("recordOutcome", "before"));
  stage.world.advance(stage.chance.between(100, 5000));
  await stage.command("resume", "a", noFaults);
  stage.world.advance(10_000);
  checkWhole(stage.world);
  return stage.story(seed);
}

/** A slow restore_command holds the promotion up; the tool dies, and somebody aborts. */
export async function tellPendingPromotion(
  seed: number,
  machine: FlipMachine = flipMachine,
): Promise<Story> {
  const chance = chanceOf(seed);
  const stage = new Stage(chance, { ...plain, slowPromotion: true }, machine);
  stage.world.advance(500);
  await stage.command("flip", "a", diesAt("promote", chance.pick(["during", "after"])));
  stage.world.advance(chance.between(1, 20_000));
  const host = chance.pick(["a", "b"]);
  const { how } = await stage.command("abort", host, noFaults);
  const isTooLate = how.includes("has been promoted") || how.includes("was promoted");
  if (isTooLate) await stage.command("resume", host, noFaults);
  else if (how !== "undone") stage.world.violate(`abort: ${how}`);
  stage.world.advance(40_000);
  checkWhole(stage.world);
  return stage.story(seed);
}

/**
 * The tool is frozen right before it stops the old primary; meanwhile another takes the flip back,
 * and clients write; then the first one wakes up.
 */
export async function tellLateStop(
  seed: number,
  machine: FlipMachine = flipMachine,
): Promise<Story> {
  const stage = new Stage(chanceOf(seed), plain, machine);
  const { world } = stage;
  world.advance(500);
  const strikes = [{ act: "stopOld", moment: "before", what: "freeze" }] as const;
  await stage.command("flip", "a", { ...noFaults, strikes });
  const [first] = stage.results;
  if (first === "abort: undone" && world.member("dal-01").starts > 1) {
    world.violate("dal-01 was stopped after the flip was taken back");
  }
  await stage.command("resume", "a", noFaults);
  world.advance(10_000);
  checkWhole(world);
  return stage.story(seed);
}

/**
 * One app host is cut off from the beginning to the end, and the operator lets it go: the flip goes
 * on without it, is killed or not, and is ended here or on another host.
 */
export async function tellCutOff(seed: number, machine: FlipMachine = flipMachine): Promise<Story> {
  const chance = chanceOf(seed);
  const unseen = "app-02";
  const stage = new Stage(chance, { ...plain, mode: chance.pick(["seamless", "fast"]) }, machine);
  const { world } = stage;
  world.advance(500);
  const refused = await stage.command("flip", "a", { ...noFaults, unseen });
  if (!/--accept-risk=routers/.test(refused.how)) world.violate(`not refused: ${refused.how}`);
  const acceptedRisks = ["routers", "edge-poolers"];
  const act = chance.pick(["arm", "divertFrom", "stopOld", "promote", "route", "recordOutcome"]);
  const dies = chance.hit(0.7);
  const faults = dies ? diesAt(act, chance.pick(["before", "after"])) : noFaults;
  const { how } = await stage.command("flip", "a", { ...faults, unseen }, { acceptedRisks });
  if (how !== (dies ? "died" : "done")) world.violate(`the flip: ${how}`);
  world.advance(gateTtlMs + chance.between(10, 12_000));
  if (dies) await endWithout(stage, unseen);
  world.advance(10_000);
  checkWhole(world);
  return stage.story(seed);
}

/** After `act` a member does not answer for a while, and then it does as before. */
export async function tellSilence(
  seed: number,
  strike: Pick<Strike, "act" | "what" | "forMs">,
): Promise<Story> {
  const stage = new Stage(chanceOf(seed), plain, flipMachine);
  stage.world.advance(500);
  const strikes = [{ forMs: 3000, moment: "after", ...strike }] as const;
  const { how } = await stage.command("flip", "a", { ...noFaults, strikes });
  if (how !== "done") stage.world.violate(`the flip: ${how}`);
  const struck = `${strike.what} after ${strike.act}`;
  if (!stage.world.trace.some((line) => line.endsWith(struck))) stage.world.violate(`no ${struck}`);
  stage.world.advance(10_000);
  checkWhole(stage.world);
  return stage.story(seed);
}

/** One ending, or the other where that one refuses; `unseen` answers nobody. */
async function endWithout(stage: Stage, unseen: string): Promise<void> {
  const { chance, world } = stage;
  const host = chance.pick(["a", "b"]);
  const goals = chance.hit(0.5) ? (["resume", "abort"] as const) : (["abort", "resume"] as const);
  for (const goal of goals) {
    const { how } = await stage.command(goal, host, { ...noFaults, unseen });
    if (how === "done" || how === "undone" || how.includes("no unfinished flip")) return;
    if (!how.startsWith("refused")) world.violate(`${goal} without ${unseen}: ${how}`);
  }
  world.violate(`no ending without ${unseen}`);
}
