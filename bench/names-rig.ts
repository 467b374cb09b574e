/**
 * What the benches of names have in common: a real registry with as many nodes as are wanted, real
 * resolvers that follow it, and records to fill a zone with.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { eventually, withDeadline } from "../kit/clock.ts";
import { addNode, putRecords } from "../registry/admin.ts";
import type { RegistryTarget } from "../registry/client.ts";
import type { EndpointDraft } from "../registry/store/store.ts";
import {
  startResolverProcess,
  variablesOf,
} from "../test/sidecars/dns-resolver/resolver-process.ts";
import type { ResolverProcess } from "../test/sidecars/dns-resolver/resolver-process.ts";
import { nodeOf, temporaryFolder } from "../test/support/registry.ts";
import { namesOf, zone } from "./dns-servers.ts";

/** Takes what has to be ended; what came last ends first. */
export interface Teardown {
  teardown(fn: () => void | Promise<void>): void;
}

/** What one bench says: its figures beside what they must be and shall be. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: "ms" | "s" | "MB";
  readonly must: number;
  readonly aim: number;
  /** How it was measured, and how the single values lie. */
  readonly notes: readonly string[];
}

/** Runs `work`, and ends all that it started. */
export async function withTeardown<T>(work: (t: Teardown) => Promise<T>): Promise<T> {
  const endings: (() => void | Promise<void>)[] = [];
  try {
    return await work({ teardown: (fn) => void endings.unshift(fn) });
  } finally {
    for (const end of endings) await end();
  }
}

/** A record as the store and the interface both take it. */
type Draft = EndpointDraft & { readonly target_ip: string };

/** An A record of the zone, in seconds of TTL as the product writes them. */
export function addressRecord(name: string, address: string): Draft {
  const fqdn = `${name}.${zone}`;
  const rest = { target_port: null, ttl: 5, node_id: null };
  return { fqdn, record_type: "A", target_ip: address, ...rest };
}

/** Records for `count` names. */
export function recordsOf(count: number): Draft[] {
  return namesOf(count).map(({ name, address }) => addressRecord(name, address));
}

/** Gives the zone `count` names that stay. @returns the generation then */
export async function fill(admin: RegistryTarget, count: number): Promise<number> {
  return (await putRecords(admin, { kind: "static", id: 1 }, recordsOf(count))).generation;
}

/** A resolver on `host`:5300 as a node of its own, with these variables besides. */
export async function startNode(
  t: Teardown,
  { admin, url }: { readonly admin: RegistryTarget; readonly url: string },
  host: string,
  more: Readonly<Record<string, string>> = {},
): Promise<ResolverProcess> {
  const { id, target } = await nodeOf(admin, `node-${host.replaceAll(".", "-")}`);
  return await startResolverProcess(t, host, {
    ...variablesOf(host, url, await temporaryFolder(t)),
    DNS_RESOLVER_NODE: String(id),
    DNS_RESOLVER_TOKEN: target.token(),
    DNS_RESOLVER_LOG_LEVEL: "warn",
    ...more,
  });
}

/** A node, and the token that it has. */
export interface NodeRight {
  readonly id: number;
  readonly token: string;
}

const together = 50;

/** Makes `count` nodes. */
export async function addNodes(admin: RegistryTarget, count: number): Promise<NodeRight[]> {
  const made: NodeRight[] = [];
  while (made.length < count) {
    const names = Array.from(
      { length: Math.min(together, count - made.length) },
      (_, index) => `crowd-${made.length + index}`,
    );
    const batch = await Promise.all(names.map((name) => addNode(admin, { name })));
    made.push(...batch.map(({ id, token }) => ({ id, token })));
  }
  return made;
}

/** Waits until the registry holds this many polls. */
export async function untilHeld(url: string, count: number): Promise<void> {
  const wait = { deadlineMs: 60_000, intervalMs: 100 };
  await eventually(`${count} polls to be held`, wait, async () => {
    const text = await (await fetch(`${url}/metrics`)).text();
    const held = Number(/^\S*polls_held (\d+)/m.exec(text)?.[1]);
    if (held === count) return true;
    throw new Error(`${held} are`);
  });
}

/** Memory that a process holds (VmRSS), or has held at most (VmHWM), in MB. */
export async function memoryOf(pid: number, which: "VmRSS" | "VmHWM" = "VmRSS"): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`^${which}:\\s+(\\d+)`, "m").exec(status)?.[1]) / 1024;
}

/** The value below which `share` of them lie. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  const index = Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1);
  return sorted[Math.max(0, index)] ?? Number.NaN;
}

/** How values lie: least, middle, 99 of 100, most. */
export function spread(values: readonly number[]): string {
  const at = (share: number): string => quantile(values, share).toFixed(1);
  return `${at(0)} to ${at(1)}, median ${at(0.5)}, p99 ${at(0.99)} (${values.length})`;
}

/** A process of its own that works beside the bench. */
export interface Helper<T> {
  /** What it says next that fits. */
  next(fits?: (told: T) => boolean): Promise<T>;
}

const helperDeadlineMs = 120_000;

/** Starts `file` of this folder, hands it its plan, and ends it with the bench. */
export function startHelper<T>(t: Teardown, file: string, plan: object): Helper<T> {
  const child = fork(new URL(file, import.meta.url), {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const ended = once(child, "exit");
  t.teardown(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  child.send(plan);
  return {
    next: (fits = () => true) => {
      const { promise, resolve } = Promise.withResolvers<T>();
      const hear = (told: T): void => {
        if (fits(told)) resolve(told);
      };
      child.on("message", hear);
      const gone = async (): Promise<never> => {
        await ended;
        throw new Error(`${file} has ended`);
      };
      const work = (): Promise<T> => Promise.race([promise, gone()]);
      return withDeadline(file, helperDeadlineMs, work).finally(() => child.off("message", hear));
    },
  };
}
