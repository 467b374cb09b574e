/**
 * What a reload means for backends, whose servers are found by DNS and go with the worker: clients that
 * wait in its queue are lost, and the new one has no servers until the backends process adds them.
 */
import type { Environment, Router } from "../../config/schema.ts";
import { eventually } from "../../kit/clock.ts";
import { isFoundByDns } from "./backend-sections.ts";
import { InstallError } from "./install.ts";
import { showRouter } from "./runtime/client.ts";
import type { Runtime, RuntimeView } from "./runtime/client.ts";

/** Why a backend would lose clients by a reload, in a sentence. */
export function stranded(name: string, { queues }: RuntimeView): string[] {
  const waiting = queues.find((one) => one.backend === name)?.waiting ?? 0;
  if (waiting === 0) return [];
  const clients = waiting === 1 ? "1 client waits" : `${waiting} clients wait`;
  return [`${clients} in the queue of backend ${name} and would be lost in the old worker`];
}

/** So long the backends process may take to give a new worker its servers. */
const foundDeadlineMs = 5000;

/**
 * Waits until every backend has servers again: what comes next might be another reload, and clients that
 * still wait would be lost with the worker in between.
 * @throws InstallError; the file stays, as the worker runs it
 */
export async function waitForFound(
  environment: Environment,
  { router, foundIn }: { readonly router: Router; readonly foundIn: readonly string[] },
  runtime: Runtime,
): Promise<void> {
  if (foundIn.length === 0) return;
  const { signal } = runtime;
  const options = { deadlineMs: foundDeadlineMs, intervalMs: 50, ...(signal && { signal }) };
  const left = { names: foundIn };
  await eventually("servers of backends", options, async () => {
    const { servers } = await showRouter(runtime);
    const has = new Set(
      servers.filter((one) => isFoundByDns(one.server)).map((one) => one.backend),
    );
    left.names = foundIn.filter((name) => !has.has(name));
    return left.names.length === 0 ? true : undefined;
  }).catch((cause: unknown) => {
    signal?.throwIfAborted();
    const where = `${left.names.join(", ")} on ${router.name}`;
    const what = `applied, but no backends process adds servers to ${where}: start bin/router ${environment.name} backends`;
    throw new InstallError("ERR_HAPROXY_RELOAD", `${router.name}: ${what}`, cause);
  });
}
