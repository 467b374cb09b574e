/**
 * Where a Runtime API listens: `unix:/path` or `tcp://host:port`, as the environment file writes it.
 */
export type RuntimeAddress =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

const unixPattern = /^unix:(\/[A-Za-z0-9._/@+-]{1,100})$/;
const tcpPattern = /^tcp:\/\/(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9.-]{1,253})):([1-9][0-9]{0,4})$/;

/**
 * Reads an address as config/schema.ts lets it pass.
 * @throws TypeError when the text is neither form, or the port is above 65535
 */
export function parseRuntimeAddress(text: string): RuntimeAddress {
  const path = unixPattern.exec(text)?.[1];
  if (path !== undefined) return { kind: "unix", path };
  const match = tcpPattern.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host !== undefined && port <= 65_535) return { kind: "tcp", host, port };
  throw new TypeError(
    `not a Runtime API address: ${JSON.stringify(text)}; expected unix:/path or tcp://host:port`,
  );
}
