/**
 * Flips beside the textbook change of primary, in one go: the longest gap over all connections, the
 * longest stall of one connection, failed statements and connects, lost and doubled rows, the time
 * of the whole command and of every step.
 * usage: bin/with-node ../bench/flip.ts [--driver process|docker] [RUNS] [SCENARIO]
 */
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { superuserLogin, withClient } from "../lab/connect.ts";
import { labDown } from "../lab/down.ts";
import { labPlace } from "../lab/place.ts";
import { readSecrets } from "../lab/secrets.ts";
import { labFolder } from "../lab/state.ts";
import type { LabSummary } from "../lab/summary.ts";
import { labUp, upDefaults } from "../lab/up.ts";
import { machine, median } from "./figures.ts";
import { connections, measure, rate, scenarios } from "./flip-scenarios.ts";
import type { Figure, Run, Scenario } from "./flip-scenarios.ts";

const { positionals, values: flags } = parseArgs({
  allowPositionals: true,
  options: { driver: { type: "string", default: "process" } },
});
const runs = Number(positionals[0] ?? 10);
const wanted = positionals[1] ?? "";
const driver = flags.driver === "docker" ? "docker" : "process";
const controller = new AbortController();
process.once("SIGINT", () => controller.abort(new Error("interrupted")));
const { signal } = controller;
const options = { note: () => undefined, signal };
const place = await labPlace();

const words: Readonly<Record<Figure, string>> = {
  gapMs: "longest gap over all connections, ms",
  stallMs: "longest stall of one connection, ms",
  failedPerConnection: "failed statements per connection",
  rejoinMs: "the old node streams again, ms after its start",
  wholeMs: "the whole command, ms",
};

const print = (line: string): void => void process.stdout.write(`${line}\n`);

print(`machine: ${machine()}; driver of the labs: ${driver}`);
print(
  `method: ${connections} connections, each ${rate} autocommit inserts a second, every acknowledged row looked up on the new primary afterwards; each run is a flip there or back, begun at a random moment of HAProxy's check interval; median (min to max) of ${runs}`,
);
const gaps = new Map<string, number>();
let settings = "";
const named = scenarios.filter((one) => one.name === wanted);
const chosen = named.length > 0 ? named : scenarios.filter((one) => one.name.startsWith(wanted));
for (const scenario of chosen) {
  gaps.set(scenario.way, await bench(scenario));
}
const [textbook, ours] = [gaps.get("textbook"), gaps.get("seamless")];
if (textbook !== undefined && ours !== undefined) {
  print(
    `the textbook change of primary stops writes ${(textbook / ours).toFixed(0)} times as long`,
  );
}
print(`settings of both nodes: ${settings}`);

/** Runs one scenario in a lab of its own. @returns the median of the longest gaps, in ms */
async function bench(scenario: Scenario): Promise<number> {
  const name = `bench-${process.pid}`;
  try {
    const lab = await labUp(place, { ...upDefaults, ...scenario.lab, driver, name }, options);
    // What is measured is the pause; a look before it may take its time on two cores.
    await appendFile(join(place.configFolder, `${name}.yml`), "thresholds:\n  probe: 4s\n");
    settings = await settingsOf(lab);
    const done: Run[] = [];
    while (done.length < runs) done.push(await measure(scenario, place, lab, done.length, signal));
    describe(scenario, done);
    return median(done.map((one) => one.figures.gapMs));
  } finally {
    await labDown(place, name);
  }
}

function describe(scenario: Scenario, done: readonly Run[]): void {
  const { aim } = scenario;
  const must = driver === "docker" ? { ...scenario.must, ...scenario.mustOnDocker } : scenario.must;
  print(`\n${scenario.name}`);
  const figures = Object.keys(words) as Figure[];
  for (const figure of figures) {
    const isIdle = !scenario.load && figure !== "wholeMs" && figure !== "rejoinMs";
    if (isIdle || (scenario.way === "textbook" && figure === "rejoinMs")) continue;
    const goals =
      must[figure] === undefined ? "" : `   (must ${must[figure]}, aim ${aim[figure] ?? "-"})`;
    print(`  ${words[figure]}: ${spread(done.map((one) => one.figures[figure]))}${goals}`);
  }
  const sum = (pick: (run: Run) => number): number => done.reduce((all, one) => all + pick(one), 0);
  if (scenario.load) {
    print(
      `  over all runs: ${sum((one) => one.acknowledged)} rows acknowledged; ${sum((one) => one.failed)} statements and ${sum((one) => one.failedConnects)} connects failed, ${sum((one) => one.lost)} rows lost, ${sum((one) => one.doubled)} doubled`,
    );
  }
  const steps = [...new Set(done.flatMap((one) => [...one.steps.keys()]))];
  print("  steps, ms, medians:");
  for (const step of steps) {
    print(
      `    ${median(done.map((one) => one.steps.get(step) ?? 0))
        .toFixed(1)
        .padStart(8)}  ${step}`,
    );
  }
}

function spread(values: readonly number[]): string {
  const [least, middle, most] = [Math.min(...values), median(values), Math.max(...values)];
  return `${Math.round(middle)} (${Math.round(least)} to ${Math.round(most)})`;
}

/** The settings that make the figures honest, as the primary says them. */
async function settingsOf(lab: LabSummary): Promise<string> {
  const login = superuserLogin(await readSecrets(labFolder(place, lab.environment)));
  const [first] = lab.members;
  if (first === undefined) throw new TypeError("a lab has members");
  return await withClient(first.postgres, login, 5000, async (client) => {
    const { rows } = await client.query<{ name: string; setting: string; unit: string | null }>(
      `SELECT name, setting, unit FROM pg_settings WHERE name IN ('fsync', 'full_page_writes',
       'synchronous_commit', 'data_checksums', 'wal_segment_size', 'shared_buffers',
       'server_version') ORDER BY name`,
    );
    return rows.map(({ name, setting, unit }) => `${name}=${setting}${unit ?? ""}`).join(", ");
  });
}
