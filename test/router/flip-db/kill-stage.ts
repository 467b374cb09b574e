/**
 * One kill of a flip's executor on a real lab, from a healthy cluster with an app that writes to a
 * healthy cluster with all of its rows.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { inCheckout } from "../../../kit/checkout.ts";
import { eventually, withDeadline } from "../../../kit/clock.ts";
import { lookAtCluster } from "../../../router/cluster/observe.ts";
import { wholeSteps } from "../../../router/flip-db/plan/plan-steps.ts";
import type { KillOrder } from "../../fixtures/kill/executor.ts";
import type { LabApp } from "../../support/flip-run.ts";
import { startRecovery } from "../../support/recovery-process.ts";
import type { RecoveryProcess } from "../../support/recovery-process.ts";
import { chanceOf } from "../../sim/random.ts";
import type { Chance } from "../../sim/random.ts";
import { provesLossless } from "./pitfall-hands.ts";
import type { Hands } from "./pitfall-hands.ts";
import type { Prober } from "./kill-prober.ts";

const soon = { deadlineMs: 30_000, intervalMs: 100 };
const killMs = 60_000;

export interface Cell {
  readonly mode: KillOrder["mode"];
  readonly step: string;
  readonly moment: KillOrder["moment"];
  readonly delayMs: number;
  readonly ending: "resume" | "abort";
  /** From a host that has no journal of the flip. */
  readonly elsewhere: boolean;
}

/** How long the longer acts take: a kill in their middle comes within this. */
const actMs: Readonly<Record<string, number>> = {
  stop: 80,
  promote: 40,
  rejoin: 300,
  checkpoint: 50,
};

const moments = ["before", "during", "after"] as const;

/** Each step once; the moments, the endings and the hosts take turns from where `seed` begins. */
export function allCells(seed: number): Cell[] {
  const chance = chanceOf(seed);
  const turn = chance.between(0, 11);
  return wholeSteps({ mode: "seamless", synchronous: "none", cause: "planned" }).map(
    (step, index) => ({
      mode: "seamless",
      step,
      moment: moments[(turn + index) % moments.length] ?? "during",
      delayMs: chance.between(0, actMs[step] ?? 3),
      ending: (turn + index) % 2 === 0 ? "resume" : "abort",
      elsewhere: Math.floor((turn + index) / 2) % 2 === 0,
    }),
  );
}

/** The crossing once more, where nobody holds the clients. */
export function fastCells(seed: number): Cell[] {
  return allCells(seed)
    .filter(({ step }) => ["divert", "stop", "promote", "route"].includes(step))
    .map((cell) => ({ ...cell, mode: "fast", moment: "during" }));
}

/** `count` of them, with what is delicate among them. */
export function sampleOf(cells: readonly Cell[], count: number, chance: Chance): Cell[] {
  const delicate = cells.filter(({ step }) =>
    ["hold", "stop", "prove", "promote", "route"].includes(step),
  );
  const others = cells.filter((one) => !delicate.includes(one));
  const drawn = (list: readonly Cell[], many: number): Cell[] =>
    list
      .map((cell) => ({ cell, at: chance.next() }))
      .toSorted((left, right) => left.at - right.at)
      .slice(0, many)
      .map(({ cell }) => cell);
  const kept = new Set([
    ...drawn(delicate, Math.ceil(count / 2)),
    ...drawn(others, Math.floor(count / 2)),
  ]);
  return cells.filter((one) => kept.has(one));
}

export interface Stage {
  readonly hands: Hands;
  readonly prober: Prober;
}

let flips = 0;

export interface DoomedFlip {
  readonly operationId: string;
  readonly child: ChildProcess;
  /** What it said so far, line by line. */
  said(): string;
  /** Its exit code and the signal that ended it. */
  readonly ended: Promise<[number | null, string | null]>;
}

/** Starts an executor that sends `signal` to itself at its place. */
export function startDoomed(
  t: Pick<Test, "teardown">,
  { lab, stateHome }: Hands,
  cell: Pick<Cell, "mode" | "step" | "moment" | "delayMs"> & Pick<KillOrder, "signal">,
  acceptedRisks: readonly string[] = [],
): DoomedFlip {
  flips += 1;
  const operationId = `kill-${process.pid}-${flips}`;
  const { mode, step, moment, delayMs, signal } = cell;
  const order: KillOrder = {
    ...{ environment: lab.name, configFolder: lab.configFolder, operationId, mode },
    operations: join(stateHome, "switchyard/operations", lab.name),
    ...{ acceptedRisks, step, moment, delayMs, signal },
  };
  const words = [inCheckout("test/fixtures/kill/executor.ts"), JSON.stringify(order)];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
  t.teardown(() => child.kill("SIGKILL"));
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")));
  }
  const ended = once(child, "close") as Promise<[number | null, string | null]>;
  return { operationId, child, said: () => said, ended };
}

/** Runs the executor to its death. @returns what it said, line by line, and the flip's id */
export async function killedFlip(
  t: Test,
  hands: Hands,
  cell: Pick<Cell, "mode" | "step" | "moment" | "delayMs">,
  acceptedRisks: readonly string[] = [],
): Promise<{ readonly operationId: string; readonly said: string }> {
  const doomed = startDoomed(t, hands, { ...cell, signal: "SIGKILL" }, acceptedRisks);
  const { operationId, ended } = doomed;
  const { step, moment } = cell;
  const [, signal] = await withDeadline(`the flip up to ${step}`, killMs, () => ended);
  const said = doomed.said();
  const lines = said.trim().split("\n");
  const isThere = lines.some((line) => line.startsWith(`${step} `));
  t.ok(signal === "SIGKILL" && isThere, `killed ${moment} ${step}, at ${lines.at(-1)}`);
  return { operationId, said };
}

/** One command as an operator gives it; who finds the dead executor's lock waits for its end. */
async function command(
  t: Test,
  { lab, stateHome }: Hands,
  elsewhere: boolean,
  words: readonly string[],
): Promise<{ readonly code: number | null; readonly run: RecoveryProcess }> {
  const home = elsewhere ? await mkdtemp(join(tmpdir(), "switchyard-elsewhere-")) : stateHome;
  if (elsewhere) t.teardown(() => rm(home, { recursive: true, force: true }));
  return await eventually(words.join(" "), { ...soon, deadlineMs: 120_000 }, async () => {
    const run = startRecovery(t, [lab.name, ...words, "--yes", "--json"], { stateHome: home });
    const code = await run.end();
    return code === 75 ? undefined : { code, run };
  });
}

/**
 * Ends a flip by one ending, or by the other where that one refuses or comes too late, and says so.
 * Nothing to end is an end as well.
 * @returns what the command that ended it has said
 */
export async function endFlip(
  t: Test,
  hands: Hands,
  { ending, elsewhere }: Pick<Cell, "ending" | "elsewhere">,
): Promise<string> {
  const first = await command(t, hands, elsewhere, ["flip-db", `--${ending}`]);
  const text = first.run.out() + first.run.notes();
  t.comment(`--${ending}${elsewhere ? " elsewhere" : ""}: ${first.code}`);
  if (first.code === 0 || /no unfinished flip/.test(text)) return text;
  const other = ending === "resume" ? "abort" : "resume";
  t.match(text, new RegExp(`--${other}`), "what cannot be done names the other ending");
  const second = await command(t, hands, elsewhere, ["flip-db", `--${other}`]);
  const says = second.run.out() + second.run.notes();
  t.equal(second.code, 0, `--${other} after ${text}: ${says}`);
  return says;
}

/** Waits until nothing is found wrong, and the app's rows flow. */
export async function isWhole({ lab }: Hands, apps: readonly LabApp[]): Promise<void> {
  await Promise.all(apps.map((app) => app.progress(20)));
  let last: unknown;
  await eventually("a healthy cluster", soon, async () => {
    const { verdict, findings } = await lookAtCluster(lab.environment);
    last = findings.map(({ code, part }) => `${code} ${part}`);
    return verdict.level === "healthy" ? true : undefined;
  }).catch((cause: unknown) => {
    throw new Error(`not healthy: ${String(last)}`, { cause });
  });
}

/** The whole story of one cell. */
export async function dieAndEnd(t: Test, { hands, prober }: Stage, cell: Cell): Promise<void> {
  prober.begin();
  const app = await hands.app(t);
  const { said } = await killedFlip(t, hands, cell);
  // Before the stop writes flow again by themselves, once the leases of the dead have ended.
  if (!/^stop (start|skipped)/m.test(said)) await app.progress(5);
  await endFlip(t, hands, cell);
  await isWhole(hands, [app]);
  await provesLossless(t, app);
  await prober.proves(t);
}
