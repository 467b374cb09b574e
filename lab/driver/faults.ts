/**
 * Cuts parts of a lab off from each other, as a network that loses every packet does: nothing is
 * refused or closed, and what was sent before the cut goes on after it by TCP's own retransmission.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { formatAddress } from "../../kit/address.ts";
import type { LabModel, Part } from "../model.ts";
import { partNames, partsNamed } from "../model.ts";
import { chainsOf, CutError, runNft } from "./nft.ts";
import {
  chainName,
  connectionScript,
  cutOf,
  cutScript,
  healScript,
  parseSocketTable,
  tableName,
} from "./packet-rules.ts";
import type { Connection } from "./packet-rules.ts";
import { processesOf } from "./processes.ts";

const family = "ip";

/**
 * Cuts two hosts or parts off from each other; false when they are already.
 * @throws CutError
 */
export async function cutParts(model: LabModel, one: string, other: string): Promise<boolean> {
  if (process.getuid?.() !== 0) {
    throw new CutError(
      `cut ${one} ${other}: only root may drop packets, and the parts of this lab have no group ids of their own: run the lab as root`,
    );
  }
  const table = tableName(model.name);
  const chain = chainName(one, other);
  if ((await chainsOf(family, table)).includes(chain)) return false;
  const what = `cut ${one} ${other}`;
  const [left, right] = [partsNamed(model, one), partsNamed(model, other)];
  await runNft(cutScript(table, chain, left, right), what);
  try {
    // Only now: a connection that was opened meanwhile is on the list, and no new one can open.
    const connections = connectionsBetween(left, right);
    if (connections.length > 0) await runNft(connectionScript(table, chain, connections), what);
    return true;
  } catch (error) {
    await healParts(model, one, other);
    throw error;
  }
}

/**
 * Undoes exactly one cut; false when there was none.
 * @throws CutError
 */
export async function healParts(model: LabModel, one: string, other: string): Promise<boolean> {
  const table = tableName(model.name);
  const chain = chainName(one, other);
  const chains = await chainsOf(family, table);
  if (!chains.includes(chain)) return false;
  const last = chains.length === 1;
  await runNft(
    last ? `delete table ${family} ${table}\n` : healScript(family, table, chain),
    `heal ${one} ${other}`,
  );
  return true;
}

/** The cuts of a lab that stand now. */
export async function listCuts(model: LabModel): Promise<[string, string][]> {
  if (process.getuid?.() !== 0) return [];
  const names = partNames(model);
  const chains = await chainsOf(family, tableName(model.name)).catch(() => []);
  return chains.flatMap((chain) => {
    const cut = cutOf(chain, names);
    return cut === undefined ? [] : [cut];
  });
}

/** Undoes all cuts of the lab called `name`, where the machine has a packet filter. */
export async function removeAllCuts(name: string): Promise<void> {
  const table = tableName(name);
  const chains = await chainsOf(family, table).catch(() => []);
  if (chains.length > 0) await runNft(`delete table ${family} ${table}\n`, `heal all of ${name}`);
}

/** The connections that a process of one side has to an address of the other side. */
function connectionsBetween(one: readonly Part[], other: readonly Part[]): Connection[] {
  const rows = parseSocketTable(readFileSync("/proc/net/tcp", "latin1"));
  const opened = (from: readonly Part[], to: readonly Part[]): Connection[] => {
    const inodes = socketInodes(from);
    const targets = new Set(to.flatMap((part) => part.listens.map(formatAddress)));
    return rows.filter(
      ({ inode, remote }) => inodes.has(inode) && targets.has(formatAddress(remote)),
    );
  };
  return [...opened(one, other), ...opened(other, one)];
}

function socketInodes(parts: readonly Part[]): Set<string> {
  const inodes = new Set<string>();
  for (const { pid } of [...processesOf(parts).values()].flat()) {
    for (const target of descriptorsOf(pid)) {
      const inode = /^socket:\[([0-9]+)\]$/.exec(target)?.[1];
      if (inode !== undefined) inodes.add(inode);
    }
  }
  return inodes;
}

function descriptorsOf(pid: number): string[] {
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).flatMap((descriptor) => {
      try {
        return [readlinkSync(`${folder}/${descriptor}`)];
      } catch {
        // Closed while we looked.
        return [];
      }
    });
  } catch {
    // The process has ended.
    return [];
  }
}
