/**
 * Asks the registry of an environment and its resolvers about the names of the cluster. What they
 * say is judged elsewhere, by pure functions.
 */
import type { Environment, RegistryKeys } from "../../config/schema.ts";
import type { Address } from "../../kit/address.ts";
import { formatAddress } from "../../kit/address.ts";
import { fetchCluster, fetchNodes } from "../../registry/client.ts";
import type { RegistryTarget } from "../../registry/client.ts";
import { askName } from "../../sidecars/dns-resolver/client.ts";
import { registrySaid } from "./said.ts";
import type { MemberHost, RegistrySaid, ResolverSaid } from "./said.ts";

/** Whom to ask, and for what. */
export interface Names {
  readonly registry: RegistryTarget;
  /** The registry's address, for the operator. */
  readonly address: string;
  readonly zone: string;
  /** What the registry calls the cluster. */
  readonly cluster: string;
  /** `primary.<cluster>.<zone>` */
  readonly primary: string;
  /** How long a flip waits for the names (ms). */
  readonly deadlineMs: number;
  readonly resolvers: readonly { readonly name: string; readonly address: Address }[];
  /** Where the environment has each member. */
  readonly members: readonly MemberHost[];
}

/** The names of the environment's cluster; undefined where no registry is declared. */
export function namesOf(
  environment: Pick<Environment, "cluster" | "registry" | "members">,
): Names | undefined {
  const { registry, members } = environment;
  if (registry === undefined) return undefined;
  const hosts = members.map(({ name, postgres }) => ({ name, host: postgres.host }));
  return { ...namesIn(registry, environment.cluster), members: hosts };
}

function namesIn(keys: RegistryKeys, clusterName: string): Omit<Names, "members"> {
  const { url, token, zone, deadline, resolvers, cluster = clusterName } = keys;
  return {
    registry: { url, token: () => token.reveal() },
    address: formatAddress(url),
    zone,
    cluster,
    primary: `primary.${cluster}.${zone}`,
    deadlineMs: deadline,
    resolvers,
  };
}

const notFound = 404;

/**
 * What the registry says of the cluster. That it knows neither the token nor the cluster is an
 * answer.
 * @throws RegistryUnreachableError, RegistryProblemError, the signal's reason
 */
export async function askRegistry(names: Names, signal: AbortSignal): Promise<RegistrySaid> {
  try {
    const [cluster, { nodes }] = await Promise.all([
      fetchCluster(names.registry, names.cluster, signal),
      fetchNodes(names.registry, {}, signal),
    ]);
    return registrySaid(names.primary, cluster, nodes);
  } catch (error) {
    signal.throwIfAborted();
    const { code, status, message } = error as { code?: string; status?: number } & Error;
    if (code === "ERR_REGISTRY_DENIED") return { kind: "denied", says: message };
    if (code === "ERR_REGISTRY_REQUEST" && status === notFound) {
      return { kind: "no-cluster", says: message };
    }
    throw error;
  }
}

/**
 * What the resolver at `address` answers for the name of the primary.
 * @throws ResolverError, or the signal's reason
 */
export async function askResolver(
  { primary, zone }: Pick<Names, "primary" | "zone">,
  address: Address,
  options: { readonly deadlineMs: number; readonly signal: AbortSignal },
): Promise<ResolverSaid> {
  const ask = (name: string, type: "A" | "AAAA" | "SOA") =>
    askName({ address, name, type, ...options });
  const [four, six, soa] = await Promise.all([
    ask(primary, "A"),
    ask(primary, "AAAA"),
    ask(zone, "SOA"),
  ]);
  return {
    rcode: four.rcode,
    authoritative: four.authoritative,
    addresses: [...four.addresses, ...six.addresses],
    ttl: four.ttl ?? six.ttl,
    serial: soa.serial,
  };
}
