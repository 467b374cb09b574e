/** `registry cluster delete CLUSTER`: with its members and all its names. */
import { deleteCluster } from "../../../registry/admin.ts";
import { fetchCluster } from "../../../registry/client.ts";
import type { Invocation } from "../../cli/command.ts";
import { confirm } from "../../cli/confirm.ts";
import { onRegistry, tell } from "./target.ts";

/** 0 when it is gone; 3 and 4 when it was not confirmed; 64 where there is none of that name. */
export async function run(invocation: Invocation): Promise<number> {
  const { signal } = invocation;
  const [name = ""] = invocation.arguments;
  return await onRegistry(invocation, async (target) => {
    const { records } = await fetchCluster(target, name, signal);
    await confirm(invocation, {
      text: `Delete cluster ${name} and its ${records.length} records?`,
      otherwise: "--yes does it",
    });
    const reply = await deleteCluster(target, name, signal);
    tell(invocation, reply, [`cluster ${name} is gone as of generation ${reply.generation}`]);
  });
}
