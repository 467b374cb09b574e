/**
 * Finds and signals the processes of a part, as /proc shows them (proc(5)). As root a part's
 * processes carry its group id; otherwise they are ours, run a program of the lab and stand in the
 * part's folder. Both hold for children and for what a killed parent left behind.
 */
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { basename } from "node:path";
import { eventually } from "../../kit/clock.ts";
import type { Part } from "../model.ts";

export interface ProcessSeen {
  readonly pid: number;
  readonly parent: number;
  /** In clock ticks since boot: with the pid, it names one process for ever. */
  readonly startedAt: string;
  /** True for a process that is stopped by a signal (state T). */
  readonly stopped: boolean;
}

interface ProcessOfMachine extends ProcessSeen {
  readonly gid: number;
  readonly uid: number;
}

/** The programs of the parts that are ours, in the checkout. */
export const ownPrograms = {
  health: "sidecars/pg-health/main.ts",
  gate: "sidecars/pool-gate/main.ts",
  registry: "bin/commands/registry.ts",
  resolver: "sidecars/dns-resolver/main.ts",
} as const;

const programs = new Set([
  ...["postgres", "pgbouncer", "haproxy", "initdb", "pg_basebackup"],
  ...["pg_autoctl", "pg_rewind", "pg_ctl"],
]);

/** The processes of each of `parts` that run now, by part name; zombies do not count. */
export function processesOf(parts: readonly Part[]): Map<string, ProcessSeen[]> {
  const root = process.getuid?.() === 0;
  const found = new Map<string, ProcessSeen[]>(parts.map((one) => [one.name, []]));
  for (const seen of allProcesses()) {
    const part = root
      ? parts.find((one) => one.gid === seen.gid && sharesRoot(seen.pid))
      : partByFolder(parts, seen, process.getuid?.() ?? -1);
    if (part !== undefined) found.get(part.name)?.push(seen);
  }
  return found;
}

/** Programs of a lab that stand in `folder` or below, whoever started them. */
export function processesUnder(folder: string): ProcessSeen[] {
  return allProcesses().filter((one) => isUnder(folder, folderOf(one)));
}

/** Folders of labs (the places) that some process stands in, as far as we may see. */
export function placesInUse(): Set<string> {
  const places = allProcesses().flatMap((one) => {
    const place = /^(.*\/switchyard\/lab)\/[^/]+\/[^/]+\//.exec(`${folderOf(one) ?? ""}/`)?.[1];
    return place === undefined ? [] : [place];
  });
  return new Set(places);
}

/** False for a process of a container or chroot: a lab in there has group ids like ours. */
function sharesRoot(pid: number): boolean {
  try {
    const [ours, theirs] = [statSync("/"), statSync(`/proc/${pid}/root/`)];
    return ours.dev === theirs.dev && ours.ino === theirs.ino;
  } catch {
    return false;
  }
}

function partByFolder(
  parts: readonly Part[],
  seen: ProcessOfMachine,
  uid: number,
): Part | undefined {
  if (seen.uid !== uid) return undefined;
  const folder = folderOf(seen);
  return parts.find((one) => isUnder(one.folder, folder));
}

/** Where a program of a lab stands; undefined for other programs. */
function folderOf(seen: ProcessSeen): string | undefined {
  try {
    if (!isLabProgram(seen.pid) || !sharesRoot(seen.pid)) return undefined;
    return readlinkSync(`/proc/${seen.pid}/cwd`).replace(/ \(deleted\)$/, "");
  } catch {
    // It ended while we looked, or it is not ours to look at.
    return undefined;
  }
}

/** True for what a lab runs. Of Node only our sidecars are: any other may stand in a lab's folder. */
function isLabProgram(pid: number): boolean {
  const program = basename(readlinkSync(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, "");
  if (program !== "node") return programs.has(program);
  const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  return Object.values(ownPrograms).some((one) => words[1]?.endsWith(`/${one}`) === true);
}

function isUnder(folder: string, path: string | undefined): boolean {
  return path === folder || path?.startsWith(`${folder}/`) === true;
}

function allProcesses(): ProcessOfMachine[] {
  const pids = readdirSync("/proc").filter((entry) => /^[0-9]+$/.test(entry));
  return pids.flatMap((pid) => {
    const seen = readProcess(Number(pid));
    return seen === undefined ? [] : [seen];
  });
}

function readProcess(pid: number): ProcessOfMachine | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may hold anything, so fields are counted from its end.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state = "", parent = ""] = fields;
    if (state === "Z" || state === "X") return undefined;
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return {
      pid,
      parent: Number(parent),
      startedAt: fields[19] ?? "",
      stopped: state === "T" || state === "t",
      gid: Number(/^Gid:\s+([0-9]+)/m.exec(status)?.[1] ?? -1),
      uid: Number(/^Uid:\s+([0-9]+)/m.exec(status)?.[1] ?? -1),
    };
  } catch {
    return undefined;
  }
}

/** The process that the others of a part come from. */
export function mainOf(processes: readonly ProcessSeen[]): ProcessSeen | undefined {
  const pids = new Set(processes.map((one) => one.pid));
  return processes.find((one) => !pids.has(one.parent));
}

/** When the process started, in ticks since boot; undefined when there is none. */
export function startOf(pid: number): string | undefined {
  return readProcess(pid)?.startedAt;
}

/** Sends a signal; a process that has ended meanwhile is no failure. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/**
 * Signals every process of the parts again and again until `done` holds for what is left, because a
 * part may fork while it is looked at.
 * @throws DeadlineError
 */
export async function signalUntil(
  what: string,
  parts: readonly Part[],
  options: {
    signal: NodeJS.Signals;
    needsIt: (seen: ProcessSeen) => boolean;
    deadlineMs: number;
  },
): Promise<void> {
  await eventually(what, { deadlineMs: options.deadlineMs, intervalMs: 10 }, () => {
    const waiting = [...processesOf(parts).values()].flat().filter((one) => options.needsIt(one));
    for (const { pid } of waiting) signalProcess(pid, options.signal);
    return waiting.length === 0 ? true : undefined;
  });
}
