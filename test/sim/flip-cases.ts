/**
 * The flip over the simulated cluster: many seeds, each a story of faults, deaths, resumes and
 * aborts. SWITCHYARD_TEST_SEED tells one story again, with all that happened in it.
 */
import t from "tap";
import type { Test } from "tap";
import { tellLoss } from "./failover.ts";
import { tell } from "./scenario.ts";
import type { Story } from "./stage.ts";

const { SWITCHYARD_TEST_SEED: only, SWITCHYARD_TEST_FULL: full } = process.env;
const first = Number(only ?? 1);

async function tellAll(
  t: Test,
  story: (seed: number) => Promise<Story>,
  count: number,
): Promise<Map<string, number>> {
  const results = new Map<string, number>();
  for (let seed = first; seed < first + count; seed += 1) {
    const told = await story(seed);
    for (const one of told.results) results.set(one, (results.get(one) ?? 0) + 1);
    if (only !== undefined) t.comment(told.trace.join("\n"));
    if (told.violations.length === 0) continue;
    t.fail(`SWITCHYARD_TEST_SEED=${seed}: ${told.violations.join("; ")}`);
  }
  t.comment([...results].map(([how, times]) => `${how} ${times}`).join(", "));
  return results;
}

function checkEndings(t: Test, results: Map<string, number>, endings: readonly string[]): void {
  if (only !== undefined) return;
  for (const ending of endings) t.ok((results.get(ending) ?? 0) > 0, `some end with ${ending}`);
}

const flips = only === undefined ? (full === "1" ? 20_000 : 200) : 1;

t.test(`${flips} planned flips from seed ${first}`, async (t) => {
  const results = await tellAll(t, tell, flips);
  const undone = ["flip: undone", "abort: undone"];
  checkEndings(t, results, ["flip: done", "flip: died", "resume: done", ...undone]);
});

const losses = only === undefined ? (full === "1" ? 5000 : 100) : 1;

t.test(`${losses} unplanned losses from seed ${first}`, async (t) => {
  const results = await tellAll(t, tellLoss, losses);
  checkEndings(t, results, ["failover: refused", "failover: done", "resume: done"]);
});
