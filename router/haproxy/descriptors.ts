/**
 * How many file descriptors a configuration takes, and how many the HAProxy of a router may have: a
 * worker that cannot get them does not start, and `haproxy -c` says nothing of it.
 */
import { readFile } from "node:fs/promises";
import type { Router } from "../../config/schema.ts";
import { InstallError } from "./install.ts";

/** HAProxy's own, beside those of listeners and servers. */
const spare = 30;

/** The name of both, master and worker, as the kernel gives it. */
const programName = "haproxy";

/** Linux's CAP_SYS_RESOURCE: whose has it may raise its own limits. capabilities(7) */
const mayRaise = 1n << 24n;

/**
 * About how many it takes: two for each connection, one for each listener and each check. HAProxy
 * Configuration Manual, "ulimit-n".
 * @returns undefined for a text without a global maxconn
 */
export function descriptorsOf(text: string): number | undefined {
  const lines = text.split("\n").map((line) => line.trim().split(/\s+/));
  // The section `global` is the first that says it.
  const count = lines.find(([word]) => word === "maxconn")?.[1];
  if (count === undefined) return undefined;
  const others = lines.filter(([word = ""]) => ["bind", "server"].includes(word));
  return 2 * Number(count) + others.length + spare;
}

/**
 * How many descriptors the HAProxy with the worker `pid` may have.
 * @returns undefined where nothing is known, or nothing limits it: on another machine, or with the
 * capability to raise its limits
 */
export async function descriptorLimit(pid: number): Promise<number | undefined> {
  try {
    if (!(await isHaproxy(pid))) return undefined;
    const master = Number(await statusOf(pid, "PPid"));
    const one = (await isHaproxy(master)) ? master : pid;
    const limits = await readFile(`/proc/${one}/limits`, "utf8");
    const hard = /^Max open files +\S+ +(\d+) /m.exec(limits)?.[1];
    const capabilities = BigInt(`0x${(await statusOf(one, "CapEff")) || "0"}`);
    return hard === undefined || (capabilities & mayRaise) !== 0n ? undefined : Number(hard);
  } catch {
    return undefined;
  }
}

async function isHaproxy(pid: number): Promise<boolean> {
  const name = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "");
  return name.trim() === programName;
}

/** A line of `/proc/PID/status`. proc(5) */
async function statusOf(pid: number, key: string): Promise<string> {
  const lines = (await readFile(`/proc/${pid}/status`, "utf8")).split("\n");
  return (lines.find((line) => line.startsWith(`${key}:`)) ?? "").slice(key.length + 1).trim();
}

/** HAProxy passes such a text, and its worker does not start. @throws InstallError */
export async function refuseTooMany({ name }: Router, text: string, pid: number): Promise<void> {
  const needed = descriptorsOf(text);
  const limit = await descriptorLimit(pid);
  if (needed === undefined || limit === undefined || needed <= limit) return;
  const what = `its worker would not start: it needs about ${needed} file descriptors, 2 for each connection, and may have ${limit}`;
  const ways =
    "give it more (LimitNOFILE, ulimit -n), or lower haproxy.maxConnections or backends[].maxClients";
  throw new InstallError("ERR_HAPROXY_CONFIGURATION", `${name}: ${what}: ${ways}`);
}
