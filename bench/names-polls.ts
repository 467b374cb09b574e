/**
 * 5,000 nodes that each hold a poll at one registry: the memory that it takes, and how long it takes
 * until the last of them has been told of a change. The nodes are in a process of their own.
 */
import { systemClock } from "../kit/clock.ts";
import { putRecords } from "../registry/admin.ts";
import { fetchStatus } from "../registry/client.ts";
import { registryRig } from "../test/support/registry.ts";
import {
  addNodes,
  addressRecord,
  fill,
  memoryOf,
  quantile,
  spread,
  startHelper,
  untilHeld,
} from "./names-rig.ts";
import type { Figure, Teardown } from "./names-rig.ts";
import type { PollersPlan, PollersTold } from "./names-pollers.ts";

const host = "127.54.3.1";
const count = 5000;
const otherNames = 100;
/** So long they are idle before the memory is looked at (ms). */
const restMs = 10_000;

/** The longest of some rounds, in which all are told and poll again. */
export async function measurePolls(t: Teardown, runs: number): Promise<Figure[]> {
  const { admin, child, url } = await registryRig(t, host);
  const pid = child.pid ?? 0;
  await fill(admin, otherNames);
  const nodes = await addNodes(admin, count);
  const empty = await memoryOf(pid);
  const { epoch, generation, zone_hash: hash } = await fetchStatus(admin);
  const plan: PollersPlan = { host, port: 8053, nodes, epoch, generation, hash };
  const pollers = startHelper<PollersTold>(t, "names-pollers.ts", plan);
  const memory: number[] = [];
  const last: number[] = [];
  const first: number[] = [];
  const round = async (address: string): Promise<void> => {
    const told = pollers.next();
    const began = systemClock.now();
    await putRecords(admin, { kind: "static", id: 2 }, [addressRecord("moving", address)]);
    const { firstAt, lastAt, wrong } = await told;
    if (wrong > 0)
      throw new Error(`${wrong} of ${count} polls were not answered as they should be`);
    first.push(firstAt - began);
    last.push(lastAt - began);
  };
  for (let run = 0; run < runs; run += 1) {
    await untilHeld(url, count);
    await systemClock.sleep(restMs);
    memory.push(await memoryOf(pid));
    await round(`10.9.0.${run + 1}`);
  }
  const most = await memoryOf(pid, "VmHWM");
  const shown = memory.map((one) => one.toFixed(0)).join(", ");
  return [
    {
      what: `memory of a registry with ${count} idle polls of ${count} nodes, most of ${runs}`,
      ...{ value: Math.max(...memory), unit: "MB", must: 400, aim: 200 },
      notes: [
        `VmRSS after ${restMs / 1000} s of rest in each round: ${shown}; with as many nodes and no polls ${empty.toFixed(0)}, never above ${most.toFixed(0)}`,
      ],
    },
    {
      what: `time to tell all ${count}, median of ${runs}`,
      ...{ value: quantile(last, 0.5) / 1000, unit: "s", must: 3, aim: 1 },
      notes: [
        `from before the request that changes a record until the last poll has its whole answer, the askers on the same machine; ms: ${spread(last)}; the first: ${spread(first)}`,
      ],
    },
  ];
}
