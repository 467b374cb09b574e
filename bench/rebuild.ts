/**
 * How fast `bin/recovery ENV rebuild-standby --method basebackup` makes a member's new data, beside a
 * plain pg_basebackup in the same run: both write the same cluster to the same disk, taking turns, and
 * begin with nothing left to be written out. Each pair gives a ratio; the next one has the other order.
 * Ours counts from the first byte until the copy is verified, on the disk and made the member's own
 * (steps copy, verify, prepare); plain is one pg_basebackup with its own sync and manifest.
 * usage: bin/with-node ../bench/rebuild.ts [RUNS]; SWITCHYARD_BENCH_MB=2048 sets the size
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import { inCheckout } from "../kit/checkout.ts";
import { runChild } from "../kit/child.ts";
import { systemClock } from "../kit/clock.ts";
import { partOf } from "../lab/model.ts";
import { labPlace } from "../lab/place.ts";
import { findPrograms } from "../lab/programs.ts";
import { modelOf, requireState } from "../lab/state.ts";
import type { LabSummary } from "../lab/summary.ts";
import { machine, median } from "./figures.ts";

const name = "bench-rebuild";
const runs = Number(process.argv[2] ?? 3);
const megabytes = Number(process.env["SWITCHYARD_BENCH_MB"] ?? 2048);
const must = 0.9;
const hour = 3_600_000;
const steps: readonly string[] = ["copy", "verify", "prepare"];

async function lab(...words: string[]): Promise<string> {
  const all = [...words, "--name", name];
  return (await runChild(join(inCheckout("bin"), "lab"), all, { deadlineMs: 120_000 })).stdout;
}

/** Fills the app's database: a row has about 1 kB that does not compress. */
async function fill({ members, superuser, database }: LabSummary): Promise<void> {
  const address = members[0]?.postgres;
  const client = new Client({ ...superuser, ...address, database });
  client.on("error", () => undefined);
  await client.connect();
  const text =
    "(SELECT string_agg(md5(random()::text || n || k), '') FROM generate_series(1, 30) k)";
  try {
    await client.query("CREATE TABLE ballast (id int, content text)");
    await client.query("ALTER TABLE ballast ALTER content SET STORAGE PLAIN");
    for (let part = 0; part < megabytes; part += 64) {
      const rows = `SELECT n, ${text} FROM generate_series(1, 65536) n`;
      await client.query(`INSERT INTO ballast ${rows}`);
    }
    await client.query("CHECKPOINT");
  } finally {
    await client.end();
  }
}

interface Event {
  readonly event: string;
  readonly step?: string;
  readonly phase?: string;
  readonly ms?: number;
  readonly copied?: { readonly bytes: number };
}

/** What was written before is on the disk: it is nobody's time. */
async function settle(): Promise<void> {
  await runChild("sync", [], { deadlineMs: hour });
}

interface Ours {
  readonly steps: readonly Event[];
  readonly ms: number;
  readonly bytes: number;
}

/** The time of each of the steps, and how much was copied. */
async function ours(): Promise<Ours> {
  await settle();
  const words = [name, "rebuild-standby", "--method", "basebackup", "--yes", "--json"];
  const { stdout } = await runChild(join(inCheckout("bin"), "recovery"), words, {
    deadlineMs: hour,
  });
  const events = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Event);
  const done = events.filter(({ step = "", phase }) => phase === "done" && steps.includes(step));
  const bytes = events.at(-1)?.copied?.bytes ?? 0;
  return { steps: done, ms: done.reduce((sum, { ms = 0 }) => sum + ms, 0), bytes };
}

async function plain(summary: LabSummary): Promise<number> {
  const place = await labPlace();
  const part = partOf(modelOf(place, await requireState(place, name)), "chi-02", "postgres");
  const { postgresFolder } = await findPrograms();
  const folder = join(part.folder, "plain");
  const { host = "", port = 0 } = summary.members[0]?.postgres ?? {};
  const { user, password } = summary.superuser;
  const words = ["-D", folder, "-h", host, "-p", String(port), "-U", user];
  await settle();
  const began = systemClock.monotonic();
  await runChild(join(postgresFolder, "pg_basebackup"), [...words, "-c", "fast", "-X", "stream"], {
    deadlineMs: hour,
    cwd: "/",
    env: { PATH: "/usr/bin:/bin", LC_ALL: "C", PGPASSWORD: password },
    ...(place.privileged ? { uid: place.uid, gid: part.gid } : {}),
  });
  const ms = systemClock.monotonic() - began;
  await rm(folder, { recursive: true });
  return ms;
}

process.stdout.write(`machine: ${machine()}; a lab, ${megabytes} MB, ${runs} runs in turns\n`);
const summary = JSON.parse(await lab("up", "--json")) as LabSummary;
try {
  await fill(summary);
  const ratios: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const before = run % 2 === 0 ? await plain(summary) : null;
    const { steps: done, ms, bytes } = await ours();
    const plainMs = before ?? (await plain(summary));
    ratios.push(plainMs / ms);
    const rate = (time: number): string => `${Math.round(bytes / 1048.576 / time)} MB/s`;
    const times = done.map(({ step = "", ms: one = 0 }) => `${step} ${Math.round(one)} ms`);
    const words = [
      `plain ${Math.round(plainMs)} ms, ${rate(plainMs)}`,
      `ours ${Math.round(ms)} ms, ${rate(ms)} (${times.join(", ")})`,
      `ratio ${(plainMs / ms).toFixed(2)}`,
    ];
    process.stdout.write(`${words.join("; ")}\n`);
  }
  const middle = median(ratios).toFixed(2);
  process.stdout.write(`throughput to plain, median of ${runs}: ${middle} (must ${must})\n`);
} finally {
  await lab("down");
}
