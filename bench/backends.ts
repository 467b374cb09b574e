/**
 * What following names costs: 1,000 targets with default options, each asked of a name server in a
 * process of its own, the processor time of this process while nothing changes, and how late lookups
 * begin, first while all names are answered, then while some are not.
 *
 * usage: bin/with-node ../bench/backends.ts [SECONDS of each part, 60 or more] [library | process]
 */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { systemClock } from "../kit/clock.ts";
import type { BackendEvent } from "../router/backends/watch/events.ts";
import { createBackendResolution } from "../router/backends/resolution.ts";
import type { BackendResolution } from "../router/backends/resolution.ts";
import { nameOf } from "./backends-names.ts";
import type { NamesPlan, NamesReady, Silence } from "./backends-names.ts";
import { measureProcess, processNames } from "./backends-process.ts";
import { machine } from "./figures.ts";
import { quantile, spread } from "./names-rig.ts";

const count = 1000;
const mustShare = 5;
const mustLateMs = 100;
/** Longer than any first pause: from then on every target has its own rhythm. */
const settleMs = 35_000;

interface Seen {
  lookups: number;
  failures: number;
  changes: number;
  readonly lateMs: number[];
}

interface Figure {
  readonly what: string;
  readonly share: number;
  readonly seen: Seen;
}

/** Processor time of this process for `seconds`, in percent of a core, and what it did meanwhile. */
async function measure(
  what: string,
  seconds: number,
  resolution: BackendResolution,
  silent: ReadonlySet<string>,
): Promise<Figure> {
  const seen: Seen = { lookups: 0, failures: 0, changes: 0, lateMs: [] };
  const end = resolution.subscribe(({ type, hostname, data }: BackendEvent) => {
    if (type === "dns-changed") seen.changes += 1;
    if (type === "dns-failed") seen.failures += 1;
    if (type !== "dns-resolved") return;
    seen.lookups += 1;
    if (!silent.has(hostname)) seen.lateMs.push(Number(data["lateMs"]));
  });
  const before = process.cpuUsage();
  const began = systemClock.monotonic();
  await systemClock.sleep(seconds * 1000);
  const { user, system } = process.cpuUsage(before);
  const wallMs = systemClock.monotonic() - began;
  end();
  return { what, share: (100 * (user + system)) / 1000 / wallMs, seen };
}

function print({ what, share, seen }: Figure): void {
  const { lookups, failures, changes, lateMs } = seen;
  const lines = [
    `${what}: ${share.toFixed(2)} % of a core (must ${mustShare})`,
    `  ${lookups} lookups answered, ${failures} not, ${changes} changes`,
    `  begun after their moment, ms: ${spread(lateMs)} (p99 must ${mustLateMs})`,
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

async function tellSilent(names: ChildProcess, silent: readonly string[]): Promise<void> {
  names.send({ silent } satisfies Silence);
  await once(names, "message");
}

async function register(resolution: BackendResolution): Promise<number> {
  const began = systemClock.monotonic();
  await Promise.all(
    Array.from({ length: count }, (_, at) =>
      resolution.registerTarget(`proxy-${at % 50}`, nameOf(at), { port: 80 }, () => undefined),
    ),
  );
  return systemClock.monotonic() - began;
}

/** Runs `work` with a name server in a process of its own. */
async function withNames(
  plan: NamesPlan,
  work: (server: string, names: ChildProcess) => Promise<boolean>,
): Promise<boolean> {
  const names = fork(new URL("backends-names.ts", import.meta.url));
  const ended = once(names, "exit");
  try {
    names.send(plan);
    const [{ server }] = (await once(names, "message")) as [NamesReady];
    return await work(server, names);
  } finally {
    names.kill("SIGKILL");
    await ended;
  }
}

/** The library by itself. */
async function benchLibrary(seconds: number): Promise<boolean> {
  return await withNames({ count, each: 3 }, async (server, names) => {
    const resolution = createBackendResolution({ servers: [server] });
    resolution.start();
    const registeredMs = await register(resolution);
    process.stdout.write(`${count} targets registered in ${registeredMs.toFixed(0)} ms\n`);
    await systemClock.sleep(settleMs);
    const figures: Figure[] = [];
    for (const silentCount of [0, 1, 100]) {
      const silent = Array.from({ length: silentCount }, (_, at) => nameOf(at));
      await tellSilent(names, silent);
      const what = `${count} targets for ${seconds} s, ${silentCount} never answered`;
      const figure = await measure(what, seconds, resolution, new Set(silent));
      print(figure);
      figures.push(figure);
    }
    await resolution.stop();
    return figures.every(
      ({ share, seen }) => share <= mustShare && quantile(seen.lateMs, 0.99) <= mustLateMs,
    );
  });
}

/** The process that keeps a router. */
async function benchProcess(seconds: number): Promise<boolean> {
  return await withNames({ count: processNames, each: 1 }, async (server) => {
    const figure = await measureProcess(server, seconds);
    if (figure === undefined) {
      process.stdout.write("there is no HAProxy: the process is left out\n");
      return true;
    }
    const { share, addedMs, againMs } = figure;
    const lines = [
      `the process, ${processNames} names and servers for ${seconds} s: ${share.toFixed(2)} % of a core (must ${mustShare})`,
      `  all servers added after ${addedMs.toFixed(0)} ms, after a reload again in ${againMs.toFixed(0)} ms`,
    ];
    process.stdout.write(`${lines.join("\n")}\n`);
    return share <= mustShare;
  });
}

const parts = { library: benchLibrary, process: benchProcess } as const;
const [, , said = "60", part] = process.argv;
process.stdout.write(`machine: ${machine()}\n`);
const results: boolean[] = [];
for (const [name, run] of Object.entries(parts)) {
  if (part === undefined || part === name) results.push(await run(Number(said)));
}
process.exitCode = results.every(Boolean) ? 0 : 1;
