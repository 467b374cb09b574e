/**
 * From a commit of the registry to the answers of 200 resolvers: the sync, the zone and the answers
 * are the resolver's own, of many resolvers in each of a few processes.
 */
import { systemClock } from "../kit/clock.ts";
import { putRecords } from "../registry/admin.ts";
import { registryRig, temporaryFolder } from "../test/support/registry.ts";
import {
  addNodes,
  addressRecord,
  fill,
  quantile,
  spread,
  startHelper,
  untilHeld,
} from "./names-rig.ts";
import type { Figure, Teardown } from "./names-rig.ts";
import type { Answered, CrowdPlan } from "./names-crowd-part.ts";

const host = "127.54.2.1";
const count = 200;
const processes = 2;
const otherNames = 200;
const name = "moving";
/** Commits that are not counted: the code of 200 machines is compiled by two processes meanwhile. */
const warmUps = 10;

/** p99 over all resolvers and `runs` commits. */
export async function measureCrowd(t: Teardown, runs: number): Promise<Figure[]> {
  const { admin, url } = await registryRig(t, host);
  await fill(admin, otherNames);
  const nodes = await addNodes(admin, count);
  const share = count / processes;
  const parts = [];
  for (let part = 0; part < processes; part += 1) {
    const plan: CrowdPlan = {
      url,
      nodes: nodes.slice(part * share, (part + 1) * share),
      folder: await temporaryFolder(t),
      question: `${name}.temps.local`,
    };
    parts.push(startHelper<Answered>(t, "names-crowd-part.ts", plan));
  }
  const all: number[] = [];
  const lasts: number[] = [];
  const replies: number[] = [];
  for (let run = -warmUps; run < runs; run += 1) {
    await untilHeld(url, count);
    await systemClock.sleep(500);
    const address = `10.9.0.${run + warmUps + 1}`;
    const answered = parts.map((part) => part.next(({ address: seen }) => seen === address));
    const began = systemClock.now();
    await putRecords(admin, { kind: "static", id: 2 }, [addressRecord(name, address)]);
    const replied = systemClock.now() - began;
    const times = (await Promise.all(answered)).flatMap(({ at }) => at.map((one) => one - began));
    if (run < 0) continue;
    replies.push(replied);
    all.push(...times);
    lasts.push(Math.max(...times));
  }
  return [
    {
      what: `commit → answer changed, ${count} resolvers on this machine, p99 of ${runs} commits`,
      ...{ value: quantile(all, 0.99), unit: "ms", must: 300, aim: 100 },
      notes: [
        `from before the request that changes a record (its own reply comes after ${spread(replies)}) to the new address in an answer; ${otherNames} names, the resolvers in ${processes} processes, ${warmUps} commits before`,
        `single values in ms: ${spread(all)}; the last of ${count}: ${spread(lasts)}`,
      ],
    },
  ];
}
