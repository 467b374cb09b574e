/**
 * Kamal's accessories: what is rendered from an environment, what is refused, and that an
 * environment which leaves to Kamal what it can is read back as the one it was rendered from.
 */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { parse } from "yaml";
import { exitCodeOf } from "../../../bin/cli/exit-codes.ts";
import type { Invocation } from "../../../bin/cli/command.ts";
import { processOutput } from "../../../bin/cli/output.ts";
import { run } from "../../../bin/commands/router/kamal.ts";
import { run as render } from "../../../bin/commands/router/render.ts";
import { inCheckout } from "../../../kit/checkout.ts";
import { accessoriesText, deployPlace, deployText } from "../../../router/kamal/document.ts";
import { mountedFiles } from "../../../router/kamal/files.ts";
import type { Accessory } from "../../../router/kamal/accessory.ts";
import {
  accessories,
  bareTree,
  deepMerged,
  kamalConfig,
  load,
  secretText,
  shapeOf,
  treeOf,
  variables,
} from "./sample.ts";
import type { Shape } from "./sample.ts";
import { modelCases, outputCases } from "./wrong-outputs.ts";

const fixtures = inCheckout("test/fixtures/kamal");
const seed = Number(process.env["SWITCHYARD_TEST_SEED"] ?? process.pid);
t.comment(`seed ${seed}: SWITCHYARD_TEST_SEED=${seed} repeats it`);

const plain: Shape = {
  ...{ name: "production", cluster: "orders", hosts: 2, members: 2, strange: false },
  ...{ network: "kamal", service: "shop", firstPort: 5432, ipv6: false },
};

/** The Kamal example as an operator has it: the output of `kamal config` lies beside it. */
async function example(): Promise<string> {
  const text = await readFile(inCheckout("config/kamal.example.yml"), "utf8");
  return text.replace("production.kamal.yml", join(fixtures, "made-from-facts.yml"));
}

t.test("the example is rendered as it was looked at", async (t) => {
  const environment = await load(parse(await example()) as Record<string, unknown>);
  const files = await mountedFiles(environment);
  const place = deployPlace("production");
  const text = await deployText(environment, accessories(environment), files, place);
  const golden = join(fixtures, "deploy.production.yml");
  if (process.env["SWITCHYARD_GOLDEN"] === "write") await writeFile(golden, text);
  t.equal(text, await readFile(golden, "utf8"), "SWITCHYARD_GOLDEN=write writes it anew");
});

t.test("what `kamal config` printed fills in what the environment leaves out", async (t) => {
  const { members, routers, edgePoolers, hosts } = await load(
    parse(await example()) as Record<string, unknown>,
  );
  t.match(members[1], {
    host: "chi-02",
    postgres: { host: "100.64.0.2", port: 5432 },
    pooler: { address: { host: "100.64.0.2", port: 6432 }, admin: { user: "pooler_admin" } },
    health: { host: "100.64.0.2", port: 8008 },
    local: {
      pooler: { host: "orders-pgbouncer-chi-02", port: 6432 },
      health: { host: "orders-pg-health-chi-02", port: 8008 },
    },
    control: {
      container: "heatwave-pg",
      data: "/var/lib/postgresql/data",
      poolerContainer: "orders-pgbouncer-chi-02",
    },
  });
  t.match(routers[1], {
    host: "chi-02",
    runtime: "docker://orders-haproxy/run/haproxy/admin.sock",
  });
  t.match(edgePoolers[1], {
    host: "chi-02",
    address: { host: "100.64.0.2", port: 6532 },
    gate: { url: { host: "100.64.0.2", port: 8009 } },
  });
  t.equal(hosts[1]?.engine, "tcp://100.64.0.2:2376", "what stands in the file goes before");
});

const placements = ["host", "hosts", "role", "roles", "tag", "tags"];

/** What Kamal 2.9 and these images ask of every accessory. */
function faultsOf(name: string, one: Accessory): string[] {
  const published = [
    one.port ?? [],
    (one.options?.["publish"] as string[] | undefined) ?? [],
  ].flat();
  const targets = (one.files ?? []).map(({ remote }) => remote);
  const faults = {
    "stands in one place": Object.keys(one).filter((key) => placements.includes(key)).length !== 1,
    "has no restart policy of its own": "restart" in (one.options ?? {}),
    "is pinned": !/:(?!latest$)[\w.-]+$/.test(one.image),
    "publishes on one address": published.some(
      (port) => !/^(\[fd|100\.)\S+:\d+:\d+(\/udp)?$/.test(port),
    ),
    "does not mount what tools rename": targets.some((path) => path.endsWith("haproxy.cfg")),
    "keeps secrets to their owner": (one.files ?? []).some(
      ({ local, mode }) => local.endsWith(".erb") !== (mode === "0400"),
    ),
  };
  return Object.entries(faults).flatMap(([what, isFault]) => (isFault ? [`${name}: ${what}`] : []));
}

t.test("rendered and read back it is the same environment, whatever the names", async (t) => {
  const folder = t.testdir();
  for (let round = 0; round < 40; round += 1) {
    const shape = shapeOf(seed + round);
    const whole = treeOf(shape);
    const environment = await load(whole, shape.name);
    const found = accessories(environment);
    const text = accessoriesText(found);
    t.same(
      parse(text, { version: "1.1" }),
      { accessories: found },
      "Ruby's YAML reads what was meant",
    );
    t.same(parse(text), { accessories: found });
    t.same(
      Object.entries(found).flatMap(([name, one]) => faultsOf(name, one)),
      [],
    );
    const files = await mountedFiles(environment);
    const mounted = Object.values(found).flatMap((one) =>
      (one.files ?? []).map(({ local }) => local),
    );
    t.same(new Set(files.map(({ local }) => local)), new Set(mounted), "every file has its source");
    t.notMatch(JSON.stringify([found, files]), secretText, "no secret in any of it");
    const file = join(folder, `${round}.kamal`);
    await writeFile(file, kamalConfig(found));
    const again = await load(bareTree(whole, file), shape.name);
    const expected = { ...environment, kamal: { ...environment.kamal, file } };
    t.same(
      again,
      expected,
      `SWITCHYARD_TEST_SEED=${seed + round} round 0: ${JSON.stringify(shape)}`,
    );
  }
});

t.test("accessories of two environments in deploy.yml and a destination do not mix", async (t) => {
  const folder = t.testdir();
  const production = treeOf(plain);
  const staging = treeOf({ ...plain, name: "staging", hosts: 1, members: 1, service: "stage" });
  const base = accessories(await load(staging, "staging"));
  const over = accessories(await load(production));
  const file = join(folder, "merged.yml");
  await writeFile(file, kamalConfig(deepMerged(base, over) as typeof over));
  const again = await load(bareTree(production, file));
  t.same(again.members, (await load(production)).members);
  t.same(again.routers, (await load(production)).routers);
});

t.test("an environment that Kamal cannot run is refused in words", async (t) => {
  for (const { name, change, want } of modelCases) {
    const tree = treeOf(plain);
    change(tree as unknown as Parameters<typeof change>[0]);
    const environment = await load(tree);
    try {
      accessories(environment);
      t.fail(`${name}: was taken`);
    } catch (error) {
      const { message } = error as Error;
      t.equal(message.slice(0, want.length), want, name);
      t.equal(exitCodeOf(error), 78);
    }
  }
});

t.test("an output that does not fit is one clear line", async (t) => {
  const folder = t.testdir();
  const whole = treeOf(plain);
  const right = kamalConfig(accessories(await load(whole)));
  for (const { name, text, want } of outputCases) {
    const file = join(folder, "x.kamal.yml");
    await writeFile(file, text(right));
    const error = await load(bareTree(whole, file)).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    const lines = String((error as Error | undefined)?.message).split("\n");
    t.ok(
      lines.some((line) => want.test(line)),
      `${name}: ${lines.join(" | ")}`,
    );
    t.equal(exitCodeOf(error), 78, name);
  }
  await t.rejects(load(bareTree(whole, "/nowhere/x.yml")), {
    message: /^x\.yml: kamal\.file: \/nowhere\/x\.yml: cannot be read: ENOENT/m,
  });
});

t.test("an accessory without labels is what the environment says it is", async (t) => {
  const folder = t.testdir();
  const whole = treeOf(plain);
  const found = accessories(await load(whole));
  const file = join(folder, "x.kamal.yml");
  await writeFile(file, kamalConfig(found).replaceAll(/ {4}labels:\n(?: {6}.*\n)+/g, ""));
  const bare = bareTree(whole, file);
  const listed = Object.entries(found).map(([name, one]) => ({
    name,
    part: one.labels["org.switchyard.part"],
  }));
  const kamal = { ...(bare["kamal"] as object), accessories: listed };
  t.same((await load({ ...bare, kamal })).members, (await load(whole)).members);
  const typo = [{ name: "postgres-db-0l", part: "db-01/postgres" }, ...listed.slice(1)];
  const error = await load({ ...bare, kamal: { ...kamal, accessories: typo } }).catch(
    (reason: Error) => reason,
  );
  t.match(
    (error as Error).message,
    /kamal\.accessories\[0\]\.name: .* has no accessory postgres-db-0l .*did you mean postgres-db-01\?/,
  );
});

t.test("secrets that differ have a name each", async (t) => {
  const tree = treeOf(plain);
  const [, second] = tree.members as { pooler: { admin: { password: string } } }[];
  if (second !== undefined) second.pooler.admin.password = "${OTHER}";
  const found = accessories(await load(tree));
  t.same(found["pgbouncer-db-02"]?.env?.secret, [
    "PGBOUNCER_ADMIN_PASSWORD:NODE_POOLER_PASSWORD_DB_02",
  ]);
  t.ok(
    found["pg-health-db-02"]?.env?.secret?.includes(
      "PG_HEALTH_POOLER_PASSWORD:NODE_POOLER_PASSWORD_DB_02",
    ),
  );
});

t.test("bin/router ENV kamal, and the poolers that it names", async (t) => {
  const name = `kamal-${process.pid}`;
  const file = inCheckout(join("config", `${name}.yml`));
  t.teardown(() => rm(file, { force: true }));
  Object.assign(process.env, variables);
  await writeFile(file, JSON.stringify(treeOf(plain)));
  const ask = async (command: typeof run, flags: Invocation["flags"]): Promise<string> => {
    const said: string[] = [];
    const output = { ...processOutput(), result: (line: string) => void said.push(line) };
    const { signal } = new AbortController();
    const words = { program: "router", command: "kamal", environment: name, arguments: [] };
    t.equal(await command({ ...words, flags, output, signal }), 0);
    return said.join("\n");
  };
  const yaml = await ask(run, { destination: "production" });
  t.match(yaml, /for config\/deploy\.production\.yml\n/);
  const json = JSON.parse(await ask(run, { json: true })) as {
    readonly accessories: object;
    readonly secrets: string[];
    readonly files: readonly { local: string; text: string }[];
  };
  t.same(parse(yaml), { accessories: json.accessories });
  t.ok(json.secrets.includes("SWITCHYARD_PASSWORD"));
  for (const { local, text } of json.files.slice(0, 3)) {
    t.equal(`${await ask(run, { file: local })}\n`, text, local);
  }
  const app = t.testdir();
  await ask(run, { write: app });
  for (const { local, text } of json.files) t.equal(await readFile(join(app, local), "utf8"), text);
  await t.rejects(ask(run, { write: join(app, "nowhere") }), { code: "ERR_USAGE" });
  await t.rejects(ask(run, { write: app, json: true }), { code: "ERR_USAGE" });
  await t.rejects(ask(run, { destination: "../x" }), { code: "ERR_USAGE" });
  await t.rejects(ask(run, { file: "nowhere" }), { code: "ERR_USAGE" });
  const node = await ask(render, { pooler: "db-01" });
  t.match(node, /^\* = host=shop-postgres-db-01 port=5432$/m);
  t.match(node, /^listen_addr = \*\nlisten_port = 6432$/m);
  t.match(node, /^logfile = \/dev\/null$/m);
  const ini = json.files.find(({ local }) => local.endsWith("/pgbouncer-db-01.ini"));
  t.equal(`${node}\n`, ini?.text, "render prints what the accessory mounts");
  const edge = await ask(render, { edge: "app-0", router: "app-0" });
  t.match(
    edge,
    /^orders = host=shop-haproxy port=6433$/m,
    "its router, by the name of the container",
  );
  t.match(edge, /^listen_addr = 0\.0\.0\.0\nlisten_port = 6432$/m);
});
