/** `registry member update CLUSTER NAME`: what is not named stays. */
import { updateMember } from "../../../registry/admin.ts";
import { fetchCluster } from "../../../registry/client.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { nearestHint } from "../environment.ts";
import { memberIn } from "./keys.ts";
import { clusterScreen } from "./screen.ts";
import { onRegistry, tell } from "./target.ts";

/** 0 when it is so; 3 when the ordinal is taken; 64 where there is none of that name. */
export async function run(invocation: Invocation): Promise<number> {
  const { flags, signal, output } = invocation;
  const [cluster = "", name = ""] = invocation.arguments;
  return await onRegistry(invocation, async (target) => {
    const { members } = await fetchCluster(target, cluster, signal);
    const before = members.find((one) => one.name === name);
    if (before === undefined) {
      const names = members.map((one) => one.name);
      throw new UsageError(
        `${cluster} has no member ${JSON.stringify(name)}`,
        nearestHint(name, names),
      );
    }
    const keys = { ...before, ...memberIn(flags, before) };
    const view = await updateMember(target, cluster, name, keys, signal);
    tell(invocation, view, clusterScreen(view, output));
  });
}
