/**
 * A real router in a container of the image switchyard/haproxy, before two fake members: dal-01 is
 * of the router's own host, so that it is reached by a container's name, and chi-02 of another, by
 * address. Both run here; a container that is named as dal-01's local parts passes on to the first.
 */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import { parseEnvironment } from "../../config/load.ts";
import type { Environment, Router } from "../../config/schema.ts";
import { ownImages } from "../../config/kamal-words.ts";
import { inCheckout, ownVersion } from "../../kit/checkout.ts";
import { eventually } from "../../kit/clock.ts";
import { openEngine } from "../../kit/docker.ts";
import { removeNetwork, removeVolume } from "./containers.ts";
import type { ContainerSpec, DockerEngine } from "../../kit/docker-engine.ts";
import { startFakeMember } from "./fake-member.ts";
import type { FakeMember } from "./fake-member.ts";

const engineUrl = "unix:///var/run/docker.sock";
const label = "org.switchyard.test";
export const haproxyImage = ownImages(await ownVersion()).haproxy;

/** The engine of this machine, or why these tests cannot run. */
export async function engineForTests(): Promise<DockerEngine | string> {
  const engine = openEngine({ url: engineUrl });
  try {
    await engine.ping();
    if ((await engine.findImage(haproxyImage)) !== null) return engine;
    engine.close();
    return `there is no image ${haproxyImage}: bin/setup --docker`;
  } catch (error) {
    engine.close();
    return (error as Error).message;
  }
}

/** Containers, networks and volumes of one test, all removed at its end. */
export interface Yard {
  readonly engine: DockerEngine;
  /** The name of a part: of this test process alone. */
  readonly named: (part: string) => string;
  readonly network: string;
  /** The address under which containers reach this machine. */
  readonly gateway: string;
  /** Starts a container of `part` in the network; resolves with its address. */
  readonly start: (part: string, spec?: Partial<ContainerSpec>) => Promise<string>;
  readonly addressOf: (part: string) => Promise<string>;
}

let yards = 0;

/** A network, and containers in it as they are asked for. */
export async function openYard(t: Test, engine: DockerEngine): Promise<Yard> {
  yards += 1;
  const prefix = `sy-test-router-${process.pid}-${yards}`;
  const named = (part: string): string => `${prefix}-${part}`;
  const network = named("net");
  const started: string[] = [];
  await engine.createNetwork(network, { labels: { [label]: prefix } });
  t.teardown(async () => {
    for (const one of started) await engine.remove(one);
    for (const one of await engine.listVolumes({ [label]: prefix }))
      await removeVolume(engine, one);
    await removeNetwork(engine, network);
  });
  const addressOf = async (part: string): Promise<string> =>
    (await engine.inspect(named(part)))?.networks.find((one) => one.network === network)?.address ??
    "";
  const yard = {
    engine,
    named,
    network,
    addressOf,
    start: async (part: string, spec: Partial<ContainerSpec> = {}): Promise<string> => {
      started.push(named(part));
      for (const { source } of spec.mounts ?? []) {
        if (!source.startsWith("/")) await engine.createVolume(source, { [label]: prefix });
      }
      await engine.create({
        image: haproxyImage,
        labels: { [label]: prefix },
        ...spec,
        name: named(part),
        networks: [{ network }],
      });
      await engine.start(named(part));
      return await addressOf(part);
    },
  };
  const first = await yard.start("first", { entrypoint: ["sleep"], command: ["3600"] });
  return { ...yard, gateway: first.replace(/\.\d+$/, ".1") };
}

export interface ContainerRouter extends Yard {
  readonly environment: Environment;
  readonly router: Router;
  readonly dal: FakeMember;
  readonly chi: FakeMember;
  /** The address of the router's container. */
  readonly host: string;
}

/** Passes on what comes to a member's usual ports to those of the fake member here. */
export function passOn(gateway: string): Partial<ContainerSpec> {
  const lines = [
    `socat TCP-LISTEN:8008,fork,reuseaddr TCP:${gateway}:18008 &`,
    `exec socat TCP-LISTEN:6432,fork,reuseaddr TCP:${gateway}:16432`,
  ];
  return { entrypoint: ["sh"], command: ["-c", lines.join("\n")] };
}

/** Starts all of it: the router runs the image's own configuration still. */
export async function startContainerRouter(
  t: Test,
  engine: DockerEngine,
  url: string = engineUrl,
): Promise<ContainerRouter> {
  const yard = await openYard(t, engine);
  const { gateway, named } = yard;
  const ports = { pooler: 16_432, health: 18_008 };
  const dal = await startFakeMember("dal-01", gateway, "primary", ports);
  t.teardown(dal.stop);
  const far = { pooler: 26_432, health: 28_008 };
  const chi = await startFakeMember("chi-02", gateway, "standby", far);
  t.teardown(chi.stop);
  await yard.start("dal", passOn(gateway));
  const volume = { source: named("configuration"), target: "/usr/local/etc/haproxy" };
  const host = await yard.start("router", { mounts: [volume] });
  const environment = await writeEnvironment(t, yard, url);
  const [router] = environment.routers;
  if (router === undefined) throw new Error("the environment has a router");
  await eventually("the router's sockets", { deadlineMs: 45_000, intervalMs: 50 }, async () => {
    const argv = ["test", "-S", "/run/haproxy/admin.sock"];
    const { code } = await engine.exec(named("router"), argv, { deadlineMs: 20_000 });
    return code === 0 ? true : undefined;
  });
  return { ...yard, environment, router, dal, chi, host };
}

async function writeEnvironment(t: Test, yard: Yard, url: string): Promise<Environment> {
  const name = yard.named("env");
  const file = inCheckout(join("config", `${name}.yml`));
  const password = `${file}.secret`;
  t.teardown(() => Promise.all([rm(file, { force: true }), rm(password, { force: true })]));
  const text = environmentText(yard, url, password);
  await writeFile(password, "secret", { mode: 0o600 });
  await writeFile(file, text);
  return await parseEnvironment(text, { name, file: `config/${name}.yml`, variables: {} });
}

function environmentText({ named, gateway }: Yard, url: string, password: string): string {
  const local = named("dal");
  return `
cluster: heatwave
login: { user: switchyard, password: "file:${password}" }
hosts:
  - { name: dal-01, engine: "${url}", network: ${named("net")} }
  - { name: chi-02, engine: "${url}", network: ${named("net")} }
thresholds: { probe: 5s }
members:
  - name: dal-01
    ordinal: 0
    host: dal-01
    postgres: "127.0.0.9:5432"
    pooler: { address: "127.0.0.9:6432" }
    health: "http://127.0.0.9:8008"
    local: { pooler: "${local}:6432", health: "http://${local}:8008" }
  - name: chi-02
    ordinal: 1
    host: chi-02
    postgres: "${gateway}:25432"
    pooler: { address: "${gateway}:26432" }
    health: "http://${gateway}:28008"
routers:
  - name: app-01
    host: dal-01
    runtime: docker://${named("router")}/run/haproxy/admin.sock
    master: docker://${named("router")}/run/haproxy/master.sock
    listen: { write: "0.0.0.0:6433", read: "0.0.0.0:6434", stats: "0.0.0.0:8404" }
    configuration: { path: /usr/local/etc/haproxy/haproxy.cfg }
`;
}
