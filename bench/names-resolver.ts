/**
 * One bin/dns-resolver that follows bin/registry: how long it keeps an asker waiting while a zone of
 * 100,000 records comes, and the memory that it holds with 2,000 names.
 */
import { join } from "node:path";
import { systemClock } from "../kit/clock.ts";
import { putRecords } from "../registry/admin.ts";
import type { RegistryTarget } from "../registry/client.ts";
import { openSqliteStore } from "../registry/store/sqlite.ts";
import type { ResolverProcess } from "../test/sidecars/dns-resolver/resolver-process.ts";
import { registryRig, startRegistryProcess } from "../test/support/registry.ts";
import type { RegistryRig } from "../test/support/registry.ts";
import { namesOf, zone } from "./dns-servers.ts";
import { startAsker } from "./names-asker.ts";
import type { Asker } from "./names-asker.ts";
import {
  addressRecord,
  fill,
  memoryOf,
  quantile,
  recordsOf,
  startNode,
  withTeardown,
} from "./names-rig.ts";
import type { Figure, Teardown } from "./names-rig.ts";

const registryHost = "127.54.4.1";
const resolverHost = "127.54.4.11";
const engines = ["batched", "dgram"] as const;
const smallCount = 2000;
const largeCount = 100_000;
const changes = 3;
const changesOfSmall = 50;

interface Pause {
  readonly longestMs: number;
  readonly ownMs: number;
  readonly unanswered: number;
  readonly asked: number;
  readonly lateMs: number;
}

/** While the zone grows to 100,000 records in one step, and while single records change in it. */
async function pauses(engine: string): Promise<{ readonly grows: Pause; readonly changes: Pause }> {
  return await withTeardown(async (t) => {
    const rig = await registryRig(t, registryHost);
    await fill(rig.admin, smallCount);
    const resolver = await startNode(t, rig, resolverHost, { DNS_RESOLVER_ENGINE: engine });
    await resolver.serves(1);
    await growAtRest(rig);
    const asker = await startAsker(`${namesOf(1)[0]?.name}.${zone}`, [resolver.address]);
    t.teardown(() => asker.stop());
    await startRegistryProcess(t, registryHost, { REGISTRY_DATA: join(rig.folder, "store") });
    await served(resolver, 2);
    const grows = await pauseOf(asker);
    for (let change = 0; change < changes; change += 1) {
      await move(rig.admin, change);
      await served(resolver, 3 + change);
    }
    return { grows, changes: await pauseOf(asker) };
  });
}

/** All 100,000 under one generation, which takes the store itself: a request has its bounds. */
async function growAtRest(rig: RegistryRig): Promise<void> {
  await rig.stop();
  const store = await openSqliteStore(join(rig.folder, "store"), { zone });
  const records = recordsOf(largeCount).slice(smallCount);
  await store.putEndpoints([{ owner: { kind: "static", id: 2 }, drafts: records }]);
  await store.close();
}

async function move(admin: RegistryTarget, turn: number): Promise<void> {
  const record = addressRecord("moving", `10.9.0.${turn + 1}`);
  await putRecords(admin, { kind: "static", id: 3 }, [record]);
}

/** Its status is asked for rarely, so as not to be what is waited for. */
async function served(resolver: ResolverProcess, generation: number): Promise<void> {
  const end = systemClock.monotonic() + 120_000;
  while ((await resolver.status()).generation !== generation) {
    if (systemClock.monotonic() > end) throw new Error(`it does not serve ${generation}`);
    await systemClock.sleep(200);
  }
}

async function pauseOf(asker: Asker): Promise<Pause> {
  // What is under way is answered first.
  await systemClock.sleep(1000);
  const { each, lateMs } = asker.watched();
  const [one = { longestMs: Number.NaN, ownMs: Number.NaN, unanswered: 0, asked: 0 }] = each;
  return { ...one, lateMs };
}

/** The longest pause of all runs, with each engine. */
export async function measureLarge(_: Teardown, runs: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const engine of engines) {
    const all = [];
    for (let run = 0; run < runs; run += 1) all.push(await pauses(engine));
    const shown = (pause: Pause): string =>
      `${pause.ownMs.toFixed(1)} (${pause.longestMs.toFixed(1)} with the asker's own waits; ${pause.unanswered} of ${pause.asked} lost, asked late by at most ${pause.lateMs.toFixed(1)})`;
    figures.push({
      what: `${largeCount} records applied, engine ${engine}: longest pause, median of ${runs}`,
      ...{
        value: quantile(
          all.map(({ grows }) => grows.ownMs),
          0.5,
        ),
        unit: "ms",
        must: 50,
        aim: 10,
      },
      notes: [
        "a question each millisecond by the timetable, from before the registry has the records until they are served; the longest time to an answer, without the time in which the asker itself was held up",
        `from ${smallCount} to ${largeCount} in one step: ${all.map(({ grows }) => shown(grows)).join("; ")}`,
        `${changes} changes of one record in it: ${all.map((one) => shown(one.changes)).join("; ")}`,
      ],
    });
  }
  return figures;
}

/** Rests between what was done and a look at the memory (ms). */
const restMs = 3000;

async function memory(engine: string): Promise<{ readonly rest: number; readonly used: number }> {
  return await withTeardown(async (t) => {
    const rig = await registryRig(t, registryHost);
    const generation = await fill(rig.admin, smallCount);
    const resolver = await startNode(t, rig, resolverHost, { DNS_RESOLVER_ENGINE: engine });
    await resolver.serves(generation);
    await systemClock.sleep(restMs);
    const rest = await memoryOf(resolver.pid);
    const asker = await startAsker(`${namesOf(1)[0]?.name}.${zone}`, [resolver.address]);
    t.teardown(() => asker.stop());
    for (let turn = 0; turn < changesOfSmall; turn += 1) {
      await move(rig.admin, turn);
      await resolver.serves(generation + 1 + turn);
    }
    await systemClock.sleep(restMs);
    return { rest, used: await memoryOf(resolver.pid) };
  });
}

/** The median of processes, with each engine. */
export async function measureMemory(_: Teardown, runs: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const engine of engines) {
    const all = [];
    for (let run = 0; run < runs; run += 1) all.push(await memory(engine));
    const used = all.map((one) => one.used);
    const rest = all.map((one) => one.rest);
    figures.push({
      what: `memory of a resolver with ${smallCount} names, engine ${engine}, median of ${runs}`,
      ...{ value: quantile(used, 0.5), unit: "MB", must: 110, aim: 80 },
      notes: [
        `VmRSS after ${changesOfSmall} changes of the zone with a question each millisecond: ${used.map((one) => one.toFixed(1)).join(", ")}; before, at rest: ${rest.map((one) => one.toFixed(1)).join(", ")}`,
      ],
    });
  }
  return figures;
}
