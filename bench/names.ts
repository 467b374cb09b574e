/**
 * Names that follow, measured in parts that can be chosen: from a new primary to its name at three
 * nodes (follow), from a registry's commit to 200 resolvers (crowd), 5,000 idle long polls (polls), a
 * zone of 100,000 records that comes while a resolver is asked (large), and a resolver's memory with
 * 2,000 names (memory). Registry, resolvers and monitor are real processes.
 *
 * usage: bin/with-node ../bench/names.ts [follow|crowd|polls|large|memory …] [RUNS]
 */
import { machine } from "./figures.ts";
import { measureCrowd } from "./names-crowd.ts";
import { measureFollow } from "./names-follow.ts";
import { measurePolls } from "./names-polls.ts";
import { measureLarge, measureMemory } from "./names-resolver.ts";
import { withTeardown } from "./names-rig.ts";
import type { Figure, Teardown } from "./names-rig.ts";

interface Part {
  readonly runs: number;
  readonly measure: (t: Teardown, runs: number) => Promise<Figure[]>;
}

const parts: Readonly<Record<string, Part>> = {
  follow: { runs: 30, measure: measureFollow },
  crowd: { runs: 30, measure: measureCrowd },
  polls: { runs: 5, measure: measurePolls },
  large: { runs: 3, measure: measureLarge },
  memory: { runs: 3, measure: measureMemory },
};

function inWords({ what, value, unit, must, aim, notes }: Figure): string {
  const shown = `${what}: ${value.toFixed(1)} ${unit} (must ${must}, aim ${aim})`;
  return [shown, ...notes.map((note) => `  ${note}`), ""].join("\n");
}

async function bench(words: readonly string[]): Promise<boolean> {
  const count = words.find((word) => /^\d+$/.test(word));
  const named = words.filter((word) => word !== count);
  const chosen = named.length === 0 ? Object.keys(parts) : named;
  process.stdout.write(`machine: ${machine()}\n`);
  let isGood = true;
  for (const name of chosen) {
    const part = parts[name];
    if (part === undefined) throw new Error(`there is no part ${name}`);
    const runs = count === undefined ? part.runs : Number(count);
    const figures = await withTeardown((t) => part.measure(t, runs));
    for (const figure of figures) process.stdout.write(inWords(figure));
    isGood &&= figures.every(({ value, must }) => value <= must);
  }
  return isGood;
}

process.exitCode = (await bench(process.argv.slice(2))) ? 0 : 1;
