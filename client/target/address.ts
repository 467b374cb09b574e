/** From endpoints of a target to the places to dial, and what tells two of these apart. */
import type { DialAddress } from "../search/finder.ts";
import type { NameAddress, Names } from "./names.ts";
import type { Endpoint } from "./target.ts";

/** `host:port`, with an IPv6 address in brackets; a socket's path stands alone. */
export function withPort(host: string, port: number): string {
  if (host.startsWith("/")) return host;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** What tells two addresses apart. The name counts: TLS verifies it. */
export function keyOf({ host, address, port }: DialAddress): string {
  return `${host} ${withPort(address, port)}`;
}

/** What tells two endpoints apart. */
export function endpointKey({ host, port, hostaddr }: Endpoint): string {
  return `${hostaddr ?? ""} ${withPort(host, port)}`;
}

/**
 * The places to dial for one endpoint, in the order of the answer. Without a port the path of a Unix
 * socket is the socket itself; with one it is the folder in which Postgres keeps it.
 * @throws what Names.addresses throws
 */
export async function addressesOf(
  names: Names,
  { host, port, hostaddr }: Endpoint,
  options: { readonly fresh: boolean; readonly signal?: AbortSignal | undefined },
): Promise<readonly DialAddress[]> {
  const { addresses } = await names.addresses(hostaddr ?? host, options);
  return placesOf({ host, port }, addresses);
}

/** As addressesOf, without a question: what was known last, however old; none where nothing is. */
export function knownAddresses(
  names: Names,
  { host, port, hostaddr }: Endpoint,
): readonly DialAddress[] {
  return placesOf({ host, port }, names.known(hostaddr ?? host));
}

function placesOf(
  { host, port }: Pick<Endpoint, "host" | "port">,
  addresses: readonly NameAddress[],
): readonly DialAddress[] {
  return addresses.map(({ address, family }) => ({
    host,
    // libpq: the name of the socket in its folder (PostgreSQL manual, 34.1.2, "host").
    address: family === 0 && port > 0 ? `${address}/.s.PGSQL.${port}` : address,
    family,
    port,
  }));
}
