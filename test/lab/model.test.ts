/** What a lab is made of, and the packet rules that follow from it: of processes, and of containers. */
import t from "tap";
import "./container-cases.ts";
import "./managed-cases.ts";
import { parse } from "yaml";
import { firstFree, holdPlace } from "../../lab/claim.ts";
import { environmentHead, isEnvironmentOf, labEnvironment } from "../../lab/environment.ts";
import { LabUnavailableError } from "../../lab/place.ts";
import { maximumAppHosts, maximumLabs, modelLab, partNames, partsNamed } from "../../lab/model.ts";
import type { LabModel, LabRequest } from "../../lab/model.ts";
import { processKeys } from "../../lab/driver/process-keys.ts";
import {
  chainName,
  connectionScript,
  cutOf,
  cutScript,
  healScript,
  parseSocketTable,
  tableName,
} from "../../lab/driver/packet-rules.ts";

const request: LabRequest = {
  name: "some-lab",
  driver: "process",
  cluster: "pair",
  memberCount: 2,
  names: false,
  dnsPort: 53,
  index: 3,
  folder: "/state/some-lab",
  appHosts: 2,
  pooling: "session",
  sharedBuffers: "64MB",
  archiveCommand: null,
};
const model = modelLab(request);
/** All that a lab can have. */
const whole: LabRequest = {
  ...request,
  cluster: "pg_auto_failover",
  memberCount: 3,
  names: true,
};
const place = {
  root: "/state",
  configFolder: "/config",
  engine: "unix:///var/run/docker.sock",
  privileged: true,
  uid: 101,
};
const programs = {
  haproxy: "/usr/sbin/haproxy",
  postgresFolder: "/usr/lib/postgresql/15/bin",
  pgbouncer: "/usr/sbin/pgbouncer",
  autoctl: "/usr/bin/pg_autoctl",
};

t.test("members and app hosts have the standard ports on addresses of the lab's own", async (t) => {
  t.strictSame(model.members, [
    {
      name: "dal-01",
      ordinal: 0,
      site: "dallas",
      slot: "dal_01",
      postgres: { host: "127.13.0.1", port: 5432 },
      pooler: { host: "127.13.0.1", port: 6432 },
      health: { host: "127.13.0.1", port: 8008 },
    },
    {
      name: "chi-02",
      ordinal: 1,
      site: "chicago",
      slot: "chi_02",
      postgres: { host: "127.13.0.2", port: 5432 },
      pooler: { host: "127.13.0.2", port: 6432 },
      health: { host: "127.13.0.2", port: 8008 },
    },
  ]);
  t.strictSame(model.apps[1], {
    name: "app-02",
    site: "chicago",
    router: "app-02",
    edgePooler: "app-02-edge",
    write: { host: "127.13.1.2", port: 6433 },
    read: { host: "127.13.1.2", port: 6434 },
    stats: { host: "127.13.1.2", port: 8404 },
    edge: { host: "127.13.1.2", port: 6432 },
    gate: { host: "127.13.1.2", port: 8009 },
  });
});

t.test("names of hosts and parts", async (t) => {
  t.strictSame(partNames(modelLab({ ...request, appHosts: 1 })), [
    "dal-01",
    "chi-02",
    "app-01",
    "dal-01/postgres",
    "dal-01/pooler",
    "dal-01/health",
    "chi-02/postgres",
    "chi-02/pooler",
    "chi-02/health",
    "app-01/router",
    "app-01/edge",
    "app-01/gate",
  ]);
  const table: readonly { name: string; want: readonly string[] }[] = [
    { name: "dal-01", want: ["dal-01/postgres", "dal-01/pooler", "dal-01/health"] },
    { name: "app-02", want: ["app-02/router", "app-02/edge", "app-02/gate"] },
    { name: "chi-02/pooler", want: ["chi-02/pooler"] },
    { name: "dal", want: [] },
    { name: "dal-01/", want: [] },
    { name: "", want: [] },
  ];
  for (const { name, want } of table) {
    t.strictSame(
      partsNamed(model, name).map((one) => one.name),
      want,
      JSON.stringify(name),
    );
  }
});

t.test("no two parts of all the labs that fit share an address or a group id", async (t) => {
  const parts = Array.from(
    { length: maximumLabs },
    (_, index) => modelLab({ ...whole, index, appHosts: maximumAppHosts }).parts,
  ).flat();
  const addresses = parts.flatMap((one) => one.listens.map((at) => `${at.host}:${at.port}`));
  const gids = parts.map((one) => one.gid);
  t.equal(new Set(addresses).size, addresses.length);
  t.equal(new Set(gids).size, parts.length);
  t.ok(gids.every((gid) => gid >= 47_000 && gid < 49_000));
});

t.test("the environment file names secrets by file and holds none", async (t) => {
  const text = labEnvironment(model, processKeys(model, place, programs));
  t.ok(text.startsWith(`${environmentHead}\n`));
  t.equal(isEnvironmentOf("/state/some-lab", text), true);
  t.equal(isEnvironmentOf("/elsewhere/some-lab", text), false);
  t.equal(isEnvironmentOf("/state/some-lab", `${environmentHead}\ncluster: x\n`), undefined);
  t.equal(isEnvironmentOf("/state/some-lab", text.slice(1)), false);
  const passwords = [...text.matchAll(/(?:password|token): (.*)/g)].map((match) => match[1]);
  t.equal(passwords.length, 1 + model.members.length + 2 * model.apps.length);
  for (const one of passwords) t.match(one, /^file:\/state\/some-lab\/secrets\/[a-zA-Z]+$/);
  const content = parse(text) as {
    routers: { runtime: string; adminSocket: string }[];
    edgePoolers: { poolMode: string }[];
  };
  t.strictSame(
    content.routers.map((one) => one.runtime),
    content.routers.map((one) => `unix:${one.adminSocket}`),
  );
  t.equal(new Set(content.routers.map((one) => one.adminSocket)).size, 2);
  t.strictSame(
    content.edgePoolers.map((one) => one.poolMode),
    ["session", "session"],
  );
});

t.test(
  "a cut has one chain whichever end is named first, and the chain says which cut",
  async (t) => {
    const names = partNames(model);
    const chains = new Set<string>();
    for (const one of names) {
      for (const other of names.filter((name) => name > one)) {
        const chain = chainName(one, other);
        chains.add(chain);
        t.equal(chain, chainName(other, one));
        t.match(chain, /^[a-z][a-z0-9_.]*$/, "nft takes it unquoted");
        t.strictSame(cutOf(chain, names), [one, other]);
      }
    }
    t.equal(chains.size, (names.length * (names.length - 1)) / 2);
    t.equal(cutOf("output", names), undefined);
    t.equal(cutOf("cut_dal_01__nobody", names), undefined);
  },
);

t.test("a cut drops what each side opens to the other, and nothing else", async (t) => {
  const [one, other] = [partsNamed(model, "app-01/router"), partsNamed(model, "dal-01/pooler")];
  t.equal(tableName("some-lab"), "switchyard_lab_some_lab");
  t.strictSame(cutScript("table_1", "chain_1", one, other).split("\n"), [
    "add table ip table_1",
    "add chain ip table_1 chain_1 { type filter hook output priority 0; policy accept; }",
    "add rule ip table_1 chain_1 meta skgid 47350 ip daddr 127.13.0.1 tcp dport 6432 counter drop",
    "add rule ip table_1 chain_1 meta skgid 47302 ip daddr 127.13.1.1 tcp dport 6433 counter drop",
    "add rule ip table_1 chain_1 meta skgid 47302 ip daddr 127.13.1.1 tcp dport 6434 counter drop",
    "add rule ip table_1 chain_1 meta skgid 47302 ip daddr 127.13.1.1 tcp dport 8404 counter drop",
    "",
  ]);
  t.equal(
    connectionScript("table_1", "chain_1", [
      { local: { host: "127.0.0.1", port: 40_000 }, remote: { host: "127.13.0.1", port: 6432 } },
    ]),
    [
      "add rule ip table_1 chain_1 ip saddr 127.0.0.1 tcp sport 40000 ip daddr 127.13.0.1 tcp dport 6432 counter drop\n",
      "add rule ip table_1 chain_1 ip saddr 127.13.0.1 tcp sport 6432 ip daddr 127.0.0.1 tcp dport 40000 counter drop\n",
    ].join(""),
  );
  t.equal(
    healScript("ip", "table_1", "chain_1"),
    "flush chain ip table_1 chain_1\ndelete chain ip table_1 chain_1\n",
  );
});

t.test("hosts that are cut off leave no pair of their parts connected", async (t) => {
  const small: LabModel = modelLab({ ...request, appHosts: 1 });
  const script = cutScript("a", "b", partsNamed(small, "dal-01"), partsNamed(small, "app-01"));
  const rules = script.split("\n").filter((line) => line.startsWith("add rule"));
  // Three parts to five addresses, and three parts to three addresses.
  t.equal(rules.length, 3 * 5 + 3 * 3);
  t.equal(new Set(rules).size, rules.length);
});

t.test("the kernel's table of sockets", async (t) => {
  // Recorded from Linux 6.18 on x86-64, cut to three rows.
  const recorded = [
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
    "   0: 0100007F:BAE4 01000A7F:1538 01 00000000:00000000 02:00000A2C 00000000   101        0 121872 2 00000000ca3a6f39 20 4 30 10 -1",
    "   1: 0200000A:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1066 1 000000000ce9d5b7 100 0 0 10 0",
    "   2: 01000A7F:1538 0100007F:BAE4 06 00000000:00000000 03:00001767 00000000     0        0 0 3 0000000045efbd2d",
    "",
  ].join("\n");
  t.strictSame(parseSocketTable(recorded), [
    {
      local: { host: "127.0.0.1", port: 47_844 },
      remote: { host: "127.10.0.1", port: 5432 },
      inode: "121872",
    },
    {
      local: { host: "10.0.0.2", port: 2024 },
      remote: { host: "0.0.0.0", port: 0 },
      inode: "1066",
    },
    {
      local: { host: "127.10.0.1", port: 5432 },
      remote: { host: "127.0.0.1", port: 47_844 },
      inode: "0",
    },
  ]);
});

t.test("a lab takes the first place that nothing is in the way of", async (t) => {
  const taken =
    (...indexes: number[]) =>
    async (index: number): Promise<void> => {
      if (indexes.includes(index)) throw new LabUnavailableError(`something is on ${index}`);
    };
  t.equal(await firstFree([2, 3, 5], taken()), 2);
  t.equal(await firstFree([2, 3, 5], taken(2, 3)), 5);
  await t.rejects(firstFree([2, 3, 5], taken(2, 3, 5)), {
    code: "ERR_LAB_UNAVAILABLE",
    message: /no place for a lab is free.*something is on 2/,
  });
  const broken = new TypeError("a mistake of ours is no reason to go on");
  await t.rejects(
    firstFree([2, 3], () => Promise.reject(broken)),
    broken,
  );
});

t.test("a place is one lab's while that is being made, whoever's it is", async (t) => {
  const noLabs = process.pid + 1000;
  const settle = await holdPlace(noLabs, "some");
  await t.rejects(holdPlace(noLabs, "other"), {
    code: "ERR_LAB_UNAVAILABLE",
    message: /^lab other needs place [0-9]+, .* being made: bin\/lab up --name some \(pid [0-9]+\)/,
  });
  settle();
  const again = await holdPlace(noLabs, "other");
  again();
});
