/** A lab of containers as values: names, addresses, what each container is told, and packet rules. */
import t from "tap";
import { parse } from "yaml";
import { formatAddress } from "../../kit/address.ts";
import type { ContainerFacts } from "../../kit/docker-engine.ts";
import { maximumLabs, modelLab } from "../../lab/model.ts";
import { networks, subnetOf } from "../../lab/addresses.ts";
import { containerStates } from "../../lab/driver/docker-driver.ts";
import { dockerKeys } from "../../lab/driver/docker-keys.ts";
import {
  addressesOf,
  containerName,
  networkEnds,
  tailnetBySite,
} from "../../lab/driver/docker-names.ts";
import { dropScript, refuseScript } from "../../lab/driver/docker-packets.ts";
import { reachable } from "../../lab/driver/name-servers.ts";
import { specOf } from "../../lab/driver/docker-specs.ts";
import { labEnvironment } from "../../lab/environment.ts";

const model = modelLab({
  ...({ name: "demo", driver: "docker", index: 1, folder: "/labs/demo", appHosts: 2 } as const),
  ...({ pooling: "transaction", sharedBuffers: "64MB", archiveCommand: null } as const),
  ...({ cluster: "pair", memberCount: 2, names: false, dnsPort: 53 } as const),
});
const images = {
  ...{ postgres: "switchyard/postgres:1", pgbouncer: "switchyard/pgbouncer:1" },
  ...{ haproxy: "switchyard/haproxy:1", switchyard: "switchyard/switchyard:1" },
};
const place = { root: "/labs", images, nameServers: ["192.0.2.53"] };
const named = modelLab({ ...model, names: true });
const partOf = (name: string) => {
  const part = model.parts.find((one) => one.name === name);
  if (part === undefined) throw new TypeError(name);
  return part;
};

t.test(
  "names are Kamal's, and each container stands in its site and between the sites",
  async (t) => {
    const rows: readonly { part: string; name: string; site: string; tailnet: string }[] = [
      {
        part: "dal-01/postgres",
        name: "demo-postgres-dal-01",
        site: "10.213.4.101",
        tailnet: "10.213.6.101",
      },
      {
        part: "chi-02/pooler",
        name: "demo-pgbouncer-chi-02",
        site: "10.213.5.112",
        tailnet: "10.213.6.112",
      },
      {
        part: "app-01/router",
        name: "demo-haproxy-app-01",
        site: "10.213.4.151",
        tailnet: "10.213.6.151",
      },
      {
        part: "app-02/gate",
        name: "demo-pool-gate-app-02",
        site: "10.213.5.158",
        tailnet: "10.213.6.158",
      },
    ];
    for (const { part, name, site, tailnet } of rows) {
      t.equal(containerName(model, partOf(part)), name);
      t.strictSame(addressesOf(model, [partOf(part)]), [site, tailnet], part);
      t.equal(partOf(part).listens[0]?.host, tailnet, "others reach it there");
    }
    t.strictSame(
      networkEnds(model, partOf("chi-02/health")).map((one) => one.network),
      ["demo-chicago", "demo-tailnet"],
    );
  },
);

t.test("no two containers of all the labs that fit share an address or a subnet", async (t) => {
  const labs = Array.from({ length: maximumLabs }, (_, index) =>
    modelLab({ ...model, index, appHosts: 8, names: true }),
  );
  const addresses = labs.flatMap((one) => addressesOf(one, one.parts));
  t.equal(new Set(addresses).size, addresses.length);
  const subnets = labs.flatMap(({ index }) => networks.map((one) => subnetOf(index, one)));
  t.equal(new Set(subnets).size, subnets.length);
});

t.test("a container is told files, and never a secret", async (t) => {
  const specs = model.parts.map((part) => specOf(model, place, part));
  for (const spec of specs) {
    t.equal(spec.restart, "unless-stopped", spec.name ?? "");
    t.equal(spec.labels?.["org.switchyard.lab"], "demo");
    for (const [name, value] of Object.entries(spec.env ?? {})) {
      if (/PASS|TOKEN/.test(name)) t.match(value, /^\/[a-z/-]+$/, `${name} is a file`);
    }
  }
  const standby = specs.find((one) => one.name === "demo-postgres-chi-02");
  t.equal(standby?.command?.[0], "standby");
  t.match(
    standby?.env?.["PRIMARY_CONNINFO"] ?? "",
    /^host=10\.213\.6\.101 .*application_name=chi-02/,
  );
  const health = specs.find((one) => one.name === "demo-pg-health-dal-01")?.env ?? {};
  t.equal(health["PG_HEALTH_POSTGRES"], "demo-postgres-dal-01:5432", "its neighbour by name");
  t.equal(health["PG_HEALTH_PEERS"], "http://10.213.6.113:8008", "its peer by address");
});

t.test("with names, each container asks the resolver of its site first", async (t) => {
  const resolvers = named.parts.filter(({ kind }) => kind === "resolver");
  t.strictSame(
    resolvers.map(({ name, listens }) => `${name} ${listens.map(formatAddress).join(" ")}`),
    [
      "dallas/resolver 10.213.6.143:53 10.213.6.143:8054",
      "chicago/resolver 10.213.6.144:53 10.213.6.144:8054",
    ],
  );
  const rows: readonly { part: string; want: readonly string[] | undefined }[] = [
    { part: "dal-01/postgres", want: ["10.213.4.143", "10.213.6.144", "192.0.2.53"] },
    { part: "app-02/gate", want: ["10.213.5.144", "10.213.6.143", "192.0.2.53"] },
    { part: "chicago/resolver", want: undefined },
    { part: "ctl-01/registry", want: undefined },
  ];
  for (const { part, want } of rows) {
    const one = named.parts.find(({ name }) => name === part);
    if (one === undefined) throw new TypeError(part);
    t.strictSame(specOf(named, place, one).dns, want, part);
  }
  for (const part of model.parts) t.equal(specOf(model, place, part).dns, undefined, part.name);
  t.strictSame(
    networkEnds(named, named.parts.find(({ kind }) => kind === "registry") ?? partOf("")),
    [{ network: "demo-tailnet", address: "10.213.6.142" }],
    "the registry is on neither host",
  );
  const text = ["# nameserver 192.0.2.1", "nameserver 127.0.0.53", "nameserver ::1", "search lan"];
  t.strictSame(reachable(text.join("\n")), [], "a container's loopback is another one");
  const more = [
    "nameserver 192.0.2.1 # first",
    "\tnameserver 2001:db8::1",
    "nameserver fe80::1%e0",
  ];
  t.strictSame(reachable(more.join("\n")), ["192.0.2.1", "2001:db8::1"]);
});

t.test("the environment says hosts, local names and containers", async (t) => {
  const keys = dockerKeys(model, "unix:///var/run/docker.sock");
  const text = parse(labEnvironment(model, keys)) as Record<string, unknown[]>;
  t.match(text["hosts"], [{ name: "dallas", network: "demo-dallas" }, { name: "chicago" }]);
  t.match(text["members"], [
    {
      ...{ host: "dallas", postgres: "10.213.6.101:5432" },
      local: { pooler: "demo-pgbouncer-dal-01:6432", health: "http://demo-pg-health-dal-01:8008" },
      control: { container: "demo-postgres-dal-01", poolerContainer: "demo-pgbouncer-dal-01" },
    },
    { host: "chicago" },
  ]);
  t.match(text["routers"]?.[1], {
    host: "chicago",
    runtime: "docker://demo-haproxy-app-02/run/haproxy/admin.sock",
  });
});

t.test("packet rules name the two ends by address", async (t) => {
  const pairs = [
    [["10.0.0.1", "10.0.1.1"], ["10.0.0.2"]],
    [["10.0.0.2"], ["10.0.0.1", "10.0.1.1"]],
  ] as const;
  t.strictSame(dropScript("table_1", "chain_1", pairs).split("\n"), [
    "add table bridge table_1",
    "add chain bridge table_1 chain_1 { type filter hook forward priority 1; policy accept; }",
    "add rule bridge table_1 chain_1 ip saddr { 10.0.0.1, 10.0.1.1 } ip daddr { 10.0.0.2 } counter drop",
    "add rule bridge table_1 chain_1 ip saddr { 10.0.0.2 } ip daddr { 10.0.0.1, 10.0.1.1 } counter drop",
    "",
  ]);
  t.match(
    refuseScript("table_1", "chain_1", pairs),
    /priority -1;.*counter reject with tcp reset\n$/s,
  );
  const sides = [...tailnetBySite(model).values()];
  t.strictSame(
    sides.map((one) => one.length),
    [6, 6],
  );
  t.strictSame(
    sides[0]?.filter((address) => sides[1]?.includes(address)),
    [],
    "nobody is of both sites",
  );
});

t.test("how a part is, from what the engine says", async (t) => {
  const rows: readonly {
    name: string;
    part: string;
    facts?: Partial<ContainerFacts>;
    stopped?: boolean;
    want: string;
  }[] = [
    {
      name: "runs",
      part: "dal-01/postgres",
      facts: { status: "running", pid: 7 },
      want: "running",
    },
    {
      name: "paused",
      part: "dal-01/postgres",
      facts: { status: "paused", pid: 7 },
      want: "frozen",
    },
    {
      name: "between restarts",
      part: "app-01/edge",
      facts: { status: "restarting" },
      want: "crashed",
    },
    {
      name: "shut down by a tool",
      part: "dal-01/postgres",
      facts: { exitCode: 0 },
      want: "stopped",
    },
    { name: "killed", part: "dal-01/postgres", facts: { exitCode: 137 }, want: "crashed" },
    { name: "a pooler that ended", part: "app-01/edge", facts: { exitCode: 0 }, want: "crashed" },
    {
      name: "a pooler that was stopped",
      part: "app-01/edge",
      facts: {},
      stopped: true,
      want: "stopped",
    },
    { name: "removed by hand", part: "app-01/edge", want: "crashed" },
  ];
  for (const { name, part, facts, stopped = false, want } of rows) {
    const base = {
      name: containerName(model, partOf(part)),
      status: "exited",
      exitCode: 0,
      pid: 0,
    };
    const seen = facts === undefined ? [] : [{ ...base, ...facts } as ContainerFacts];
    const states = containerStates(model, { stopped: stopped ? [part] : [] }, seen);
    const state = states.find((one) => one.part === part);
    t.equal(state?.state, want, name);
    t.equal(state?.pid, facts?.pid ?? null, `${name}: its process`);
  }
});
