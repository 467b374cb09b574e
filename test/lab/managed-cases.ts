/** A lab with a monitor and with names, as values: its parts, its environment, what is told to whom. */
import t from "tap";
import { parse } from "yaml";
import { formatAddress } from "../../kit/address.ts";
import {
  autoctlVariables,
  createMonitorWords,
  createNodeWords,
} from "../../lab/driver/autoctl-words.ts";
import { cutScript } from "../../lab/driver/packet-rules.ts";
import { processKeys } from "../../lab/driver/process-keys.ts";
import { parseLeftovers } from "../../lab/driver/leftovers.ts";
import { labEnvironment } from "../../lab/environment.ts";
import { modelLab, partNames, partOf } from "../../lab/model.ts";
import { refuseUnlessPossible } from "../../lab/up-checks.ts";

const whole = modelLab({
  ...({ name: "some-lab", driver: "process", index: 3, folder: "/state/some-lab" } as const),
  ...({ cluster: "pg_auto_failover", memberCount: 3, names: true, dnsPort: 53 } as const),
  ...({ appHosts: 2, pooling: "session", sharedBuffers: "64MB", archiveCommand: null } as const),
});
const place = {
  ...{ root: "/state", configFolder: "/config", engine: "unix:///var/run/docker.sock" },
  ...{ privileged: true, uid: 101 },
};
const programs = {
  ...{ haproxy: "/usr/sbin/haproxy", pgbouncer: "/usr/sbin/pgbouncer" },
  ...{ postgresFolder: "/usr/lib/postgresql/15/bin", autoctl: "/usr/bin/pg_autoctl" },
};

t.test("a monitor, a registry and resolvers stand beside the members", async (t) => {
  const one = modelLab({ ...whole, appHosts: 1 });
  const more = one.parts
    .filter(({ kind }) => ["monitor", "registry", "resolver"].includes(kind))
    .map(({ name, listens }) => `${name} ${listens.map(formatAddress).join(" ")}`);
  t.strictSame(more, [
    "dal-01/resolver 127.13.0.1:53 127.13.0.1:8054",
    "chi-02/resolver 127.13.0.2:53 127.13.0.2:8054",
    "dal-03/resolver 127.13.0.3:53 127.13.0.3:8054",
    "mon-01/monitor 127.13.2.1:5432",
    "ctl-01/registry 127.13.2.2:8053",
    "app-01/resolver 127.13.1.1:53 127.13.1.1:8054",
  ]);
  t.strictSame(partNames(one).slice(0, 6), [
    ...["dal-01", "chi-02", "dal-03", "mon-01", "ctl-01", "app-01"],
  ]);
  t.strictSame(
    one.members.map(({ slot }) => slot),
    ["pgautofailover_standby_1", "pgautofailover_standby_2", "pgautofailover_standby_3"],
  );
});

t.test("what does not go together is refused before anything is made", async (t) => {
  const alone = { driver: "process", cluster: "pair", memberCount: 2, names: false } as const;
  const table: readonly { name: string; given: object; want: RegExp | undefined }[] = [
    { name: "a pair", given: {}, want: undefined },
    { name: "a pair of containers", given: { driver: "docker" }, want: undefined },
    { name: "a pair with names", given: { names: true }, want: undefined },
    { name: "three", given: { cluster: "pg_auto_failover", memberCount: 3 }, want: undefined },
    { name: "a pair of three", given: { memberCount: 3 }, want: /--cluster pg_auto_failover/ },
    { name: "names of containers", given: { driver: "docker", names: true }, want: undefined },
    {
      name: "a monitor of containers",
      given: { driver: "docker", cluster: "pg_auto_failover" },
      want: /--driver/,
    },
  ];
  for (const { name, given, want } of table) {
    const check = (): void => refuseUnlessPossible({ ...alone, ...given });
    if (want === undefined) t.doesNotThrow(check, name);
    else t.throws(check, { code: "ERR_REFUSED", message: want }, name);
  }
});

t.test("pg_autoctl is told everything but a password", async (t) => {
  const node = partOf(whole, "chi-02", "postgres");
  const monitor = partOf(whole, "mon-01", "monitor");
  const rows = [createMonitorWords(programs, monitor), createNodeWords(programs, whole, node)];
  for (const words of rows) {
    t.equal(words[words.indexOf("--pgctl") + 1], "/usr/lib/postgresql/15/bin/pg_ctl");
    t.ok(words.includes("--skip-pg-hba"), "its own lines would let in by trust");
  }
  const uri = rows[1]?.at(-1);
  t.equal(uri, "postgres://autoctl_node@127.13.2.1:5432/pg_auto_failover?sslmode=require");
  for (const [name, value] of Object.entries(autoctlVariables(node))) {
    if (name === "PGUSER") continue;
    t.ok(value.startsWith("/state/some-lab/chi-02/postgres"), `${name} lies in the part's folder`);
  }
});

t.test("the kernel's tables of what processes share", async (t) => {
  // Recorded from Linux 6.18 on x86-64, cut to two rows each.
  const segments = [
    "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap",
    "   5709986     854796   600                    56 24455 24462      0   101 47301   101 47301 1795264385 1795264385 1795264375                  4096                     0",
    "   5717750     854797   600                    56 24474 24477      6   101 47311   101 47311 1795264384 1795264385 1795264376                  4096                     0",
    "",
  ].join("\n");
  const semaphores = [
    "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime",
    "         0         12   600          1   101 47340   101 47340 1795264384 1795264376",
    "",
  ].join("\n");
  t.strictSame(parseLeftovers(segments), [
    { id: 854_796, gid: 47_301, attached: 0 },
    { id: 854_797, gid: 47_311, attached: 6 },
  ]);
  t.strictSame(parseLeftovers(semaphores), [{ id: 12, gid: 47_340, attached: 0 }]);
  t.strictSame(parseLeftovers(""), []);
});

t.test("a managed lab with names says so in its environment file", async (t) => {
  const content = parse(labEnvironment(whole, processKeys(whole, place, programs))) as {
    members: { name: string; manager: string; control: { start: string[] } }[];
    monitor: object;
    registry: object;
  };
  t.strictSame(
    content.members.map(({ name, manager }) => `${name} ${manager}`),
    ["dal-01 pg_auto_failover", "chi-02 pg_auto_failover", "dal-03 pg_auto_failover"],
  );
  for (const { control } of content.members) {
    t.ok(control.start.includes("/usr/bin/pg_autoctl"), "what starts a member is its keeper");
  }
  t.strictSame(content.monitor, {
    address: "127.13.2.1:5432",
    password: "file:/state/some-lab/secrets/monitor",
  });
  t.strictSame(content.registry, {
    url: "http://127.13.2.2:8053",
    token: "file:/state/some-lab/secrets/registryToken",
    resolvers: [
      { name: "dal-01", address: "127.13.0.1:53" },
      { name: "chi-02", address: "127.13.0.2:53" },
      { name: "dal-03", address: "127.13.0.3:53" },
      { name: "app-01", address: "127.13.1.1:53" },
      { name: "app-02", address: "127.13.1.2:53" },
    ],
  });
});

t.test("a cut from a resolver loses questions as well", async (t) => {
  const router = partOf(whole, "app-01", "router");
  const resolver = partOf(whole, "app-01", "resolver");
  const rules = cutScript("a", "b", [router], [resolver]).split("\n");
  for (const protocol of ["tcp", "udp"]) {
    const rule = `meta skgid 47350 ip daddr 127.13.1.1 ${protocol} dport 53 counter drop`;
    t.equal(rules.filter((one) => one.endsWith(rule)).length, 1, protocol);
  }
});
