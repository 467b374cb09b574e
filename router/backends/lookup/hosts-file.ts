/**
 * The hosts file (hosts(5)), which is asked before any name server, and the names that never leave
 * the machine (RFC 6761, 6.3). Read again when it has changed.
 */
import { readFile, stat } from "node:fs/promises";
import type { Clock } from "../../../kit/clock.ts";
import { readIp } from "./ip.ts";
import type { Ip } from "./ip.ts";

export interface HostsFile {
  /** The addresses of a name, lower case and without a dot at its end; none when it is not there. */
  addresses(name: string): Promise<readonly Ip[]>;
}

/** So long a file is taken for unchanged without a look: a thousand names cost one look. */
const unlookedMs = 1000;

/** A file of more is taken for none: it is somebody's list of advertisers, not of backends. */
const largestBytes = 16 * 1024 * 1024;

const loopback: readonly Ip[] = ["127.0.0.1", "::1"].flatMap((text) => readIp(text) ?? []);

/** Reads the lines of a hosts file: an address, then names, `#` before a remark. */
export function parseHosts(text: string): ReadonlyMap<string, readonly Ip[]> {
  const names = new Map<string, Ip[]>();
  for (const line of text.split("\n")) {
    const [address = "", ...aliases] = line.replace(/#.*/, "").trim().split(/\s+/);
    const ip = readIp(address);
    if (ip === undefined) continue;
    for (const alias of aliases) {
      const name = alias.toLowerCase();
      const known = names.get(name) ?? [];
      if (!known.some((one) => one.text === ip.text)) known.push(ip);
      names.set(name, known);
    }
  }
  return names;
}

/** The hosts file at `path`; one that cannot be read has no names. */
export function createHostsFile(path: string, clock: Clock): HostsFile {
  let names: ReadonlyMap<string, readonly Ip[]> = new Map();
  let version = "";
  let lookedAt = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;
  const look = async (): Promise<void> => {
    try {
      const { mtimeMs, size, ino } = await stat(path);
      const now = `${mtimeMs}/${size}/${ino}`;
      if (now !== version) names = size > largestBytes ? new Map() : await read(path);
      version = now;
    } catch {
      names = new Map();
      version = "";
    }
  };
  return {
    addresses: async (name) => {
      if (clock.monotonic() - lookedAt >= unlookedMs) {
        lookedAt = clock.monotonic();
        looking = look();
      }
      await looking;
      const found = names.get(name);
      if (found !== undefined) return found;
      return name === "localhost" || name.endsWith(".localhost") ? loopback : [];
    },
  };
}

async function read(path: string): Promise<ReadonlyMap<string, readonly Ip[]>> {
  return parseHosts(await readFile(path, "utf8"));
}
