/**
 * The packet filter's side of a cut, as text for nft(8). All traffic of a lab has the same source
 * address, so a new connection is known by the group id of the process that opens it and by the
 * address it goes to; one that was there before the cut is known by its four numbers.
 */
import type { Address } from "../../kit/address.ts";
import { datagramsOf } from "../model.ts";
import type { Part } from "../model.ts";

/** The two ends of a TCP connection over IPv4. */
export interface Connection {
  readonly local: Address;
  readonly remote: Address;
}

/** The nft table of a lab; it stands while the lab has a cut. */
export function tableName(lab: string): string {
  return `switchyard_lab_${lab.replaceAll("-", "_")}`;
}

/** The chain of one cut; the same whichever end is named first. */
export function chainName(one: string, other: string): string {
  const [first = "", second = ""] = [one, other].toSorted();
  return `cut_${plain(first)}__${plain(second)}`;
}

// A dash and a slash stand for themselves in part names only, and nft takes letters, digits, _ and .
function plain(part: string): string {
  return part.replaceAll("-", "_").replaceAll("/", ".");
}

/** The two part names of a cut's chain, as far as `names` has them; undefined for another chain. */
export function cutOf(chain: string, names: readonly string[]): [string, string] | undefined {
  const ends = chain.startsWith("cut_") ? chain.slice("cut_".length).split("__") : [];
  const [one, other] = ends.map((end) => names.find((name) => plain(name) === end));
  return one === undefined || other === undefined ? undefined : [one, other];
}

/** Drops new connections between the parts of two sides, both ways. */
export function cutScript(
  table: string,
  chain: string,
  one: readonly Part[],
  other: readonly Part[],
): string {
  return [
    `add table ip ${table}`,
    `add chain ip ${table} ${chain} { type filter hook output priority 0; policy accept; }`,
    ...openings(one, other).map((rule) => `add rule ip ${table} ${chain} ${rule}`),
    ...openings(other, one).map((rule) => `add rule ip ${table} ${chain} ${rule}`),
    "",
  ].join("\n");
}

function openings(from: readonly Part[], to: readonly Part[]): string[] {
  const targets = to.flatMap((part) => [
    ...part.listens.map((at) => ({ ...at, protocol: "tcp" })),
    ...datagramsOf(part).map((at) => ({ ...at, protocol: "udp" })),
  ]);
  return from.flatMap(({ gid }) =>
    targets.map(
      ({ host, port, protocol }) =>
        `meta skgid ${gid} ip daddr ${host} ${protocol} dport ${port} counter drop`,
    ),
  );
}

/** Drops what still flows on connections that are there already, both ways. */
export function connectionScript(
  table: string,
  chain: string,
  connections: readonly Connection[],
): string {
  const rule = (from: Address, to: Address): string =>
    `add rule ip ${table} ${chain} ip saddr ${from.host} tcp sport ${from.port} ip daddr ${to.host} tcp dport ${to.port} counter drop`;
  return connections
    .flatMap(({ local, remote }) => [rule(local, remote), rule(remote, local)])
    .map((line) => `${line}\n`)
    .join("");
}

/** Removes one cut. */
export function healScript(family: "ip" | "bridge", table: string, chain: string): string {
  const place = `${family} ${table} ${chain}`;
  return `flush chain ${place}\ndelete chain ${place}\n`;
}

export interface SocketRow extends Connection {
  readonly inode: string;
}

/** Reads /proc/net/tcp (proc(5)): the IPv4 TCP sockets with their inodes. */
export function parseSocketTable(text: string): SocketRow[] {
  return text
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const fields = line.trim().split(/\s+/);
      const [, local = "", remote = "", , , , , , , inode = ""] = fields;
      const ends = [hexAddress(local), hexAddress(remote)];
      return ends[0] === undefined || ends[1] === undefined
        ? []
        : [{ local: ends[0], remote: ends[1], inode }];
    });
}

/** `0100007F:1F90` is 127.0.0.1:8080: the address in the byte order of the machine (little end). */
function hexAddress(text: string): Address | undefined {
  const match = /^([0-9A-F]{8}):([0-9A-F]{4})$/.exec(text);
  if (match === null) return undefined;
  const bytes = (match[1] ?? "").match(/../g) ?? [];
  const host = bytes
    .map((byte) => Number.parseInt(byte, 16))
    .toReversed()
    .join(".");
  return { host, port: Number.parseInt(match[2] ?? "", 16) };
}
