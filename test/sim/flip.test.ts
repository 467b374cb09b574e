/**
 * The flip over the simulated cluster: many seeds, each a story of faults, deaths, resumes and
 * aborts. SWITCHYARD_TEST_SEED tells one story again, with all that happened in it.
 */
import t from "tap";
import { tell } from "./scenario.ts";

const { SWITCHYARD_TEST_SEED: only, SWITCHYARD_TEST_FULL: full } = process.env;
const first = Number(only ?? 1);
const count = only === undefined ? (full === "1" ? 20_000 : 200) : 1;

t.test(`${count} stories from seed ${first}`, async (t) => {
  const results = new Map<string, number>();
  for (let seed = first; seed < first + count; seed += 1) {
    const story = await tell(seed);
    for (const one of story.results) results.set(one, (results.get(one) ?? 0) + 1);
    if (only !== undefined) t.comment(story.trace.join("\n"));
    if (story.violations.length === 0) continue;
    t.fail(`SWITCHYARD_TEST_SEED=${seed}: ${story.violations.join("; ")}`);
  }
  t.comment([...results].map(([how, times]) => `${how} ${times}`).join(", "));
  if (only !== undefined) return;
  const endings = ["flip: done", "flip: undone", "flip: died", "resume: done", "abort: undone"];
  for (const ending of endings) t.ok((results.get(ending) ?? 0) > 0, `some end with ${ending}`);
});
