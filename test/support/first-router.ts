/** The sockets of the first router of an environment, as tests ask them beside the tools. */
import type { Environment, Router } from "../../config/schema.ts";
import { masterAddressOf, runtimeAddressOf } from "../../router/haproxy/addresses.ts";
import type { RuntimeAddress } from "../../router/haproxy/runtime/address.ts";

function firstRouter({ routers: [router], file }: Environment): Router {
  if (router === undefined) throw new Error(`no router in ${file}`);
  return router;
}

/** Its Runtime API. */
export function runtimeOf(environment: Environment): RuntimeAddress {
  return runtimeAddressOf(environment, firstRouter(environment));
}

/** Its master socket. */
export function masterOf(environment: Environment): RuntimeAddress {
  const address = masterAddressOf(environment, firstRouter(environment));
  if (address === undefined)
    throw new Error(`the first router of ${environment.file} has no master`);
  return address;
}
