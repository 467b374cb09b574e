/** Whether a running worker has the servers that a configuration text names, at their addresses. */
import { isIpAddress } from "../../config/values.ts";
import { formatAddress } from "../../kit/address.ts";
import { isFoundByDns } from "./backend-sections.ts";

export interface NamedServer {
  readonly backend: string;
  readonly server: string;
  /** An IP address without brackets, or a name. */
  readonly host: string;
  readonly port: number;
}

/** The servers that a rendered configuration names, in its order. */
export function serversIn(text: string): NamedServer[] {
  const found: NamedServer[] = [];
  let section = "";
  for (const line of text.split("\n")) {
    section = /^(?:listen|backend|frontend) (\S+)/.exec(line)?.[1] ?? section;
    const [, server, host, port] = /^\s+server (\S+) (\S+):(\d+)(?: |$)/.exec(line) ?? [];
    if (server === undefined || host === undefined) continue;
    const bare = host.replace(/^\[|\]$/g, "");
    found.push({ backend: section, server, host: bare, port: Number(port) });
  }
  return found;
}

/**
 * What differs between the servers of a text and those that run; one line each, empty when none
 * does. A server that is addressed by name is compared by port alone; one that was found by DNS stands
 * in no text, and belongs where its section does.
 */
export function serverDrift(
  rendered: readonly NamedServer[],
  running: readonly NamedServer[],
): string[] {
  const key = (one: NamedServer): string => `${one.backend}/${one.server}`;
  const byKey = new Map(running.map((one) => [key(one), one]));
  const wanted = new Set(rendered.map(key));
  const sections = new Set(rendered.map((one) => one.backend));
  const belongs = (one: NamedServer): boolean =>
    wanted.has(key(one)) || (isFoundByDns(one.server) && sections.has(one.backend));
  return [
    ...rendered.flatMap((one) => {
      const seen = byKey.get(key(one));
      if (seen === undefined) return [`${key(one)} does not run`];
      const sameHost = !isIpAddress(one.host) || one.host === seen.host;
      if (sameHost && one.port === seen.port) return [];
      return [`${key(one)} runs at ${formatAddress(seen)} instead of ${formatAddress(one)}`];
    }),
    ...running.filter((one) => !belongs(one)).map((one) => `${key(one)} runs, unasked`),
  ];
}
