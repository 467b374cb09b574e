/**
 * The sections of `backends`: one listener for each, with a hold server and nothing else. Their servers
 * are found by DNS and added at run time (router/backends/), so no address of theirs stands in the
 * file. Pure.
 */
import type { BackendKeys, Environment, Router } from "../../config/schema.ts";
import { checkUriValue, nameValue, reachableAddress } from "../../config/values.ts";
import type { TemplateModel } from "../../kit/template.ts";
import { addressText, checked, wholeNumbers } from "./model-values.ts";
import type { CheckWords } from "./runtime/commands.ts";

/**
 * What the name of every server begins with that is found by DNS; the address follows. A server in a
 * backend's section with another name is somebody else's.
 */
const foundByDns = "dns.";

/** The name of the server at an address. */
export function serverNameAt(ip: string, port: number): string {
  return `${foundByDns}${ip}:${port}`;
}

/** True for a server that was found by DNS. */
export function isFoundByDns(server: string): boolean {
  return server.startsWith(foundByDns);
}

/** How HAProxy checks the servers of a backend; undefined where it does not. */
export function checkOf({ check }: BackendKeys): CheckWords | undefined {
  if (check === undefined) return undefined;
  const { inter, rise, fall } = check;
  const { fastinter = Math.min(inter, 500), downinter = Math.min(inter, 1000) } = check;
  return { inter, fastinter, downinter, rise, fall };
}

/** How many connections a server of a backend gets at once; the others wait. */
export function maxConnectionsOf({ maxConnections, maxClients }: BackendKeys): number {
  return maxConnections ?? maxClients;
}

/** Connections that the listeners of all backends take at once, and those of their hold servers. */
export function backendConnections({ backends }: Environment): number {
  return backends.reduce((sum, { maxClients }) => sum + maxClients + 1, 0);
}

/**
 * The template's values for every backend on one router.
 * @throws HaproxyModelError
 */
export function backendSections(environment: Environment, router: Router): TemplateModel[] {
  return environment.backends.map((backend, index) => {
    const path = `backends[${index}]`;
    const { mode, balance, check, port } = backend;
    const address = { host: router.listen.write.host, port };
    const { maxClients } = wholeNumbers({ maxClients: backend.maxClients }, path);
    const words = wholeNumbers(checkOf(backend) ?? {}, `${path}.check`);
    return {
      name: checked(nameValue, backend.name, `${path}.name`),
      mode,
      balance,
      http: mode === "http",
      address: addressText(address, `${path}.port`),
      holdAddress: addressText(reachableAddress(address), `${path}.port`),
      perServer: maxConnectionsOf(backend),
      maxClients,
      check: check !== undefined && {
        ...words,
        timeout: check.timeout,
        uri: check.uri !== undefined && checked(checkUriValue, check.uri, `${path}.check.uri`),
      },
    };
  });
}
