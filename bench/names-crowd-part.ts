/**
 * Many resolvers in one process for bench/names-crowd.ts: each follows the registry by its own sync,
 * builds its own zone, and is asked as soon as that is served.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../kit/clock.ts";
import { createLogger } from "../kit/logger.ts";
import { answer } from "../sidecars/dns-resolver/answers/answers.ts";
import { questionBytes, readAnswer } from "../sidecars/dns-resolver/ask-message.ts";
import { Sync } from "../sidecars/dns-resolver/sync/sync.ts";
import { createServing } from "../sidecars/dns-resolver/zone/serving.ts";
import type { NodeRight } from "./names-rig.ts";

export interface CrowdPlan {
  readonly url: string;
  readonly nodes: readonly NodeRight[];
  /** Each has its snapshot in a folder of its own in here. */
  readonly folder: string;
  readonly question: string;
}

/** Every resolver of this process answers this address. */
export interface Answered {
  readonly address: string;
  /** When each did first; ms since 1970. */
  readonly at: readonly number[];
}

const zone = { zone: "temps.local", aliases: [], forwards: false, udpSizeMax: 1232 } as const;
const options = { transport: "udp", forwards: false, udpSizeMax: 1232 } as const;
const logger = createLogger({ name: "crowd", level: "silent" });
const out = new Uint8Array(4096);

interface Crowd {
  readonly plan: CrowdPlan;
  readonly question: Buffer;
  readonly times: Map<string, number[]>;
}

async function startOne({ plan, question, times }: Crowd, node: NodeRight): Promise<void> {
  const serving = createServing(zone);
  const folder = join(plan.folder, String(node.id));
  await mkdir(folder);
  const sync = new Sync({
    ...{ node: node.id, zone, folder, clock: systemClock, logger },
    registry: { url: plan.url, token: () => node.token },
    serve: async ({ served }) => {
      await serving.put(served);
      const length = answer(serving.current(), question, question.length, out, options);
      const said = readAnswer(Buffer.from(out.subarray(0, length)), question);
      const address = said === undefined || said === "cut" ? "" : said.addresses.join(" ");
      const at = times.get(address) ?? [];
      times.set(address, at);
      at.push(systemClock.now());
      if (at.length === plan.nodes.length) process.send?.({ address, at } satisfies Answered);
      return [];
    },
    tell: () => undefined,
  });
  await sync.load();
  sync.follow();
}

async function start(plan: CrowdPlan): Promise<void> {
  const crowd = { plan, question: questionBytes(0, plan.question, "A"), times: new Map() };
  for (const node of plan.nodes) await startOne(crowd, node);
}

process.once("message", (plan) => void start(plan as CrowdPlan));
process.once("disconnect", () => process.exit());
