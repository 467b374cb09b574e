/**
 * Packets between a lab's containers, dropped where they pass this machine's bridges: for a cut, and
 * for what never works between hosts of containers (a container cannot reach a port that its own
 * host published). A container has addresses of its own, so a rule tells the two ends by them, and
 * holds for connections that are there already. nftables wiki, "Bridge filtering".
 */
import type { LabModel } from "../model.ts";
import { partNames, partsNamed } from "../model.ts";
import { addressesOf, tailnetBySite } from "./docker-names.ts";
import { chainsOf, CutError, runNft } from "./nft.ts";
import { chainName, cutOf, healScript, tableName } from "./packet-rules.ts";

const family = "bridge";
/** The chain that stands for as long as the lab does. */
export const ownHostChain = "own_host";

const isRoot = (): boolean => process.getuid?.() === 0;

type Pair = readonly [from: readonly string[], to: readonly string[]];

const set = (addresses: readonly string[]): string => `{ ${addresses.join(", ")} }`;

/** Text for nft: a chain that drops what goes from one side to another, for each pair of sides. */
export function dropScript(table: string, chain: string, pairs: readonly Pair[]): string {
  return [
    `add table ${family} ${table}`,
    `add chain ${family} ${table} ${chain} { type filter hook forward priority 1; policy accept; }`,
    ...pairs.map(
      ([from, to]) =>
        `add rule ${family} ${table} ${chain} ip saddr ${set(from)} ip daddr ${set(to)} counter drop`,
    ),
    "",
  ].join("\n");
}

/**
 * Text for nft: the same pairs are told at once that nobody listens there, where this machine shows
 * bridged packets to its IP filter (br_netfilter, as Docker sets it up). For a moment while a
 * container stops, Docker answers its name with its address between the sites; who gets that one
 * tries again, instead of waiting for an answer that never comes.
 */
export function refuseScript(table: string, chain: string, pairs: readonly Pair[]): string {
  return [
    `add table ip ${table}`,
    `add chain ip ${table} ${chain} { type filter hook forward priority -1; policy accept; }`,
    ...pairs.map(
      ([from, to]) =>
        `add rule ip ${table} ${chain} ip saddr ${set(from)} ip daddr ${set(to)} counter reject with tcp reset`,
    ),
    "",
  ].join("\n");
}

/**
 * Keeps the containers of each site from what their own host published: the addresses between the
 * sites. Without root it is left out.
 * @throws CutError
 */
export async function separateHosts(model: LabModel): Promise<boolean> {
  if (!isRoot()) return false;
  const sides = [...tailnetBySite(model).values()].filter((addresses) => addresses.length > 0);
  const pairs = sides.map((addresses): Pair => [addresses, addresses]);
  const table = tableName(model.name);
  const script = dropScript(table, ownHostChain, pairs) + refuseScript(table, ownHostChain, pairs);
  await runNft(script, `separate the hosts of lab ${model.name}`);
  return true;
}

/**
 * Cuts two hosts or parts off from each other; false when they are already.
 * @throws CutError
 */
export async function cutContainers(model: LabModel, one: string, other: string): Promise<boolean> {
  if (!isRoot()) throw new CutError(`cut ${one} ${other}: only root may drop packets`);
  const table = tableName(model.name);
  const chain = chainName(one, other);
  if ((await chainsOf(family, table)).includes(chain)) return false;
  const left = addressesOf(model, partsNamed(model, one));
  const right = addressesOf(model, partsNamed(model, other));
  const pairs = [[left, right] as const, [right, left] as const];
  await runNft(dropScript(table, chain, pairs), `cut ${one} ${other}`);
  return true;
}

/**
 * Undoes exactly one cut; false when there was none.
 * @throws CutError
 */
export async function healContainers(
  model: LabModel,
  one: string,
  other: string,
): Promise<boolean> {
  const table = tableName(model.name);
  const chain = chainName(one, other);
  if (!(await chainsOf(family, table)).includes(chain)) return false;
  await runNft(healScript(family, table, chain), `heal ${one} ${other}`);
  return true;
}

/** The cuts of a lab that stand now. */
export async function listContainerCuts(model: LabModel): Promise<[string, string][]> {
  if (!isRoot()) return [];
  const names = partNames(model);
  const chains = await chainsOf(family, tableName(model.name)).catch(() => []);
  return chains.flatMap((chain) => {
    const cut = cutOf(chain, names);
    return cut === undefined ? [] : [cut];
  });
}

/** Removes every rule of the lab called `name`, where the machine has a packet filter. */
export async function removePacketRules(name: string): Promise<void> {
  if (!isRoot()) return;
  const table = tableName(name);
  for (const one of [family, "ip"] as const) {
    const chains = await chainsOf(one, table).catch(() => []);
    if (chains.length > 0) await runNft(`delete table ${one} ${table}\n`, `rules of ${name}`);
  }
}
