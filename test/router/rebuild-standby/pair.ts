/** A lab whose two members are broken and rebuilt: the command line of the tool, and the breaking. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Test } from "tap";
import { inCheckout } from "../../../kit/checkout.ts";
import { runChild } from "../../../kit/child.ts";
import type { ChildResult } from "../../../kit/child.ts";
import { eventually } from "../../../kit/clock.ts";
import type { DriverKind } from "../../../lab/addresses.ts";
import { signalEach } from "../../support/kill-process.ts";
import { withLab } from "../../support/lab.ts";
import type { TestLab } from "../../support/lab.ts";

export const soon = { deadlineMs: 30_000, intervalMs: 50 };

/** Of one run of the tool. */
const deadlineMs = 60_000;

export interface Report {
  readonly result: string;
  readonly method: string;
  readonly thrownAway: { readonly transactions: number } | null;
  readonly problems: readonly unknown[];
}

export interface Pair {
  readonly lab: TestLab;
  /** Where the tool keeps its journals. */
  readonly stateHome: string;
}

/** A lab of its own, whose table `counted` has one row. */
export async function withPair(t: Test, driver: DriverKind = "process"): Promise<Pair> {
  const lab = await withLab(t, { driver });
  const pair = { lab, stateHome: t.testdir({}) };
  await sql(pair, "dal-01", "CREATE TABLE counted (id int); INSERT INTO counted VALUES (1)");
  return pair;
}

/** Runs statements as the superuser on a member, in the app's database. */
export async function sql(
  { lab }: Pair,
  member: string,
  text: string,
): Promise<Record<string, unknown>[]> {
  const address = lab.json.members.find((one) => one.name === member)?.postgres;
  if (address === undefined) throw new TypeError(`the lab has no ${member}`);
  const client = lab.client(address, { as: "superuser" });
  await client.connect();
  try {
    const result = await client.query<Record<string, unknown>>(text);
    return (Array.isArray(result) ? (result.at(-1) as typeof result) : result).rows;
  } finally {
    await client.end();
  }
}

function words({ lab }: Pair, given: readonly string[]): string[] {
  return [inCheckout("bin/commands/recovery.ts"), lab.name, "rebuild-standby", ...given];
}

function environmentOf({ stateHome }: Pair): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "", XDG_STATE_HOME: stateHome };
}

/** Runs `recovery LAB rebuild-standby` to its end, whatever it says. */
export async function rebuild(pair: Pair, ...given: readonly string[]): Promise<ChildResult> {
  return await runChild(process.execPath, words(pair, given), {
    // What is done to a container's volume costs a container each time.
    deadlineMs: pair.lab.model.driver === "docker" ? 3 * deadlineMs : deadlineMs,
    accept: [0, 1, 3, 4, 64, 69, 75],
    env: environmentOf(pair),
  });
}

/** The report of a run with --json. */
export function reportOf({ stdout, stderr }: Pick<ChildResult, "stdout" | "stderr">): Report {
  const line = stdout.trimEnd().split("\n").at(-1) ?? "";
  if (!line.includes('"event":"report"')) throw new Error(`no report: ${line} ${stderr}`);
  return JSON.parse(line) as Report;
}

/** Starts it and sends `signal` as soon as `step` has begun. @returns its exit code */
export async function interrupt(
  pair: Pair,
  signal: NodeJS.Signals,
  step: string,
  ...given: readonly string[]
): Promise<number | null> {
  const words = ["--json", "-y", ...given];
  return (await atStep(pair, step, words, (child) => child.kill(signal))).code;
}

/** Starts it and does `act` as soon as `step` has begun. @returns how it ended, and its last line */
export async function atStep(
  pair: Pair,
  step: string,
  given: readonly string[],
  act: (child: ChildProcess) => unknown,
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, words(pair, given), {
    stdio: ["ignore", "pipe", "ignore"],
    env: environmentOf(pair),
    timeout: deadlineMs,
    killSignal: "SIGKILL",
  });
  const ended = once(child, "exit") as Promise<[number | null, string | null]>;
  let seen = false;
  let stdout = "";
  for await (const line of createInterface({ input: child.stdout })) {
    stdout = line;
    const { event, step: named, phase } = JSON.parse(line) as Record<string, unknown>;
    if (seen || event !== "step" || named !== step || phase !== "start") continue;
    seen = true;
    await act(child);
  }
  const [code] = await ended;
  if (!seen) throw new Error(`${step} never began: ${stdout}`);
  return { code, stdout, stderr: "" };
}

/** The data directory of a member. */
export function dataOf({ lab }: Pair, member: string): string {
  return join(lab.part(`${member}/postgres`).folder, "data");
}

/** The names of a rebuild's directories beside the data directory. */
export async function beside(pair: Pair, member: string): Promise<string[]> {
  const data = dataOf(pair, member);
  const names = await readdir(dirname(data));
  return names.filter((name) => name.startsWith(`${basename(data)}.`)).toSorted();
}

/** Leaves `member` behind: the other one is promoted and has `rows` of it only from before. */
export async function diverge(pair: Pair, member: string, rows: number): Promise<string> {
  const { lab } = pair;
  const other = member === "dal-01" ? "chi-02" : "dal-01";
  await lab.run("stop", `${other}/postgres`);
  for (let id = 0; id < rows; id += 1) {
    await sql(pair, member, `INSERT INTO counted VALUES (${1000 + id})`);
  }
  await lab.run("kill", `${member}/postgres`);
  await lab.run("start", `${other}/postgres`);
  await promote(pair, other);
  return other;
}

/** Freezes processes of `member` of those types. @returns what thaws them, if they are still there */
export async function freeze(
  t: Test,
  pair: Pair,
  member: string,
  ...types: readonly string[]
): Promise<() => void> {
  const names = types.map((type) => `'${type}'`).join(", ");
  const text = `SELECT pid FROM pg_stat_activity WHERE backend_type IN (${names})`;
  const pids = (await sql(pair, member, text)).map(({ pid }) => Number(pid));
  const thaw = (): void => signalEach(pids, "SIGCONT");
  t.teardown(thaw);
  signalEach(pids, "SIGSTOP");
  return thaw;
}

/** Promotes a member and lets it write a row. */
export async function promote(pair: Pair, member: string): Promise<void> {
  await sql(pair, member, "SELECT pg_promote()");
  await sql(pair, member, "INSERT INTO counted VALUES (2)");
}

/** Waits until `standby` has all rows of `primary`, and compares how it follows. */
export async function proveFollows(t: Test, pair: Pair, standby: string): Promise<void> {
  const primary = standby === "dal-01" ? "chi-02" : "dal-01";
  const count = "SELECT count(*)::int AS rows, pg_is_in_recovery() AS standby FROM counted";
  const [there] = await sql(pair, primary, count);
  await eventually(`${standby} has all rows`, soon, async () => {
    const [here] = await sql(pair, standby, count);
    return here?.["rows"] === there?.["rows"] && here?.["standby"] === true ? true : undefined;
  });
  // It may have had all rows before it has connected.
  const slots = await eventually(`${standby} streams by a slot`, soon, async () => {
    const text = "SELECT slot_name, active FROM pg_replication_slots";
    const found = await sql(pair, primary, text);
    return found.some((one) => one["active"] === true) ? found : undefined;
  });
  t.strictSame(slots, [{ slot_name: standby.replace("-", "_"), active: true }]);
  const own = await sql(
    pair,
    standby,
    "SELECT slot_name, restart_lsn IS NOT NULL AS keeps FROM pg_replication_slots",
  );
  t.strictSame(own, [{ slot_name: primary.replace("-", "_"), keeps: false }]);
}
