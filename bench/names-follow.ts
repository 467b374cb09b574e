/**
 * From a new primary to its name at every node: a real monitor of pg_auto_failover publishes another
 * primary, bin/registry hears of it, and three bin/dns-resolver answer another address.
 */
import { systemClock } from "../kit/clock.ts";
import { createCluster } from "../registry/admin.ts";
import { fetchNodes, fetchStatus } from "../registry/client.ts";
import { takesWrites } from "../router/monitor/states.ts";
import { passwordFile } from "../test/registry/reconciled.ts";
import { TestMonitor } from "../test/support/monitor.ts";
import type { Keeper } from "../test/support/monitor.ts";
import { superuser } from "../test/support/real-postgres.ts";
import { registryRig } from "../test/support/registry.ts";
import type { RegistryRig } from "../test/support/registry.ts";
import { median } from "./figures.ts";
import { startAsker } from "./names-asker.ts";
import { fill, spread, startNode } from "./names-rig.ts";
import type { Figure, Teardown } from "./names-rig.ts";

const monitorHost = "127.54.1.1";
const registryHost = "127.54.1.2";
const resolverHosts = ["127.54.1.11", "127.54.1.12", "127.54.1.13"] as const;
const formation = "names";
const cluster = "db";
const otherNames = 100;

interface Pair {
  readonly monitor: TestMonitor;
  readonly keepers: readonly [Keeper, Keeper];
  readonly addressOf: (keeper: Keeper) => string;
}

async function startPair(t: Teardown): Promise<Pair> {
  const monitor = await TestMonitor.create(t, monitorHost);
  await monitor.createFormation(formation);
  const addresses: Readonly<Record<string, string>> = {
    "dal-01": "10.1.0.1",
    "chi-02": "10.2.0.1",
  };
  const addressOf = ({ name }: Keeper): string => addresses[name] ?? "";
  const first = await monitor.register(formation, "dal-01", "10.1.0.1");
  await monitor.settle(first);
  const second = await monitor.register(formation, "chi-02", "10.2.0.1");
  await monitor.healthy(first, second);
  await monitor.settle(first, second);
  return { monitor, keepers: [first, second], addressOf };
}

/** Both keepers do what they are told, up to the report by which `to` is the primary. */
async function prepare(monitor: TestMonitor, from: Keeper, to: Keeper): Promise<string> {
  await monitor.sql(`SELECT pgautofailover.perform_failover('${formation}', 0)`);
  for (let round = 0; round < 100; round += 1) {
    for (const keeper of [from, to]) {
      const goal = await monitor.report(keeper, keeper.state);
      if (goal === keeper.state) continue;
      if (keeper === to && takesWrites(goal)) return goal;
      await monitor.report(keeper, goal);
    }
    await systemClock.sleep(20);
  }
  throw new Error(`${to.name} was not made the primary: it is in ${to.state}`);
}

/** A cluster whose roles the monitor tells, in a registry with other names besides. */
async function startNamed(
  t: Teardown,
  { monitor, keepers, addressOf }: Pair,
): Promise<RegistryRig> {
  const registry = await registryRig(t, registryHost);
  await fill(registry.admin, otherNames);
  const password = await passwordFile(t, superuser.password);
  await createCluster(registry.admin, {
    name: cluster,
    source: {
      kind: "pg_auto_failover",
      ...{ host: monitorHost, port: 5432, formation, group: 0, tls: "disable" },
      ...{ database: monitor.database, user: "autoctl_node", password_file: password.path },
    },
    members: keepers.map((keeper, index) => ({
      ...{ name: keeper.name, ordinal: index + 1, address: addressOf(keeper) },
    })),
  });
  return registry;
}

/** The median over `runs` changes of primary. */
export async function measureFollow(t: Teardown, runs: number): Promise<Figure[]> {
  const pair = await startPair(t);
  const { monitor, keepers, addressOf } = pair;
  const registry = await startNamed(t, pair);
  const { admin } = registry;
  const resolvers = await Promise.all(resolverHosts.map((host) => startNode(t, registry, host)));
  const addresses = resolvers.map(({ address }) => address);
  const asker = await startAsker(`primary.${cluster}.temps.local`, addresses);
  t.teardown(() => asker.stop());
  let [from, to] = keepers;
  await asker.until(addressOf(from));
  const all: number[] = [];
  const inMonitor: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const goal = await prepare(monitor, from, to);
    const began = systemClock.monotonic();
    const answered = asker.until(addressOf(to));
    await monitor.report(to, goal);
    inMonitor.push(systemClock.monotonic() - began);
    all.push(Math.max(...(await answered)) - began);
    await monitor.settle(from, to);
    await monitor.healthy(from, to);
    const { generation } = await fetchStatus(admin);
    await fetchNodes(admin, { generation, waitS: 10 });
    [from, to] = [to, from];
  }
  return [
    {
      what: "new primary published → answered by 3 of 3 resolvers, median",
      ...{ value: median(all), unit: "ms", must: 150, aim: 50 },
      notes: [
        `from the statement by which a keeper reports to a real monitor that it takes writes, to the first answer with its address at the last of ${resolverHosts.length} resolvers (each asked every millisecond)`,
        `single values in ms: ${spread(all)}; of them in the monitor's own transaction ${spread(inMonitor)}`,
      ],
    },
  ];
}
