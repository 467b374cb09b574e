/** `registry member remove CLUSTER NAME`: with its names. */
import { removeMember } from "../../../registry/admin.ts";
import { fetchCluster } from "../../../registry/client.ts";
import type { Invocation } from "../../cli/command.ts";
import { confirm } from "../../cli/confirm.ts";
import { onRegistry, tell } from "./target.ts";

/** 0 when it is gone; 3 and 4 when the primary was not confirmed; 64 where there is none of that name. */
export async function run(invocation: Invocation): Promise<number> {
  const [cluster = "", name = ""] = invocation.arguments;
  return await onRegistry(invocation, async (target) => {
    const { roles } = await fetchCluster(target, cluster, invocation.signal);
    if (roles.primary === name) {
      await confirm(invocation, {
        text: `${name} is the primary of ${cluster}: remove it, so that nobody finds a primary?`,
        otherwise: `${name} is the primary of ${cluster}; --yes removes it all the same`,
      });
    }
    const reply = await removeMember(target, cluster, name, invocation.signal);
    const words = `member ${name} of ${cluster} is gone as of generation ${reply.generation}`;
    tell(invocation, reply, [words]);
  });
}
