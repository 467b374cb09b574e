/**
 * What `kamal accessory boot` does with rendered accessories, on the engine of this machine: uploads
 * the files, makes the folders, runs the container (Kamal 2.9, Commands::Accessory#run). Two hosts
 * are two networks here. What is published on an address of a host is that address of the container
 * in a third network, through which the hosts reach each other.
 */
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Test } from "tap";
import type { DockerEngine, Mount } from "../../../kit/docker-engine.ts";
import type { Accessory } from "../../../router/kamal/accessory.ts";
import type { Accessories } from "../../../router/kamal/model.ts";
import { removeNetwork, removeVolume } from "../../support/containers.ts";

export interface Yard {
  readonly engine: DockerEngine;
  /** What all names of this test begin with. */
  readonly prefix: string;
  /** The network between the hosts. */
  readonly between: string;
  /** The first three numbers of its addresses. */
  readonly subnet: string;
}

export interface Deployment {
  readonly accessories: Accessories;
  /** The files of the app's repository, by path. */
  readonly files: ReadonlyMap<string, string>;
  /** .kamal/secrets. */
  readonly secrets: Readonly<Record<string, string>>;
}

const label = "org.switchyard.test";

/** Makes the networks of two hosts and the one between them; `t` takes all of it away. */
export async function makeYard(t: Test, engine: DockerEngine): Promise<Yard> {
  const prefix = `sy-test-kamal-${process.pid}`;
  const labels = { [label]: prefix };
  t.teardown(async () => {
    const volumes = new Set<string>();
    for (const one of await engine.list(labels)) {
      for (const { source } of one.mounts) if (source.startsWith(prefix)) volumes.add(source);
      await engine.remove(one.id);
    }
    for (const name of await engine.listNetworks(labels)) await removeNetwork(engine, name);
    for (const name of volumes) await removeVolume(engine, name);
    engine.close();
  });
  const subnet = `10.214.${process.pid % 250}`;
  const between = `${prefix}-between`;
  await engine.createNetwork(between, { subnet: `${subnet}.0/24`, labels });
  for (const host of ["dal", "chi"]) await engine.createNetwork(`${prefix}-${host}`, { labels });
  return { engine, prefix, between, subnet };
}

/**
 * What ERB makes of our templates: comments go, and two forms are filled in. Ruby has made the same
 * of them.
 */
function erb(text: string, env: Readonly<Record<string, string>>, deployment: Deployment): string {
  return text
    .replaceAll(/<%#.*?%>/g, "")
    .replaceAll(/<%= ENV\.fetch\("(\w+)"\).*?%>/g, (_, name: string) => env[name] ?? "")
    .replaceAll(
      /<%= File\.read\("([^"]+)"\) %>/g,
      (_, file: string) => deployment.files.get(file) ?? "",
    );
}

/** Boots one accessory; as with Kamal, it need not be ready then. */
export async function boot(
  t: Test,
  yard: Yard,
  deployment: Deployment,
  name: string,
): Promise<void> {
  const accessory = deployment.accessories[name];
  if (accessory === undefined) {
    throw new TypeError(
      `no accessory ${name} in ${Object.keys(deployment.accessories).join(", ")}`,
    );
  }
  const { engine } = yard;
  const container = accessory.service;
  const env = { ...accessory.env?.clear, ...secretsOf(accessory, deployment) };
  await engine.create({
    name: container,
    image: accessory.image,
    ...(accessory.cmd === undefined ? {} : { command: accessory.cmd.split(" ") }),
    env,
    labels: { ...accessory.labels, [label]: yard.prefix },
    networks: [{ network: accessory.network }, ...publishedEnds(yard, accessory)],
    mounts: await mountsOf(t, accessory, env, deployment),
    restart: "unless-stopped",
    ...stopSignalOf(accessory),
  });
  await engine.start(container);
}

function secretsOf(accessory: Accessory, { secrets }: Deployment): Record<string, string> {
  const entries = (accessory.env?.secret ?? []).map((entry) => {
    const [variable = "", secret = variable] = entry.split(":");
    const value = secrets[secret];
    if (value === undefined) throw new TypeError(`.kamal/secrets has no ${secret}`);
    return [variable, value] as const;
  });
  return Object.fromEntries(entries);
}

function publishedEnds({ between }: Yard, { port }: Accessory) {
  const [address, outside, inside] = port?.split(":") ?? [];
  // Every container reaches other hosts, whether others reach it or not.
  if (address === undefined) return [{ network: between }];
  if (outside !== inside) throw new TypeError(`${port}: this yard maps no ports`);
  return [{ network: between, address }];
}

function stopSignalOf({ options }: Accessory): { readonly stopSignal?: string } {
  const stopSignal = options?.["stop-signal"];
  return typeof stopSignal === "string" ? { stopSignal } : {};
}

async function mountsOf(
  t: Test,
  accessory: Accessory,
  env: Readonly<Record<string, string>>,
  deployment: Deployment,
): Promise<Mount[]> {
  const home = await mkdtemp(join(tmpdir(), "switchyard-kamal-"));
  t.teardown(() => rm(home, { recursive: true, force: true }));
  await chmod(home, 0o755);
  const own = async (path: string, { mode, owner }: { mode: string; owner: string }) => {
    const [uid = 0, gid = 0] = owner.split(":").map(Number);
    await chmod(path, Number.parseInt(mode, 8));
    await chown(path, uid, gid);
  };
  const mounts: Mount[] = [];
  for (const one of accessory.directories ?? []) {
    const source = join(home, accessory.service, one.local);
    await mkdir(source, { recursive: true });
    await own(source, one);
    mounts.push({ source, target: one.remote });
  }
  for (const one of accessory.files ?? []) {
    const source = join(home, accessory.service, one.remote);
    await mkdir(dirname(source), { recursive: true });
    const text = deployment.files.get(one.local);
    if (text === undefined) throw new TypeError(`the repository has no ${one.local}`);
    await writeFile(source, one.local.endsWith(".erb") ? erb(text, env, deployment) : text);
    await own(source, one);
    mounts.push({ source, target: one.remote });
  }
  for (const one of accessory.volumes ?? []) {
    const [source = "", target = ""] = one.split(":");
    mounts.push({ source, target });
  }
  return mounts;
}
