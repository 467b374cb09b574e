/** Waits until a new lab is whole: topology finds nothing wrong and a write goes through. */
import type { Environment } from "../config/schema.ts";
import { eventually } from "../kit/clock.ts";
import { lookAtCluster } from "../router/cluster/observe.ts";
import { appLogin, withClient } from "./connect.ts";
import type { AppHost } from "./model.ts";
import type { Making } from "./driver/driver.ts";
import { awaitNames } from "./registry.ts";

const readyDeadlineMs = 30_000;
const writeDeadlineMs = 2000;
const intervalMs = 50;

/**
 * Resolves when every resolver answers with the primary, topology calls the environment healthy,
 * and every edge pooler takes a write.
 * @throws DeadlineError saying what is not right yet
 */
export async function awaitReady(making: Making, environment: Environment): Promise<void> {
  if (making.model.registry !== undefined) await awaitNames(making);
  await awaitHealthy(environment, making.signal);
  await Promise.all(
    making.model.apps.map((app) =>
      eventually(
        `a write through edge pooler ${app.edgePooler}`,
        { deadlineMs: readyDeadlineMs, intervalMs, signal: making.signal },
        async () => ((await takesWrites(making, app)) ? true : undefined),
      ),
    ),
  );
}

/**
 * Resolves when `recovery ENVIRONMENT topology` would end with 0.
 * @throws DeadlineError with the reasons that topology gave last
 */
async function awaitHealthy(environment: Environment, signal: AbortSignal): Promise<void> {
  const what = `topology of ${environment.name} is healthy`;
  await eventually(what, { deadlineMs: readyDeadlineMs, intervalMs, signal }, async () => {
    const { verdict } = await lookAtCluster(environment, signal);
    if (verdict.level === "healthy") return true;
    throw new Error(verdict.reasons.join("; "));
  });
}

/** True when a write commits through the app host's edge pooler; it leaves nothing behind. */
async function takesWrites(making: Making, app: AppHost): Promise<boolean> {
  return await withClient(app.edge, appLogin(making.secrets), writeDeadlineMs, async (client) => {
    const { rowCount } = await client.query("SELECT pg_current_xact_id()");
    return rowCount === 1;
  });
}
