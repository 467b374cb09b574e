/**
 * kill -9 of a flip's executor on a lab of containers: before the stop, after it, and after the
 * promotion. Endings and hosts are drawn (SWITCHYARD_TEST_SEED draws others), each ending at least
 * once; SWITCHYARD_TEST_FULL=1 takes both at every place.
 */
import t from "tap";
import { startProber } from "../router/flip-db/kill-prober.ts";
import { dieAndEnd } from "../router/flip-db/kill-stage.ts";
import type { Cell } from "../router/flip-db/kill-stage.ts";
import { handsOn } from "../router/flip-db/pitfall-hands.ts";
import { chanceOf } from "../sim/random.ts";
import { engineHere } from "../support/containers.ts";

const { SWITCHYARD_TEST_FULL: full, SWITCHYARD_TEST_SEED: text } = process.env;
const seed = Number(text ?? 1);
const chance = chanceOf(seed);

const places = [
  { step: "divert", moment: "after" },
  { step: "stop", moment: "after" },
  { step: "promote", moment: "after" },
] as const;
const endings = ["resume", "abort"] as const;

function drawn(): Cell[] {
  const turn = chance.between(0, 1);
  return places.flatMap(({ step, moment }, index) =>
    endings
      .filter((_, at) => full === "1" || at === (turn + index) % endings.length)
      .map((ending) => ({
        ...({ mode: "seamless", delayMs: 0 } as const),
        ...{ step, moment, ending, elsewhere: chance.between(0, 1) === 1 },
      })),
  );
}

const engine = await engineHere();
const skip = typeof engine === "string" ? engine : false;
if (typeof engine !== "string") engine.close();

t.test("killed executors on a lab of containers", { skip }, async (t) => {
  const hands = await handsOn(t, { driver: "docker" });
  const prober = await startProber(t, hands.lab);
  for (const cell of drawn()) {
    const where = cell.elsewhere ? "on another host" : "on the same host";
    const name = `seed ${seed}: killed ${cell.moment} ${cell.step}, then --${cell.ending} ${where}`;
    await t.test(name, (t) => dieAndEnd(t, { hands, prober }, cell));
  }
  await hands.healthy();
  t.pass("topology finds nothing");
});
