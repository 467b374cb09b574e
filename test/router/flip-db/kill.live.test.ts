/**
 * kill -9 of a flip's executor on a real lab, before, during and after its steps, and both endings,
 * on this host and on another. A sample by default; SWITCHYARD_TEST_FULL=1 takes every step,
 * SWITCHYARD_TEST_SEED draws others.
 */
import t from "tap";
import { chanceOf } from "../../sim/random.ts";
import { allCells, dieAndEnd, fastCells, sampleOf } from "./kill-stage.ts";
import { startProber } from "./kill-prober.ts";
import { handsOn } from "./pitfall-hands.ts";

const { SWITCHYARD_TEST_FULL: full, SWITCHYARD_TEST_SEED: text } = process.env;
const seed = Number(text ?? 1);
const cells = allCells(seed);
const drawn = full === "1" ? [...cells, ...fastCells(seed)] : sampleOf(cells, 4, chanceOf(seed));

const hands = await handsOn(t);
const prober = await startProber(t, hands.lab);

for (const cell of drawn) {
  const { mode, step, moment, delayMs, ending, elsewhere } = cell;
  const where = elsewhere ? "on another host" : "on the same host";
  const when = moment === "during" ? `${delayMs} ms into` : moment;
  t.test(`seed ${seed}, ${mode}: killed ${when} ${step}, then --${ending} ${where}`, async (t) => {
    await dieAndEnd(t, { hands, prober }, cell);
  });
}

t.test("nothing is left unfinished", async (t) => {
  await hands.healthy();
  t.pass("topology finds nothing");
});
