/**
 * Before a process keeps a router: no other process of this machine may keep it, for two that saw DNS
 * differently would fight over its servers; and its socket must let it add servers.
 */
import { createHash } from "node:crypto";
import type { Environment } from "../../../config/schema.ts";
import { askLocalHolder, tryLocalLock } from "../../../kit/local-lock.ts";
import { addressAt } from "../../haproxy/runtime/address.ts";
import { showLevel } from "../../haproxy/runtime/client.ts";
import { overRouters } from "../../haproxy/runtime/fleet.ts";
import type { FleetOptions, FleetRouter } from "../../haproxy/runtime/fleet.ts";
import { HaproxyError } from "../../haproxy/runtime/transport.ts";

/** A second process on this machine keeps the same router. */
export class BackendsRunningError extends Error {
  override readonly name = "BackendsRunningError";
  readonly code = "ERR_BACKENDS_RUNNING";
  constructor(router: string, holder: string) {
    super(`router ${router}: its backends are kept already by ${holder}`);
  }
}

/**
 * Claims these routers for this process. @returns what gives them back
 * @throws BackendsRunningError; HaproxyError for a socket whose level is too low
 */
export async function claimRouters(
  environment: Environment,
  fleet: readonly FleetRouter[],
  options: FleetOptions,
): Promise<() => void> {
  const held: (() => void)[] = [];
  const release = (): void => {
    for (const one of held) one();
  };
  try {
    for (const router of fleet) held.push(await lockRouter(environment, router));
    await refuseLowLevel(fleet, options);
    return release;
  } catch (error) {
    release();
    throw error;
  }
}

async function lockRouter(
  environment: Environment,
  { name, runtime }: FleetRouter,
): Promise<() => void> {
  const address = addressAt(runtime);
  const where = `${address.text} ${address.kind === "docker" ? address.engine.key : ""}`;
  const lock = `backends-${createHash("sha256").update(where).digest("hex").slice(0, 32)}`;
  const got = await tryLocalLock(lock, `bin/router ${environment.name} backends`);
  if (got !== undefined) return got.release;
  throw new BackendsRunningError(name, await askLocalHolder(lock));
}

/** A router that cannot be asked now is waited for; one that says no would say so for ever. */
async function refuseLowLevel(fleet: readonly FleetRouter[], options: FleetOptions): Promise<void> {
  const results = await overRouters(fleet, options, showLevel);
  for (const { router, ...result } of results) {
    if (!("value" in result) || result.value === "admin") continue;
    const came = `router ${router.name} gives level ${result.value}, and adding servers needs level admin`;
    const address = addressAt(router.runtime);
    throw new HaproxyError("ERR_HAPROXY_PERMISSION", { address, tried: "show cli level", came });
  }
}
