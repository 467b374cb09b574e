/** `registry cluster list`: the clusters and their roles. */
import { fetchClusters } from "../../../registry/admin.ts";
import type { Invocation } from "../../cli/command.ts";
import { clusterLines } from "./screen.ts";
import { onRegistry, tell } from "./target.ts";

/** 0, whatever they are. */
export async function run(invocation: Invocation): Promise<number> {
  return await onRegistry(invocation, async (target) => {
    const clusters = await fetchClusters(target, invocation.signal);
    tell(invocation, { clusters }, clusterLines(clusters, invocation.output));
  });
}
