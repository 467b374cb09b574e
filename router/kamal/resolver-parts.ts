/**
 * The accessories of an environment's resolvers: each one node of the registry, published on one
 * address of its host for UDP and TCP. Pure.
 */
import { containerPorts, resolverState } from "../../config/kamal-words.ts";
import type { Environment, RegistryKeys } from "../../config/schema.ts";
import { formatAddress } from "../../kit/address.ts";
import type { AccessoryBody, Part } from "./accessory.ts";
import { KamalModelError } from "./accessory.ts";
import { published } from "./addresses.ts";
import { secretAs, secretNames } from "./secret-names.ts";

type Resolver = RegistryKeys["resolvers"][number];

/**
 * The resolvers that stand in containers; `image` is ours, `usualName` the container that Kamal makes
 * of an accessory without the resolver's own name.
 * @throws KamalModelError for one that has no node in the registry
 */
export function resolverParts(environment: Environment, image: string, usualName: string): Part[] {
  const { registry } = environment;
  if (registry === undefined) return [];
  const names = secretNames(environment);
  return registry.resolvers.flatMap((resolver, index): Part[] => {
    const { name, host, address } = resolver;
    const path = `registry.resolvers[${index}]`;
    if (host === undefined) return [];
    const body: AccessoryBody = {
      image,
      cmd: "dns-resolver",
      env: {
        clear: variablesOf(registry, resolver, path),
        secret: [secretAs("DNS_RESOLVER_TOKEN", names.resolver(name))],
      },
      // It answers by what it knew, while the registry is away and after a restart.
      volumes: [`${usualName}-${name}-state:${resolverState}`],
    };
    const port = published(address, containerPorts.resolver, `${path}.address`);
    const ports = [port, `${port}/udp`];
    return [{ kind: "resolver", name, path, host, container: undefined, published: ports, body }];
  });
}

function variablesOf(
  { zone, url }: RegistryKeys,
  { name, host, node, upstreams }: Resolver,
  path: string,
): Readonly<Record<string, string>> {
  if (node === undefined) {
    throw new KamalModelError(
      `${path}.node`,
      `expected its node in the registry, since host is ${host}: bin/registry node add ${name} makes one; it is missing`,
    );
  }
  const asked = upstreams.map(formatAddress).join(",");
  return {
    DNS_RESOLVER_LISTEN: `0.0.0.0:${containerPorts.resolver}`,
    DNS_RESOLVER_ZONE: zone,
    DNS_RESOLVER_REGISTRY: `http://${formatAddress(url)}`,
    DNS_RESOLVER_NODE: String(node.id),
    DNS_RESOLVER_STATE: resolverState,
    ...(asked === "" ? {} : { DNS_RESOLVER_UPSTREAMS: asked }),
  };
}
