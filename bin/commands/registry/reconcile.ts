/** `registry reconcile CLUSTER`: looks at its roles now. */
import { reconcile } from "../../../registry/client.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { clusterLines } from "./screen.ts";
import { onRegistry, tell } from "./target.ts";

/** 0 when its roles are published; 1 when they are not; 69 when no process looks. */
export async function run(invocation: Invocation): Promise<number> {
  const [name = ""] = invocation.arguments;
  return await onRegistry(invocation, async (target) => {
    const reply = await reconcile(target, name, invocation.signal);
    const changed = reply.changed ? "new" : "unchanged";
    tell(invocation, { cluster: name, ...reply }, [
      ...clusterLines([{ name, roles: reply.roles }], invocation.output),
      `generation ${reply.generation} (${changed})`,
    ]);
    return reply.roles.outcome === "published" ? exitCodes.done : exitCodes.failed;
  });
}
