/** Where the sockets of an environment's routers are: their addresses, with the engine of those in containers. */
import { engineOfHost } from "../../config/hosts.ts";
import type { Environment, Router } from "../../config/schema.ts";
import { parseRuntimeAddress } from "./runtime/address.ts";
import type { EngineSource, RuntimeAddress } from "./runtime/address.ts";
import type { FleetRouter } from "./runtime/fleet.ts";

/** The engine of a router's host; undefined for a router that names no host. */
function engineOfRouter(environment: Environment, { host }: Router): EngineSource | undefined {
  if (host === undefined) return undefined;
  return {
    key: `${environment.file} ${host}`,
    read: async () => await engineOfHost(environment, host),
  };
}

/** The router's Runtime API. */
export function runtimeAddressOf(environment: Environment, router: Router): RuntimeAddress {
  return parseRuntimeAddress(router.runtime, engineOfRouter(environment, router));
}

/** The router's master socket; undefined where the environment names none. */
export function masterAddressOf(
  environment: Environment,
  router: Router,
): RuntimeAddress | undefined {
  const { master } = router;
  if (master === undefined) return undefined;
  return parseRuntimeAddress(master, engineOfRouter(environment, router));
}

/** One router as runtime/fleet.ts takes it. */
export function fleetRouter(environment: Environment, router: Router): FleetRouter {
  return {
    name: router.name,
    runtime: runtimeAddressOf(environment, router),
    master: masterAddressOf(environment, router),
  };
}

/** Routers as runtime/fleet.ts takes them; those of the environment when none are given. */
export function fleetOf(
  environment: Environment,
  routers: readonly Router[] = environment.routers,
): FleetRouter[] {
  return routers.map((router) => fleetRouter(environment, router));
}
