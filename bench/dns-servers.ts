/**
 * The servers that bench/dns.ts compares, each started alone on core 0 with the same zone: Knot, the
 * resolver with each of its engines, and hickory-dns where a program for it is named.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inCheckout } from "../kit/checkout.ts";
import { eventually } from "../kit/clock.ts";
import { askName } from "../sidecars/dns-resolver/client.ts";
import { record, startFakeRegistry, token } from "../test/sidecars/dns-resolver/fake-registry.ts";
import type { FakeRegistry } from "../test/sidecars/dns-resolver/fake-registry.ts";

export const zone = "temps.local";
const nodeId = 7;

export interface Server {
  readonly name: string;
  readonly address: { readonly host: string; readonly port: number };
  readonly pid: number;
  stop(): Promise<void>;
}

/** The names of the zone, each with one address. */
export function namesOf(count: number): { readonly name: string; readonly address: string }[] {
  return Array.from({ length: count }, (_, index) => {
    const service = `svc${index >> 2}`;
    return {
      name: `${service}-${index & 3}.${service}`,
      address: `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`,
    };
  });
}

function zoneFile(count: number): string {
  return [
    `$ORIGIN ${zone}.`,
    "@ 30 IN SOA ns hostmaster 1 30 10 86400 5",
    "@ 30 IN NS ns",
    "ns 30 IN A 127.0.0.53",
    ...namesOf(count).map(({ name, address }) => `${name} 30 IN A ${address}`),
    "",
  ].join("\n");
}

interface Program {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly words: readonly string[];
  readonly variables?: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly proves: string;
  /** Core 0 when not given. */
  readonly cores?: string;
}

async function start(program: Program): Promise<Server> {
  const { name, host, port, words, variables, folder, proves, cores = "0" } = program;
  const child = spawn("taskset", ["-c", cores, ...words], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { PATH: "/usr/sbin:/usr/bin:/bin", ...variables },
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2000)));
  const { promise: exited, resolve } = Promise.withResolvers<void>();
  child.on("close", () => resolve());
  const address = { host, port };
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await eventually(name, { deadlineMs: 20_000, intervalMs: 50 }, async () => {
      // Whatever else answers there: a server of an earlier run is not the one that was started.
      if (child.exitCode !== null) throw new Error(`it ended: ${said}`);
      const asked = { address, name: proves, type: "A", deadlineMs: 500 } as const;
      return (await askName(asked)).addresses.length > 0 ? true : undefined;
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { name, address, pid: child.pid ?? 0, stop };
}

const folderOf = (): Promise<string> => mkdtemp(join(tmpdir(), "switchyard-bench-dns-"));
const lastName = (count: number): string => `${namesOf(count).at(-1)?.name}.${zone}`;

/** Knot with one worker for UDP. */
export async function startKnot(count: number): Promise<Server> {
  const folder = await folderOf();
  const [host, port] = ["127.53.50.1", 5300];
  await writeFile(join(folder, "zone"), zoneFile(count));
  const configuration = [
    "server:",
    `    rundir: ${folder}`,
    "    user: root:root",
    `    listen: ${host}@${port}`,
    "    udp-workers: 1",
    "    tcp-workers: 1",
    "    background-workers: 1",
    "database:",
    `    storage: ${folder}`,
    "zone:",
    `  - domain: ${zone}`,
    `    file: ${join(folder, "zone")}`,
    "",
  ].join("\n");
  await writeFile(join(folder, "knot.conf"), configuration);
  const words = ["knotd", "-c", join(folder, "knot.conf")];
  return await start({ name: "knot", host, port, words, folder, proves: lastName(count) });
}

/** hickory-dns, which `program` starts. */
export async function startHickory(count: number, program: string): Promise<Server> {
  const folder = await folderOf();
  const [host, port] = ["127.53.50.2", 5300];
  await writeFile(join(folder, "zone"), zoneFile(count));
  const configuration = [
    `listen_addrs_ipv4 = ["${host}"]`,
    `listen_port = ${port}`,
    "[[zones]]",
    `zone = "${zone}"`,
    'zone_type = "Primary"',
    'file = "zone"',
    "",
  ].join("\n");
  await writeFile(join(folder, "hickory.toml"), configuration);
  const words = [program, "-q", "-c", join(folder, "hickory.toml"), "-z", folder];
  return await start({ name: "hickory", host, port, words, folder, proves: lastName(count) });
}

export interface OwnServer extends Server {
  readonly registry: FakeRegistry;
  /** Bytes of memory that the process holds now. */
  memory(): Promise<number>;
}

/** The resolver, which follows a registry in this process. */
export async function startOwn(
  count: number,
  engine: "batched" | "dgram",
  cores = "0",
): Promise<OwnServer> {
  const folder = await folderOf();
  const [host, port] = ["127.53.50.3", 5300];
  const endings: (() => void | Promise<void>)[] = [];
  const teardown = (end: () => void | Promise<void>): void => void endings.unshift(end);
  const registry = await startFakeRegistry({ teardown }, { host, node: nodeId });
  registry.commit(
    namesOf(count).map(({ name, address }, index) => record(index + 1, name, address)),
  );
  const server = await start({
    name: engine,
    host,
    port,
    words: [inCheckout("bin/dns-resolver")],
    variables: {
      DNS_RESOLVER_LISTEN: `${host}:${port}`,
      DNS_RESOLVER_STATUS_LISTEN: `${host}:8054`,
      DNS_RESOLVER_REGISTRY: registry.url,
      DNS_RESOLVER_NODE: String(nodeId),
      DNS_RESOLVER_TOKEN: token,
      DNS_RESOLVER_STATE: folder,
      DNS_RESOLVER_ENGINE: engine,
      DNS_RESOLVER_LOG_LEVEL: "warn",
    },
    folder,
    cores,
    proves: lastName(count),
  });
  return {
    ...server,
    registry,
    memory: async () => {
      const status = await readFile(`/proc/${server.pid}/status`, "utf8");
      return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) * 1024;
    },
    stop: async () => {
      await server.stop();
      for (const end of endings) await end();
    },
  };
}
