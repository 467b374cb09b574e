/**
 * Runs a real HAProxy from a configuration text, in a folder of its own, with its admin and master
 * sockets; and names the programs that live tests run against: the machine's HAProxy and those that
 * SWITCHYARD_TEST_HAPROXY lists, separated by colons.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, withDeadline } from "../../kit/clock.ts";
import { runChild } from "../../kit/child.ts";

export interface HaproxyProgram {
  readonly path: string;
  /** As `haproxy -v` says it, such as 2.6.12. */
  readonly version: string;
}

/** The HAProxy programs at hand, with their versions; empty where there is none. */
export async function haproxyPrograms(): Promise<HaproxyProgram[]> {
  const listed = (process.env["SWITCHYARD_TEST_HAPROXY"] ?? "").split(":").filter(Boolean);
  const found: HaproxyProgram[] = [];
  for (const path of ["/usr/sbin/haproxy", ...listed]) {
    const said = await runChild(path, ["-v"], { deadlineMs: 30_000 }).catch(() => undefined);
    const version = /^HA-?Proxy version ([0-9.]+)/.exec(said?.stdout ?? "")?.[1];
    if (version !== undefined) found.push({ path, version });
  }
  return found;
}

/** Paths that a configuration text has to name before HAProxy is started from it. */
export interface HaproxyPlace {
  readonly folder: string;
  readonly configuration: string;
  /** Path of the admin socket (`stats socket`). */
  readonly admin: string;
  /** Path of the master's socket. */
  readonly master: string;
}

/** Makes a new folder for one HAProxy; readable by the users that HAProxy may run as. */
export async function haproxyPlace(): Promise<HaproxyPlace> {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-haproxy-"));
  await chmod(folder, 0o755);
  return {
    folder,
    configuration: join(folder, "haproxy.cfg"),
    admin: join(folder, "admin.sock"),
    master: join(folder, "master.sock"),
  };
}

export interface RunningHaproxy extends HaproxyPlace {
  /** The master's pid. */
  readonly pid: number;
  /** What HAProxy has printed so far, both streams. */
  printed(): string;
  /** One command to the worker's admin socket; the whole answer. */
  askAdmin(command: string): Promise<string>;
  /** One command to the master's socket; the whole answer. */
  askMaster(command: string): Promise<string>;
  /** Ends HAProxy (all its processes) and removes the folder. Safe to call twice. */
  stop(): Promise<void>;
  /** Ends HAProxy at once (SIGKILL to the group) and keeps the folder, for a restart. */
  kill(): Promise<void>;
}

/**
 * Writes `text` to the place's configuration and starts HAProxy in master-worker mode; resolves when
 * the admin socket answers.
 * @throws Error with what HAProxy printed when it ends instead
 */
export async function startHaproxy(
  program: string,
  place: HaproxyPlace,
  text: string,
): Promise<RunningHaproxy> {
  await writeFile(place.configuration, text);
  const child = spawn(program, ["-W", "-db", "-S", place.master, "-f", place.configuration], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let printed = "";
  child.stdout.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  const running = handle(child, place, () => printed);
  try {
    await eventually("HAProxy answers", { deadlineMs: 20_000, intervalMs: 10 }, async () => {
      if (child.exitCode !== null) return "ended";
      return (await ask(place.admin, "show info").catch(() => "")) === "" ? undefined : "up";
    });
    if (child.exitCode !== null) throw new Error(`HAProxy ended: ${printed}`);
  } catch (error) {
    await running.stop();
    throw error;
  }
  return running;
}

function handle(child: ChildProcess, place: HaproxyPlace, printed: () => string): RunningHaproxy {
  const pid = child.pid ?? 0;
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const kill = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      endGroup(pid);
      await withDeadline("HAProxy's end", 20_000, () => ended);
    }
  };
  return {
    ...place,
    pid,
    printed,
    askAdmin: (command) => ask(place.admin, command),
    askMaster: (command) => askMaster(place.master, `${command};quit`),
    kill,
    stop: async () => {
      await kill();
      await rm(place.folder, { recursive: true, force: true });
    },
  };
}

/** The group is the child's own (detached): master and workers, nothing else. */
function endGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // It has just ended, and Node has yet to hear of it.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

const refused = new Set(["ECONNREFUSED", "ENOENT"]);

/** As `ask`. A master starts itself anew after it has started a worker: its socket is away meanwhile. */
async function askMaster(path: string, command: string): Promise<string> {
  const options = { deadlineMs: 20_000, intervalMs: 20 };
  const said = await eventually(`${command} on ${path}`, options, async () => {
    try {
      return { text: await ask(path, command) };
    } catch (error) {
      return refused.has(String((error as NodeJS.ErrnoException).code)) ? undefined : { error };
    }
  });
  if ("error" in said) throw said.error;
  return said.text;
}

/** Sends one line to a unix socket and reads to the end; deadline 10 s. */
function ask(path: string, command: string): Promise<string> {
  return withDeadline(`${command} on ${path}`, 10_000, async (signal) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const socket = connect(path);
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    socket.on("end", () => resolve(text));
    socket.on("error", reject);
    signal.addEventListener("abort", () => socket.destroy());
    socket.write(`${command}\n`);
    return await promise.finally(() => socket.destroy());
  });
}
