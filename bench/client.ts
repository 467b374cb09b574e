/**
 * The connector: how soon a pool follows a flip, counted from the first moment at which the new
 * primary takes a write, and what it costs beside plain pg in calm weather.
 * usage: bin/with-node ../bench/client.ts [FLIPS] [follow] [cost]
 */
import { machine, median } from "./figures.ts";
import { measureCost } from "./client-cost.ts";
import { measureFlips } from "./client-flips.ts";
import type { FlipFigures } from "./client-flips.ts";

const [first = "", ...others] = process.argv.slice(2);
const flips = /^[0-9]+$/.test(first) ? Number(first) : 7;
const words = /^[0-9]+$/.test(first) ? others : [first, ...others].filter(Boolean);
const controller = new AbortController();
process.once("SIGINT", () => controller.abort(new Error("interrupted")));
const { signal } = controller;
const print = (line: string): void => void process.stdout.write(`${line}\n`);

function spread(values: readonly number[], digits = 0): string {
  const [least, middle, most] = [Math.min(...values), median(values), Math.max(...values)];
  return `${middle.toFixed(digits)} (${least.toFixed(digits)} to ${most.toFixed(digits)})`;
}

function describe(all: readonly FlipFigures[]): void {
  const sum = (pick: (one: FlipFigures) => number): number =>
    all.reduce((total, one) => total + pick(one), 0);
  print(
    `  the last of 20 clients, ms: ${spread(all.map((one) => Math.max(...one.followMs)))}   (must 300)`,
  );
  print(`  the middle one, ms: ${spread(all.map((one) => median(one.followMs)))}`);
  print(`  the first, ms: ${spread(all.map((one) => Math.min(...one.followMs)))}`);
  print(
    `  the last in each flip, ms: ${all.map((one) => Math.round(Math.max(...one.followMs))).join(", ")}`,
  );
  print(
    `  the last client has a session after, ms: ${spread(all.map((one) => Math.max(...one.sessionMs)))}`,
  );
  print(
    `  the slowest first insert, ms: ${spread(all.map((one) => Math.max(...one.insertMs)))}   (in each flip: ${all.map((one) => Math.round(Math.max(...one.insertMs))).join(", ")})`,
  );
  print(
    `  last write on the old primary to the first moment on the new one, ms: ${spread(all.map((one) => one.outageMs))}`,
  );
  print(
    `  over all flips: ${sum((one) => one.acknowledged)} rows acknowledged, ${sum((one) => one.failed)} statements failed, ${sum((one) => one.lost)} rows lost, ${sum((one) => one.doubled)} doubled`,
  );
}

print(`machine: ${machine()}`);
if (words.length === 0 || words.includes("follow")) {
  print(
    "method: a lab of processes with names; a pool of 20 on <lab>.temps.local (both members, asked of the lab's resolver) with target_session_attrs=read-write, each client under 50 autocommit inserts a second; `bin/recovery LAB flip-db --mode fast` there and back; a witness tries a write on the new primary each millisecond, and the moment at which the first accepted one was sent is 0; median (min to max)",
  );
  print("\nfollows a fast flip");
  describe(await measureFlips(flips, signal));
}
if (words.length === 0 || words.includes("cost")) {
  print("\nbeside plain pg, one primary, in turns; ours / plain, medians of the rounds");
  for (const { what, ours, plain, unit, ratio } of await measureCost(signal)) {
    print(
      `  ${what}: ${ours.toFixed(2)} ${unit} against ${plain.toFixed(2)}, ratio ${ratio.toFixed(2)}`,
    );
  }
}
