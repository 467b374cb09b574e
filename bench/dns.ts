/**
 * The resolver beside other DNS servers, in one run: processor time for each query, by 75 % names that
 * are there, 12.5 % without data of the type and 12.5 % that are not there, of 2,000 names; its memory;
 * and how long answers pause while a zone of 100,000 records takes the place of another. Each server
 * stands alone on core 0; dnsperf is on core 1.
 *
 * usage: bin/with-node ../bench/dns.ts [RUNS] [HICKORY_PROGRAM]
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runChild } from "../kit/child.ts";
import { eventually, systemClock } from "../kit/clock.ts";
import { fetchResolverStatus } from "../sidecars/dns-resolver/client.ts";
import { record } from "../test/sidecars/dns-resolver/fake-registry.ts";
import { namesOf, startHickory, startKnot, startOwn, zone } from "./dns-servers.ts";
import type { OwnServer, Server } from "./dns-servers.ts";
import { machine, median } from "./figures.ts";
import { startAsking } from "./dns-pause.ts";

const nameCount = 2000;
const largeCount = 100_000;
const seconds = 5;
const ticksPerSecond = 100;

interface Load {
  readonly microseconds: number;
  readonly perSecond: number;
  readonly lost: number;
}

/** Three of four questions find something; of the rest one half has another type, one no name. */
function questions(): string {
  const names = namesOf(nameCount);
  const lines = Array.from({ length: 16_000 }, (_, index) => {
    const name = `${names[(index * 7919) % nameCount]?.name}.${zone}`;
    if (index % 8 === 3) return `${name} AAAA`;
    return index % 8 === 7 ? `no${index}.${zone} A` : `${name} A`;
  });
  return `${lines.join("\n")}\n`;
}

/** Processor time of a process with all its threads, in seconds. */
async function processorTime(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

async function perf(server: Server, file: string, length: number): Promise<[number, number]> {
  const { host, port } = server.address;
  const words = [
    "-s",
    host,
    "-p",
    String(port),
    "-d",
    file,
    "-l",
    String(length),
    "-c",
    "8",
    "-t",
    "1",
  ];
  const { stdout } = await runChild("taskset", ["-c", "1", "dnsperf", ...words], {
    deadlineMs: (length + 20) * 1000,
  });
  const figure = (label: string): number =>
    Number(new RegExp(`${label}:\\s+(\\d+)`).exec(stdout)?.[1]);
  return [figure("Queries completed"), figure("Queries lost")];
}

async function load(server: Server, file: string): Promise<Load> {
  await perf(server, file, 1);
  const before = await processorTime(server.pid);
  const [completed, lost] = await perf(server, file, seconds);
  const used = (await processorTime(server.pid)) - before;
  return { microseconds: (used / completed) * 1e6, perSecond: completed / seconds, lost };
}

async function withServer<T>(
  starts: () => Promise<Server>,
  work: (server: Server) => Promise<T>,
): Promise<T> {
  const server = await starts();
  try {
    return await work(server);
  } finally {
    await server.stop();
  }
}

async function measureMemory(): Promise<number> {
  const own = await startOwn(nameCount, "batched");
  try {
    await own.registry.acknowledged(1);
    return await own.memory();
  } finally {
    await own.stop();
  }
}

/** Milliseconds of the longest wait for an answer while a large zone comes, and without one. */
async function measurePause(engine: "batched" | "dgram", say: (text: string) => void) {
  const own = await startOwn(nameCount, engine, "0,1");
  try {
    await own.registry.acknowledged(1);
    const asked = { name: `${namesOf(1)[0]?.name}.${zone}`, address: own.address };
    const quiet = startAsking(asked);
    await systemClock.sleep(3000);
    const without = await quiet();
    const during = startAsking(asked);
    await applyLarge(own);
    const pause = await during();
    for (const [when, waits] of [
      ["without", without],
      ["while it comes", pause],
    ] as const) {
      const words = waits.longest.map((wait) => wait.toFixed(1)).join(" ");
      say(`${engine}: longest waits ${when}, ms: ${words} (of ${waits.asked})`);
    }
    return pause.longest[0] ?? Number.NaN;
  } finally {
    await own.stop();
  }
}

async function applyLarge(own: OwnServer): Promise<void> {
  const records = namesOf(largeCount).map(({ name, address }, index) =>
    record(index + 1, name, address),
  );
  own.registry.commit(records);
  await eventually("the large zone", { deadlineMs: 120_000, intervalMs: 100 }, async () => {
    const { generation } = await fetchResolverStatus(
      { host: own.address.host, port: 8054 },
      { deadlineMs: 5000 },
    );
    return generation === 2 ? true : undefined;
  });
}

async function bench(runs: number, hickory: string | undefined): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-bench-dns-"));
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  try {
    const file = join(folder, "questions");
    await writeFile(file, questions());
    say(`machine: ${machine()}`);
    const rows: Record<string, Load[]> = {};
    for (let run = 1; run <= runs; run += 1) {
      const starts = [
        () => startKnot(nameCount),
        () => startOwn(nameCount, "batched"),
        () => startOwn(nameCount, "dgram"),
        ...(hickory === undefined ? [] : [() => startHickory(nameCount, hickory)]),
      ];
      for (const start of starts) {
        await withServer(start, async (server) => {
          const one = await load(server, file);
          (rows[server.name] ??= []).push(one);
          const { microseconds, perSecond, lost } = one;
          const figures = `${microseconds.toFixed(2)} us/query, ${Math.round(perSecond)}/s`;
          say(`run ${run}: ${server.name} ${figures}, lost ${lost}`);
        });
      }
    }
    const memory = (await measureMemory()) / 1024 ** 2;
    const pauses = [await measurePause("batched", say), await measurePause("dgram", say)];
    return tell(rows, memory, pauses, say);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function tell(
  rows: Readonly<Record<string, readonly Load[]>>,
  memory: number,
  pauses: readonly number[],
  say: (text: string) => void,
): boolean {
  const cost = (name: string): number =>
    median((rows[name] ?? []).map(({ microseconds }) => microseconds));
  const [batched = Number.NaN, dgram = Number.NaN] = pauses;
  const figures = [
    ["batched engine against Knot", cost("batched") / cost("knot"), 1.5, 1],
    ["dgram engine against Knot", cost("dgram") / cost("knot"), 4, 3],
    ["batched engine against hickory", cost("batched") / cost("hickory"), 0.3, 0.1],
    ["memory with 2,000 names, MB", memory, 110, 80],
    ["pause for 100,000 records, batched, ms", batched, 50, 10],
    ["pause for 100,000 records, dgram, ms", dgram, 50, 10],
  ] as const;
  const known = figures.filter(([, value]) => !Number.isNaN(value));
  for (const [what, value, must, aim] of known) {
    say(`${what}: ${value.toFixed(2)} (must ${must}, aim ${aim})`);
  }
  return known.every(([, value, must]) => value <= must);
}

const [runs = "3", hickory] = process.argv.slice(2);
process.exitCode = (await bench(Number(runs), hickory)) ? 0 : 1;
