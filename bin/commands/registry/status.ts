/** `registry status`: the zone, the clusters' roles, and what each node has applied. */
import { fetchClusters } from "../../../registry/admin.ts";
import { fetchNodes, fetchStatus } from "../../../registry/client.ts";
import { systemClock } from "../../../kit/clock.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { complaints, statusLines } from "./screen.ts";
import { onRegistry, tell } from "./target.ts";

/** 0 when all is well, 1 when a cluster or a node is not, 69 when no registry answers. */
export async function run(invocation: Invocation): Promise<number> {
  return await onRegistry(invocation, async (target) => {
    const { signal, output } = invocation;
    const status = await fetchStatus(target, signal);
    const { nodes } = await fetchNodes(target, {}, signal);
    const wrong = complaints(await fetchClusters(target, signal), nodes);
    const { nodes: nodeCount, ...zone } = status;
    tell(
      invocation,
      { well: wrong.length === 0, complaints: wrong, ...zone, nodeCount, nodes },
      statusLines(status, { nodes, wrong }, systemClock.now(), output),
    );
    return wrong.length === 0 ? exitCodes.done : exitCodes.failed;
  });
}
