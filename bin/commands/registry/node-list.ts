/** `registry node list`: the nodes, and what each has applied. */
import { systemClock } from "../../../kit/clock.ts";
import { fetchNodes } from "../../../registry/client.ts";
import type { Invocation } from "../../cli/command.ts";
import { nodeLines } from "./screen.ts";
import { onRegistry, tell } from "./target.ts";

/** 0, whatever they are. */
export async function run(invocation: Invocation): Promise<number> {
  return await onRegistry(invocation, async (target) => {
    const reply = await fetchNodes(target, {}, invocation.signal);
    const { nodes, generation } = reply;
    tell(invocation, reply, nodeLines(nodes, generation, systemClock.now(), invocation.output));
  });
}
