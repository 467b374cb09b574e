/**
 * A Docker Engine of a test's own, as a host of its own: dockerd in namespaces of processes, mounts
 * and networks, with its data in a folder of the test and a cable to this machine. Its end is a
 * host's power failure: every process on it is killed at once, and what only memory held is gone.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { access, mkdtemp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import { runChild } from "../../kit/child.ts";
import { eventually } from "../../kit/clock.ts";
import type { DockerEngine } from "../../kit/docker-engine.ts";
import { openEngine } from "../../kit/docker.ts";

const soon = { deadlineMs: 60_000, intervalMs: 100 };
/** For labs, whose networks are all in this one; the networks of this machine's own are smaller. */
const labRoute = "10.213.0.0/16";

export interface PrivateEngine {
  readonly url: string;
  readonly engine: DockerEngine;
  /** Everything that runs on it is killed at once. */
  crash(): Promise<void>;
  /** Starts it again, on the data that it had. */
  start(): Promise<void>;
}

/** Why this machine cannot have one; undefined when it can. */
export async function whyNoPrivateEngine(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "it takes root";
  for (const program of ["/usr/sbin/dockerd", "/usr/bin/unshare", "/usr/bin/nsenter"]) {
    const isThere = await access(program).then(
      () => true,
      () => false,
    );
    if (!isThere) return `there is no ${program}`;
  }
  return undefined;
}

interface Host {
  readonly folder: string;
  readonly cable: string;
  /** The addresses of the cable's ends: here, and there. */
  readonly ends: readonly [string, string];
  child: ChildProcess | undefined;
}

/** Starts one with the images named, copied from `from`; `t` takes it away. */
export async function startPrivateEngine(
  t: Test,
  from: string,
  images: readonly string[],
): Promise<PrivateEngine> {
  const folder = await mkdtemp("/var/tmp/sy-engine-");
  const number = process.pid % 250;
  const host: Host = {
    folder,
    cable: `sy${process.pid}`,
    ends: [`10.214.${number}.1`, `10.214.${number}.2`],
    child: undefined,
  };
  const url = `unix://${join(folder, "engine.sock")}`;
  const engine = openEngine({ url });
  t.teardown(async () => {
    engine.close();
    await crash(host);
    // Its containers' control groups are this machine's, and outlive them empty.
    const groups = ["/sys/fs/cgroup", "-depth", "-type", "d", "-path", `*/${host.cable}*`];
    await eventually("its control groups are gone", soon, async () => {
      await runChild("find", [...groups, "-exec", "rmdir", "{}", "+"], { deadlineMs: 20_000 });
      return true;
    });
    await rm(folder, { recursive: true, force: true });
  });
  await start(host, engine);
  await copyImages(from, url, images);
  return { url, engine, crash: () => crash(host), start: () => start(host, engine) };
}

/** In the namespaces: what a host does at its start, as far as an engine needs it. */
const boot = `
set -e
mkdir -p "$1/run" "$1/data"
mount -t tmpfs tmpfs "$1/run"
ip link set lo up
rm -f "$1/engine.sock"
dockerd --data-root "$1/data" --exec-root "$1/run" --pidfile "$1/run/dockerd.pid" \
  --host "unix://$1/engine.sock" --bridge none --iptables=false --ip-masq=false \
  --cgroup-parent "/$2" --shutdown-timeout 5 &
wait
`;

async function start(host: Host, engine: DockerEngine): Promise<void> {
  const { folder, cable, ends } = host;
  const namespaces = [
    "--mount",
    "--pid",
    "--net",
    "--fork",
    "--mount-proc",
    "--kill-child=SIGKILL",
  ];
  const words = [...namespaces, "/bin/sh", "-c", boot, "sh", folder, cable];
  const child = spawn("/usr/bin/unshare", words, { stdio: ["ignore", "pipe", "pipe"] });
  host.child = child;
  const log = createWriteStream(join(folder, "dockerd.log"), { flags: "a" });
  child.stdout?.pipe(log, { end: false });
  child.stderr?.pipe(log, { end: false });
  const first = await firstProcess(child);
  const inside = async (...argv: string[]): Promise<void> => {
    await ip(["/usr/bin/nsenter", "-t", String(first), "-n", "ip", ...argv]);
  };
  await ip([
    "ip",
    "link",
    "add",
    cable,
    "type",
    "veth",
    "peer",
    "name",
    "eth0",
    "netns",
    String(first),
  ]);
  await ip(["ip", "address", "add", `${ends[0]}/30`, "dev", cable]);
  await ip(["ip", "link", "set", cable, "up"]);
  await inside("address", "add", `${ends[1]}/30`, "dev", "eth0");
  await inside("link", "set", "eth0", "up");
  await inside("route", "add", "default", "via", ends[0]);
  await ip(["ip", "route", "add", labRoute, "via", ends[1]]);
  // As on a host's own bridges: this machine comes from the address of the network's gateway.
  const nat = `add table ip cable
add chain ip cable out { type nat hook postrouting priority 100; }
add rule ip cable out ip saddr ${ends[0]} masquerade
`;
  const nft = ["-t", String(first), "-n", "nft", "-f", "-"];
  await runChild("/usr/bin/nsenter", nft, { deadlineMs: 30_000, input: nat });
  await eventually("the private engine answers", soon, async (signal) => {
    if (child.exitCode !== null) throw new Error(await logOf(host));
    await engine.ping(signal);
    return true;
  });
}

async function ip([program = "", ...argv]: readonly string[]): Promise<void> {
  await runChild(program, argv, { deadlineMs: 30_000 });
}

async function logOf({ folder }: Host): Promise<string> {
  return (await readFile(join(folder, "dockerd.log"), "utf8")).slice(-2000);
}

/** The first process of the namespaces, as this machine counts. */
async function firstProcess(child: ChildProcess): Promise<number> {
  const path = `/proc/${child.pid}/task/${child.pid}/children`;
  return await eventually("the first process of the private host", soon, async () => {
    const [first] = (await readFile(path, "utf8")).trim().split(" ").filter(Boolean);
    return first === undefined ? undefined : Number(first);
  });
}

async function crash(host: Host): Promise<void> {
  const { child, cable } = host;
  host.child = undefined;
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  // The namespace's first process goes with it, and all others with that one.
  process.kill(await firstProcess(child), "SIGKILL");
  await ended;
  await eventually("the cable is gone", soon, async () => {
    const { code } = await runChild("ip", ["link", "show", cable], {
      deadlineMs: 30_000,
      accept: [0, 1],
    });
    return code === 1 ? true : undefined;
  });
}

async function copyImages(from: string, to: string, images: readonly string[]): Promise<void> {
  const script = 'docker -H "$1" save -- "$@" | docker -H "$2" load --quiet';
  const all = script.replace('-- "$@"', images.map((_, at) => `"\${${at + 3}}"`).join(" "));
  await runChild("/bin/sh", ["-c", all, "sh", from, to, ...images], { deadlineMs: 120_000 });
}
