/** The simulator notices every broken planner and step table of the list, each for its own reason. */
import t from "tap";
import { mutants } from "./mutants.ts";
import { tell } from "./scenario.ts";

/** Far more than any mutant has needed so far. */
const patience = 1500;

for (const { name, machine, reason, story = tell, firstSeed = 1 } of mutants) {
  t.test(name, async (t) => {
    let caught: string | undefined;
    for (let seed = firstSeed; seed < firstSeed + patience && caught === undefined; seed += 1) {
      const { violations } = await story(seed, machine());
      const own = violations.find((one) => reason.test(one));
      if (own !== undefined) caught = `seed ${seed}: ${own}`;
    }
    t.ok(caught !== undefined, `caught within ${patience} seeds`);
    if (caught !== undefined) t.comment(caught);
  });
}
