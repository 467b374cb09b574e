/** `registry cluster show CLUSTER`: its source, members, roles and names. */
import { fetchCluster } from "../../../registry/client.ts";
import type { Invocation } from "../../cli/command.ts";
import { clusterScreen } from "./screen.ts";
import { onRegistry, tell } from "./target.ts";

/** 0; 64 where there is none of that name. */
export async function run(invocation: Invocation): Promise<number> {
  const [name = ""] = invocation.arguments;
  return await onRegistry(invocation, async (target) => {
    const view = await fetchCluster(target, name, invocation.signal);
    tell(invocation, view, clusterScreen(view, invocation.output));
  });
}
