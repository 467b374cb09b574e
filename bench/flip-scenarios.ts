/** How a flip is measured: which clusters, which ways of moving the writes, and one measured run. */
import { inCheckout } from "../kit/checkout.ts";
import { runChild } from "../kit/child.ts";
import { systemClock } from "../kit/clock.ts";
import { changePrimary } from "../lab/change-primary.ts";
import { superuserLogin, withClient } from "../lab/connect.ts";
import { readSecrets } from "../lab/secrets.ts";
import { labFolder } from "../lab/state.ts";
import type { LabPlace } from "../lab/place.ts";
import type { LabSummary } from "../lab/summary.ts";
import type { UpRequest } from "../lab/up.ts";
import { verifyWorkload, Workload } from "../lab/workload.ts";

export interface Scenario {
  readonly name: string;
  readonly lab: Partial<Omit<UpRequest, "name">>;
  /** How the writes are moved: by flip-db in a mode, or by stop, promote and waiting. */
  readonly way: "seamless" | "fast" | "textbook";
  /** Whether there is an app that writes. */
  readonly load: boolean;
  /** Megabytes of buffers that are dirtied before each run. */
  readonly dirtyMb: number;
  readonly must: Readonly<Partial<Record<Figure, number>>>;
  readonly aim: Readonly<Partial<Record<Figure, number>>>;
  /** Where the members stand in containers. */
  readonly mustOnDocker?: Readonly<Partial<Record<Figure, number>>>;
}

export type Figure = "gapMs" | "stallMs" | "failedPerConnection" | "wholeMs" | "rejoinMs";

export interface Run {
  readonly figures: Readonly<Record<Figure, number>>;
  readonly acknowledged: number;
  readonly failed: number;
  readonly failedConnects: number;
  readonly lost: number;
  readonly doubled: number;
  readonly steps: ReadonlyMap<string, number>;
}

export const connections = 8;
export const rate = 200;
const settleMs = 1500;
const deadlineMs = 120_000;

const loaded = { load: true, dirtyMb: 0, must: {}, aim: {} } as const;

export const scenarios: readonly Scenario[] = [
  {
    ...loaded,
    name: "seamless",
    lab: {},
    way: "seamless",
    must: { gapMs: 150, stallMs: 300, failedPerConnection: 0, rejoinMs: 3000 },
    mustOnDocker: { gapMs: 225 },
    aim: { gapMs: 80, stallMs: 120, failedPerConnection: 0, rejoinMs: 1000 },
  },
  {
    ...loaded,
    name: "fast",
    lab: { pooling: "session" },
    way: "fast",
    must: { gapMs: 200, stallMs: 1000, failedPerConnection: 1 },
    aim: { gapMs: 120, stallMs: 300, failedPerConnection: 1 },
  },
  { ...loaded, name: "textbook, through the edge pooler", lab: {}, way: "textbook" },
  {
    ...loaded,
    name: "seamless, 640 MB of dirty buffers",
    lab: { sharedBuffers: "1GB" },
    way: "seamless",
    dirtyMb: 640,
    must: { gapMs: 450 },
    aim: { gapMs: 200 },
  },
  {
    ...loaded,
    name: "seamless, archive_command takes 1 s",
    lab: { archiveCommand: "sleep 1" },
    way: "seamless",
    must: { gapMs: 200 },
    aim: { gapMs: 100 },
  },
  {
    name: "the whole command, no load",
    lab: {},
    way: "seamless",
    load: false,
    dirtyMb: 0,
    must: { wholeMs: 4000 },
    aim: { wholeMs: 2000 },
  },
];

/** One change of primary in `lab`, measured. `index` numbers the table that it writes. */
export async function measure(
  scenario: Scenario,
  place: LabPlace,
  lab: LabSummary,
  index: number,
  signal: AbortSignal,
): Promise<Run> {
  if (scenario.dirtyMb > 0) await dirty(place, lab, scenario.dirtyMb);
  const login = { user: lab.user, password: lab.password, database: lab.database };
  // A fast flip is for those whom no edge pooler holds.
  const address = scenario.way === "fast" ? lab.write : lab.edge;
  const table = `run_${index}`;
  const request = { address, login, table, connections, rate };
  const workload = scenario.load ? await Workload.start(request) : undefined;
  try {
    // At a random moment of HAProxy's check interval.
    await systemClock.sleep(settleMs + Math.random() * 1000, signal);
    const { to, steps, wholeMs } = await move(scenario, place, lab, signal);
    await systemClock.sleep(settleMs, signal);
    const report = await workload?.stop();
    const node = lab.members.find((one) => one.name === to)?.postgres;
    if (node === undefined) throw new TypeError(`${to} is no member`);
    const found =
      report === undefined ? undefined : await verifyWorkload(node, login, table, report);
    return {
      figures: {
        gapMs: report?.longestGapMs ?? 0,
        stallMs: report?.longestStallMs ?? 0,
        failedPerConnection: Math.ceil((report?.failedIds.length ?? 0) / connections),
        wholeMs,
        rejoinMs: steps.get("rejoin") ?? 0,
      },
      acknowledged: report?.acknowledgedIds.length ?? 0,
      failed: report?.failedIds.length ?? 0,
      failedConnects: report?.failedConnects ?? 0,
      lost: found?.missing.length ?? 0,
      doubled: found?.doubled.length ?? 0,
      steps,
    };
  } finally {
    await workload?.abandon();
  }
}

interface Move {
  readonly to: string;
  readonly steps: ReadonlyMap<string, number>;
  readonly wholeMs: number;
}

async function move(
  { way }: Scenario,
  place: LabPlace,
  lab: LabSummary,
  signal: AbortSignal,
): Promise<Move> {
  const begin = systemClock.monotonic();
  const took = (): number => systemClock.monotonic() - begin;
  if (way === "textbook") {
    const options = { note: () => undefined, signal };
    const { to, steps } = await changePrimary(place, lab.environment, options);
    return { to, steps: new Map(steps.map(({ step, ms }) => [step, ms])), wholeMs: took() };
  }
  const words = [lab.environment, "flip-db", "--yes", "--json", "--mode", way];
  const { stdout } = await runChild(inCheckout("bin/recovery"), words, {
    deadlineMs,
    signal,
  });
  const wholeMs = took();
  const lines = stdout.trim().split("\n");
  const report = JSON.parse(lines.at(-1) ?? "{}") as {
    to: string;
    steps: { step: string; ms: number }[];
  };
  return { to: report.to, steps: new Map(report.steps.map(({ step, ms }) => [step, ms])), wholeMs };
}

/** Writes `megabytes` of a table anew, so that as many buffers are dirty. */
async function dirty(place: LabPlace, lab: LabSummary, megabytes: number): Promise<void> {
  const login = superuserLogin(await readSecrets(labFolder(place, lab.environment)));
  for (const { postgres } of lab.members) {
    await withClient(postgres, login, deadlineMs, async (client) => {
      const { rows } = await client.query<{ standby: boolean }>(
        "SELECT pg_is_in_recovery() AS standby",
      );
      if (rows[0]?.standby !== false) return;
      await client.query("CREATE TABLE IF NOT EXISTS dirt (filler text)");
      await client.query("TRUNCATE dirt");
      await client.query("CHECKPOINT");
      // 8 kB a row with its page, so that a row is a buffer.
      await client.query("ALTER TABLE dirt ALTER filler SET STORAGE PLAIN");
      const pages = megabytes * 128;
      await client.query(
        `INSERT INTO dirt SELECT repeat('x', 8000) FROM generate_series(1, ${pages})`,
      );
    });
  }
}
