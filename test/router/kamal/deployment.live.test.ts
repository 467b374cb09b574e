/**
 * docs/kamal.md on a real engine: what `bin/router ENV kamal` renders is booted as Kamal boots it, on
 * two hosts, an app writes through its edge pooler before and after the first flip, and the primary's
 * name leads there.
 */
import { randomUUID } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { Test } from "tap";
import { parse, stringify } from "yaml";
import { Secret } from "../../../config/secret.ts";
import { inCheckout, ownVersion } from "../../../kit/checkout.ts";
import { eventually } from "../../../kit/clock.ts";
import { withPgSession } from "../../../kit/pg-session.ts";
import type { AskPostgres } from "../../../kit/pg-session.ts";
import { addNode, createCluster } from "../../../registry/admin.ts";
import type { NewNode } from "../../../registry/contract.ts";
import { askName } from "../../../sidecars/dns-resolver/client.ts";
import { scramSecret } from "../../../lab/scram.ts";
import type { MountedFile } from "../../../router/kamal/accessory.ts";
import type { Accessories } from "../../../router/kamal/model.ts";
import { engineHere } from "../../support/containers.ts";
import { registryRig } from "../../support/registry.ts";
import { startRecovery } from "../../support/recovery-process.ts";
import { boot, makeYard } from "./boot.ts";
import type { Deployment, Yard } from "./boot.ts";

const soon = { deadlineMs: 60_000, intervalMs: 200 };
/** A refusal takes a flip its deadlines, and what comes after it a whole flip. */
const patient = { deadlineMs: 150_000, intervalMs: 200 };
const engine = await engineHere();

/** Why there is nothing to boot on or with; false where there is. */
async function whyNot(): Promise<string | false> {
  if (typeof engine === "string") return `no engine: ${engine}`;
  const version = await ownVersion();
  for (const one of ["switchyard", "haproxy", "pgbouncer", "postgres"]) {
    const image = `switchyard/${one}:${version}`;
    if ((await engine.findImage(image)) === null) return `no image ${image}: bin/setup --docker`;
  }
  return false;
}

const hosts = [
  { host: "dal", member: "dal-01", app: "app-01", ordinal: 1 },
  { host: "chi", member: "chi-02", app: "app-02", ordinal: 2 },
] as const;

/** Two hosts: each has a member, a router, an edge pooler and its pool-gate, and a resolver. */
function environmentTree({ prefix, subnet }: Yard, nodes: readonly NewNode[]) {
  const at = (ordinal: number, last: number, port: number): string =>
    `${subnet}.${100 + 10 * ordinal + last}:${port}`;
  const poolerAdmin = { user: "pooler_admin", password: "${NODE_POOLER_PASSWORD}" };
  return {
    cluster: "orders",
    // What is looked at is whether it works, on however busy a machine.
    thresholds: { probe: "10s" },
    login: { user: "switchyard", password: "${SWITCHYARD_PASSWORD}" },
    kamal: { service: prefix },
    hosts: hosts.map(({ host }) => ({ name: host, network: `${prefix}-${host}` })),
    members: hosts.map(({ host, member, ordinal }) => ({
      ...{ name: member, ordinal, host, slot: member.replace("-", "_") },
      postgres: at(ordinal, 1, 5432),
      pooler: { address: at(ordinal, 2, 6432), admin: poolerAdmin },
      health: `http://${at(ordinal, 3, 8008)}`,
      local: {
        pooler: `${prefix}-pgbouncer-${member}:6432`,
        health: `http://${prefix}-pg-health-${member}:8008`,
      },
      control: {
        container: `${prefix}-postgres-${member}`,
        poolerContainer: `${prefix}-pgbouncer-${member}`,
        data: "/var/lib/postgresql/data",
        programs: "/usr/lib/postgresql/17/bin",
      },
    })),
    routers: hosts.map(({ host, app }) => ({
      ...{ name: app, host },
      listen: { write: "0.0.0.0:6433", read: "0.0.0.0:6434", stats: "0.0.0.0:8404" },
      runtime: `docker://${prefix}-haproxy-${app}/run/haproxy/admin.sock`,
      master: `docker://${prefix}-haproxy-${app}/run/haproxy/master.sock`,
      configuration: { path: "/usr/local/etc/haproxy/haproxy.cfg" },
    })),
    edgePoolers: hosts.map(({ host, app, ordinal }) => ({
      ...{ name: app, host, databases: ["postgres"], poolMode: "transaction" },
      address: at(ordinal, 4, 6432),
      admin: { user: "pooler_admin", password: "${EDGE_POOLER_PASSWORD}" },
      gate: { url: `http://${at(ordinal, 5, 8009)}`, token: "${POOL_GATE_TOKEN}" },
    })),
    registry: {
      ...{ url: `http://${registryOf(subnet)}:8053`, token: "${REGISTRY_TOKEN}", deadline: "30s" },
      resolvers: hosts.map(({ host, ordinal }, index) => ({
        ...{ name: host, host, address: at(ordinal, 6, 53) },
        node: { id: nodes[index]?.id, token: `\${DNS_RESOLVER_TOKEN_${host.toUpperCase()}}` },
      })),
    },
  };
}

/** This machine's own address in the network between the hosts. */
function registryOf(subnet: string): string {
  return `${subnet}.1`;
}

/** A registry away from both hosts that knows them and the cluster, and what it gave for secrets. */
async function startNames(t: Test, { subnet }: Yard) {
  const { admin, folder, token } = await registryRig(t, registryOf(subnet));
  const file = join(folder, "switchyard.password");
  await writeFile(file, secret("SWITCHYARD_PASSWORD"), { mode: 0o600 });
  const probe = {
    kind: "probe",
    user: "switchyard",
    database: "postgres",
    tls: "disable",
  } as const;
  const nodes: NewNode[] = [];
  for (const { host } of hosts) nodes.push(await addNode(admin, { name: host }));
  const members = hosts.map(({ host, member, ordinal }) => ({
    ...{
      name: member,
      ordinal,
      node: host,
      address: `${subnet}.${101 + 10 * ordinal}`,
      port: 5432,
    },
  }));
  const source = { ...probe, password_file: file, interval_ms: 1000 };
  await createCluster(admin, { name: "orders", source, members });
  const tokens = nodes.map((one) => [`DNS_RESOLVER_TOKEN_${one.name.toUpperCase()}`, one.token]);
  return { nodes, given: { REGISTRY_TOKEN: token, ...Object.fromEntries(tokens) } };
}

/** .kamal/secrets, and the app's own password. */
const secrets: Readonly<Record<string, string>> = Object.fromEntries(
  [
    ...["SWITCHYARD_PASSWORD", "REPLICATOR_PASSWORD", "NODE_POOLER_PASSWORD"],
    ...["EDGE_POOLER_PASSWORD", "POOL_GATE_TOKEN", "ORDERS_PASSWORD"],
  ].map((name) => [name, randomUUID()]),
);
const secret = (name: string): string => secrets[name] ?? "";

async function ask<T>(
  address: { readonly host: string; readonly port: number },
  [user, password]: readonly [string, string],
  work: (say: AskPostgres) => Promise<T>,
): Promise<T> {
  const tls = { mode: "disable" } as const;
  const target = {
    title: `${user} at ${address.host}`,
    ...address,
    user,
    database: "postgres",
    tls,
  };
  return await withPgSession({ ...target, password: () => password }, { deadlineMs: 10_000 }, work);
}

await t.test("two hosts, from nothing to the first flip", { skip: await whyNot() }, async (t) => {
  if (typeof engine === "string") return;
  const yard = await makeYard(t, engine);
  const name = `kamal-live-${process.pid}`;
  const file = inCheckout(join("config", `${name}.yml`));
  t.teardown(() => rm(file, { force: true }));
  const { nodes, given } = await startNames(t, yard);
  const env = { ...secrets, ...given };
  await writeFile(file, stringify(environmentTree(yard, nodes)));
  const stateHome = t.testdir();
  const run = async (program: "router" | "recovery", ...words: string[]) => {
    const other = program === "router" ? { program } : {};
    const one = startRecovery(t, [name, ...words], { stateHome, env, ...other });
    const code = await one.end();
    const said = `${one.out()}${one.notes()}`;
    // What it said matters where it did not do it.
    if (code !== 0) t.comment(`bin/${program} ${words.join(" ")}: ${code}\n${said}`);
    return { code, out: one.out(), said };
  };

  const rendered = await run("router", "kamal", "--json");
  t.equal(rendered.code, 0, "rendered");
  const { yaml, files } = JSON.parse(rendered.out) as { yaml: string; files: MountedFile[] };
  const app = new Secret(secret("ORDERS_PASSWORD"));
  const users = `"orders" "${scramSecret(app)}"\n`;
  const texts = new Map([[`config/switchyard/${name}/users.txt`, users]]);
  for (const { local, text } of files) texts.set(local, text);
  const { accessories } = parse(yaml) as { accessories: Accessories };
  const deployment: Deployment = { accessories, files: texts, secrets: env };
  await Promise.all(Object.keys(accessories).map((one) => boot(t, yard, deployment, one)));

  await eventually("the routers are applied", soon, async () => {
    const { code, said } = await run("router", "apply");
    if (code !== 0) throw new Error(said);
    return true;
  });
  const superuser = ["switchyard", secret("SWITCHYARD_PASSWORD")] as const;
  const primary = { host: `${yard.subnet}.111`, port: 5432 };
  await eventually("the primary answers", soon, () =>
    ask(primary, superuser, (say) => say("SELECT 1")),
  );
  await ask(primary, superuser, async (say) => {
    await say(`CREATE ROLE orders LOGIN PASSWORD '${scramSecret(app)}'`);
    await say("CREATE TABLE written (id serial primary key, at text)");
    await say("GRANT ALL ON written, written_id_seq TO orders");
  });
  const healthy = async (): Promise<boolean> =>
    await eventually("topology is healthy", soon, async () => {
      const { code, said } = await run("recovery", "topology");
      if (code !== 0) throw new Error(said);
      return true;
    });
  await healthy();
  const write = async (): Promise<unknown> =>
    await ask({ host: `${yard.subnet}.114`, port: 6432 }, ["orders", app.reveal()], async (say) => {
      const statement = "INSERT INTO written (at) SELECT inet_server_addr() RETURNING at";
      return (await say(statement))[0]?.["at"];
    });
  const named = async (): Promise<string[]> =>
    await Promise.all(
      hosts.map(async ({ ordinal }) => {
        const address = { host: `${yard.subnet}.${106 + 10 * ordinal}`, port: 53 };
        const name = "primary.orders.temps.local";
        const said = await askName({ address, name, type: "A", deadlineMs: 10_000 });
        return said.addresses.join(" ");
      }),
    );
  const before = await write();
  t.same(await named(), Array(2).fill(primary.host), "the name leads to the primary");
  // A precheck may refuse while the machine is too busy to answer it; nothing was changed then.
  const flip = await eventually("a flip that is not refused", patient, async () => {
    const tried = await run("recovery", "flip-db", "--yes");
    if (tried.code === 3) throw new Error(tried.said);
    return tried;
  });
  t.equal(flip.code, 0, "flipped");
  t.match(flip.said, /loss +none, proven by/);
  t.not(await write(), before, "another member takes writes");
  // The flip waits for the names, but not for ever.
  await eventually("and the name leads there", soon, async () =>
    (await named()).every((one) => one === `${yard.subnet}.121`) ? true : undefined,
  );
  await healthy();
});
