/** `registry cluster update CLUSTER`: another source, or another bound of lag. */
import { updateCluster } from "../../../registry/admin.ts";
import { fetchCluster } from "../../../registry/client.ts";
import type { Invocation } from "../../cli/command.ts";
import { confirm } from "../../cli/confirm.ts";
import { lagIn, sourceIn } from "./keys.ts";
import { clusterScreen } from "./screen.ts";
import { onRegistry, tell } from "./target.ts";

/** 0 when it is so; 3 and 4 when the end of its source was not confirmed; 64 where there is none of that name. */
export async function run(invocation: Invocation): Promise<number> {
  const { flags, signal, output } = invocation;
  const [name = ""] = invocation.arguments;
  return await onRegistry(invocation, async (target) => {
    const before = await fetchCluster(target, name, signal);
    const lag = lagIn(flags);
    const source = sourceIn(flags, before.source);
    if (source.kind === "none" && before.source.kind !== "none") {
      await confirm(invocation, {
        text: `Take its source from ${name}, so that nobody finds its primary or its standbys?`,
        otherwise: `without a source nobody finds the primary of ${name}; --yes takes it all the same`,
      });
    }
    const lag_bytes = lag === undefined ? before.lag_bytes : lag;
    const view = await updateCluster(target, name, { source, lag_bytes }, signal);
    tell(invocation, view, clusterScreen(view, output));
  });
}
