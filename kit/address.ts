/**
 * Where something listens: a host and a port, and how they are written as one text. An IPv6 address
 * stands in brackets there, or its last group would read as a port (RFC 3986, 3.2.2).
 */

export interface Address {
  /** An IP address without brackets, or a name. */
  readonly host: string;
  readonly port: number;
}

/** Writes a host as it stands before a port: an IPv6 address in brackets. */
export function formatHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** Writes an address as `host:port`, or `[host]:port` for IPv6. */
export function formatAddress(address: Address): string {
  return `${formatHost(address.host)}:${address.port}`;
}
