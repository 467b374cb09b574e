/** `registry node revoke NODE`: its token is worth nothing from now on. */
import { revokeNode } from "../../../registry/admin.ts";
import { fetchNodes } from "../../../registry/client.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { confirm } from "../../cli/confirm.ts";
import { nearestHint } from "../environment.ts";
import { onRegistry, tell } from "./target.ts";

/**
 * 0 when it is revoked, also when it was so already; 3 and 4 when one that lives was not confirmed; 64 for a
 * name that no node has.
 */
export async function run(invocation: Invocation): Promise<number> {
  const { signal } = invocation;
  const [word = ""] = invocation.arguments;
  return await onRegistry(invocation, async (target) => {
    const { nodes } = await fetchNodes(target, {}, signal);
    const node =
      nodes.find((one) => one.name === word) ?? nodes.find((one) => String(one.id) === word);
    if (node === undefined) {
      const names = nodes.map((one) => one.name);
      throw new UsageError(`no node ${JSON.stringify(word)}`, nearestHint(word, names));
    }
    const lives = node.health === "healthy" || node.health === "degraded";
    if (lives && !node.revoked) {
      await confirm(invocation, {
        text: `The resolver of ${node.name} lives, and would hear of no change any more: revoke it?`,
        otherwise: `the resolver of ${node.name} lives; --yes revokes it all the same`,
      });
    }
    const view = await revokeNode(target, node.id, signal);
    tell(invocation, view, [`node ${view.name} (${view.id}) is revoked`]);
  });
}
