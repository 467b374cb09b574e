/**
 * How long `bin/recovery ENV topology --json` takes as an operator waits for it: the whole process,
 * from its start to its end, with all well, with one member frozen and with one cut off. For the
 * last one the tool runs with the group id of a lab host, which the lab's packet rules go by: as
 * if the operator sat on that host. Brings up a lab of its own.
 * usage: bin/with-node ../bench/topology.ts [RUNS]
 */
import { join } from "node:path";
import { inCheckout } from "../kit/checkout.ts";
import { runChild } from "../kit/child.ts";
import { systemClock } from "../kit/clock.ts";
import { partOf } from "../lab/model.ts";
import { labPlace } from "../lab/place.ts";
import { modelOf, requireState } from "../lab/state.ts";
import { machine, median } from "./figures.ts";

const programs = inCheckout("bin");
const name = "bench-topology";
const place = await labPlace();
const runs = Number(process.argv[2] ?? 11);

interface Row {
  readonly what: string;
  readonly mustMs: number;
  readonly aimMs: number;
  readonly exitCode: number;
  readonly gid?: number;
}

async function lab(...words: string[]): Promise<void> {
  await runChild(join(programs, "lab"), [...words, "--name", name], { deadlineMs: 120_000 });
}

async function measure(row: Row): Promise<number[]> {
  const times: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const start = systemClock.monotonic();
    await runChild(join(programs, "recovery"), [name, "topology", "--json"], {
      deadlineMs: 60_000,
      accept: [row.exitCode],
      ...(row.gid === undefined ? {} : { gid: row.gid }),
    });
    times.push(systemClock.monotonic() - start);
  }
  return times.toSorted((left, right) => left - right);
}

function report(row: Row, times: readonly number[]): string {
  const seconds = (ms: number | undefined): string => `${((ms ?? 0) / 1000).toFixed(2)} s`;
  const range = `${seconds(times[0])} to ${seconds(times.at(-1))}`;
  const goal = `must ${seconds(row.mustMs)}, aim ${seconds(row.aimMs)}`;
  return `${row.what}: median ${seconds(median(times))} (${range}, ${times.length} runs; ${goal})`;
}

process.stdout.write(`machine: ${machine()}; a lab with one app host\n`);
await lab("up");
try {
  const well = { what: "all well", mustMs: 800, aimMs: 400, exitCode: 0 };
  process.stdout.write(`${report(well, await measure(well))}\n`);
  const frozen = { what: "one member frozen", mustMs: 2500, aimMs: 1500, exitCode: 1 };
  await lab("freeze", "chi-02");
  process.stdout.write(`${report(frozen, await measure(frozen))}\n`);
  await lab("thaw", "chi-02");
  const { gid } = partOf(modelOf(place, await requireState(place, name)), "app-01", "router");
  const cut = { what: "one member cut off", mustMs: 2500, aimMs: 1500, exitCode: 1, gid };
  await lab("cut", "app-01", "chi-02");
  process.stdout.write(`${report(cut, await measure(cut))}\n`);
} finally {
  await lab("down");
}
