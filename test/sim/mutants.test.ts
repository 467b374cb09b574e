/** The simulator notices every broken planner and step table of the list. */
import t from "tap";
import { mutants } from "./mutants.ts";
import { tell } from "./scenario.ts";

/** Far more than any mutant has needed so far. */
const patience = 1500;

for (const { name, machine, firstSeed = 1 } of mutants) {
  t.test(name, async (t) => {
    let caught: string | undefined;
    for (let seed = firstSeed; seed < firstSeed + patience && caught === undefined; seed += 1) {
      const { violations } = await tell(seed, machine());
      if (violations[0] !== undefined) caught = `seed ${seed}: ${violations[0]}`;
    }
    t.ok(caught !== undefined, `${name} survives ${patience} seeds`);
    if (caught !== undefined) t.comment(caught);
  });
}
