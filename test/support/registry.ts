/** Real bin/registry processes for tests: one that runs, and verbs that run to their end. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inCheckout } from "../../kit/checkout.ts";
import { eventually } from "../../kit/clock.ts";
import { addNode } from "../../registry/admin.ts";
import type { RegistryTarget } from "../../registry/client.ts";
import { ask } from "./health-process.ts";

interface Teardown {
  teardown(fn: () => void | Promise<void>): void;
}

export type Variables = Readonly<Record<string, string>>;

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly notes: string;
}

const launcher = inCheckout("bin/registry");
const port = 8053;

/** A folder that ends with the test. */
export async function temporaryFolder(t: Teardown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "registry-test-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function spawned(words: readonly string[], variables: Variables): ChildProcess {
  const env = { PATH: process.env["PATH"] ?? "/usr/bin:/bin", ...variables };
  return spawn(launcher, words, { env, stdio: ["ignore", "pipe", "pipe"] });
}

/** Runs `bin/registry` with these words and variables to its end. */
export async function runRegistry(
  words: readonly string[],
  variables: Variables = {},
): Promise<Ended> {
  const child = spawned(words, variables);
  const text = { out: "", notes: "" };
  child.stdout?.on("data", (chunk: Buffer) => (text.out += chunk.toString("utf8")));
  child.stderr?.on("data", (chunk: Buffer) => (text.notes += chunk.toString("utf8")));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...text };
}

export interface RegistryProcess {
  readonly url: string;
  readonly address: { readonly host: string; readonly port: number };
  readonly child: ChildProcess;
  /** Its log and complaints so far. */
  readonly output: () => string;
  /** SIGTERM; resolves with its exit code. */
  readonly stop: () => Promise<number | null>;
  /** SIGKILL; resolves when it has ended. */
  readonly kill: () => Promise<void>;
}

/** Starts a registry on `host`:8053 and waits until it is ready; it ends with the test. */
export async function startRegistryProcess(
  t: Teardown,
  host: string,
  variables: Variables,
): Promise<RegistryProcess> {
  const running = launchRegistry(t, host, variables);
  const path = `registry on ${host}`;
  await eventually(path, { deadlineMs: 40_000, intervalMs: 20 }, async () => {
    if (running.child.exitCode !== null) throw new Error(`it ended: ${running.output()}`);
    return (await ask(running.address, "/readyz")).status === 200 ? true : undefined;
  });
  return running;
}

/** Starts one, and waits for nothing. */
export function launchRegistry(t: Teardown, host: string, variables: Variables): RegistryProcess {
  const child = spawned(["start"], { REGISTRY_LISTEN: `${host}:${port}`, ...variables });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => (output += chunk.toString("utf8")));
  }
  const closed = once(child, "close") as Promise<[number | null]>;
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    return (await closed)[0];
  };
  t.teardown(async () => void (await end("SIGKILL")));
  return {
    url: `http://${host}:${port}`,
    address: { host, port },
    child,
    output: () => output,
    stop: () => end("SIGTERM"),
    kill: async () => void (await end("SIGKILL")),
  };
}

/** Makes a store and its first admin token. @returns the token */
export async function initRegistry(folder: string, variables: Variables): Promise<string> {
  const file = join(folder, "admin.token");
  const { code, notes } = await runRegistry(["init", "--token-file", file], variables);
  if (code !== 0) throw new Error(`init ended with ${code}: ${notes}`);
  return (await readFile(file, "utf8")).trim();
}

export interface RegistryRig extends RegistryProcess {
  readonly folder: string;
  readonly token: string;
  /** The registry as its admin. */
  readonly admin: RegistryTarget;
  /** Adds a node; the registry as that node's agent. */
  readonly node: (
    name: string,
  ) => Promise<{ readonly id: number; readonly target: RegistryTarget }>;
}

/** A registry with an embedded store, ready, in a folder of its own. */
export async function registryRig(t: Teardown, host: string): Promise<RegistryRig> {
  const folder = await temporaryFolder(t);
  const variables = { REGISTRY_DATA: join(folder, "store") };
  const token = await initRegistry(folder, variables);
  const running = await startRegistryProcess(t, host, variables);
  const admin = { url: running.url, token: () => token };
  return { ...running, folder, token, admin, node: (name) => nodeOf(admin, name) };
}

/** Adds a node to a registry. @returns its id, and the registry as its agent asks it */
export async function nodeOf(
  admin: RegistryTarget,
  name: string,
): Promise<{ readonly id: number; readonly target: RegistryTarget }> {
  const made = await addNode(admin, { name });
  return { id: made.id, target: { url: admin.url, token: () => made.token } };
}
