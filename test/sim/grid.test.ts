/**
 * Each step of a flip, killed or interrupted before, during and after it, with each ending. A part
 * is drawn by default; SWITCHYARD_TEST_FULL=1 tries all, SWITCHYARD_TEST_SEED another draw.
 */
import t from "tap";
import { wholeSteps } from "../../router/flip-db/plan/plan-steps.ts";
import { allCells, dieAndEnd, endings, interrupt } from "./grid.ts";
import { chanceOf } from "./random.ts";
import { tellCutOff, tellLateStop, tellPendingPromotion, tellSilence } from "./scripted.ts";

const { SWITCHYARD_TEST_FULL: full, SWITCHYARD_TEST_SEED: text } = process.env;
const seed = Number(text ?? 1);
const chance = chanceOf(seed);
const share = full === "1" ? 1 : 0.4;
const cells = allCells();

t.test("every step that acts is in the grid", (t) => {
  const inGrid = new Set(cells.map((one) => one.step));
  for (const synchronous of ["none", "wait", "relax"] as const) {
    for (const step of wholeSteps({ mode: "seamless", synchronous, cause: "planned" })) {
      if (["await-end", "await-end-briefly", "relax", "settle"].includes(step)) continue;
      t.ok(inGrid.has(step), step);
    }
  }
  t.end();
});

t.test(`the executor dies anywhere, seed ${seed}`, async (t) => {
  let told = 0;
  for (const cell of cells) {
    for (const ending of endings) {
      if (!chance.hit(share)) continue;
      told += 1;
      const wrong = await dieAndEnd(cell, ending, seed + told);
      if (wrong.length > 0)
        t.fail(`${cell.name}; ${ending.goal} on ${ending.host}: ${wrong.join("; ")}`);
    }
  }
  t.ok(told > cells.length * share, `${told} of ${cells.length * endings.length}`);
});

t.test("Ctrl-C anywhere takes it back until the promotion is sent, and not after", async (t) => {
  for (const cell of cells) {
    const wrong = await interrupt(cell, seed);
    if (wrong.length > 0) t.fail(`${cell.name}: ${wrong.join("; ")}`);
  }
  t.pass(`${cells.length} interruptions`);
});

t.test("an abort while a promotion is pending never gives two primaries", async (t) => {
  const endings = new Map<string, number>();
  for (let told = seed; told < seed + (full === "1" ? 2000 : 100); told += 1) {
    const { violations, results } = await tellPendingPromotion(told);
    const ending = results.at(-1) ?? "";
    endings.set(ending, (endings.get(ending) ?? 0) + 1);
    if (violations.length > 0) t.fail(`seed ${told}: ${violations.join("; ")}`);
  }
  t.ok((endings.get("abort: undone") ?? 0) > 0, "some are aborted in time");
  t.ok((endings.get("resume: done") ?? 0) > 0, "some come too late");
});

t.test("who wakes up after another took the flip back stops nothing", async (t) => {
  for (let told = seed; told < seed + 20; told += 1) {
    const { violations } = await tellLateStop(told);
    if (violations.length > 0) t.fail(`seed ${told}: ${violations.join("; ")}`);
  }
  t.pass("20 late stops");
});

t.test("an app host that is cut off and let go does not hold the flip up", async (t) => {
  const endings = new Map<string, number>();
  for (let told = seed; told < seed + (full === "1" ? 2000 : 100); told += 1) {
    const { violations, results } = await tellCutOff(told);
    const ending = results.at(-1) ?? "";
    endings.set(ending, (endings.get(ending) ?? 0) + 1);
    if (violations.length > 0) t.fail(`seed ${told}: ${violations.join("; ")}`);
  }
  for (const ending of ["flip: done", "resume: done", "abort: undone"]) {
    t.ok((endings.get(ending) ?? 0) > 0, `some end with ${ending}`);
  }
});

const silences = [
  { act: "recordIntent", what: "hide old" },
  { act: "checkpoint", what: "hide standby" },
  { act: "createSlot", what: "hide old" },
  { act: "warmChannels", what: "hide old" },
  // Here clients wait: not as long.
  { act: "holdClients", what: "hide old", forMs: 1500 },
  { act: "divertFrom", what: "hide old", forMs: 1500 },
  { act: "verifyWrite", what: "hide standby" },
  { act: "reconnectPooler", what: "hide standby" },
  { act: "sweepSessions", what: "hide standby" },
] as const;

t.test("a silence of a moment ends no flip where giving up would gain nothing", async (t) => {
  for (const [index, one] of silences.entries()) {
    const { violations } = await tellSilence(seed + index, one);
    t.same(violations, [], `${one.what} after ${one.act}`);
  }
});
