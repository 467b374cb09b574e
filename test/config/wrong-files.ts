/** Environment files that are wrong, each with what it should say: the tables of config.test.ts. */

export type Tree = Record<string, unknown>;

export const secretText = "hunter2-correct-horse";
export const variables = { PASSWORD: secretText, TWO_LINES: "a\nb" };

function member(ordinal: number, more: Tree = {}): Tree {
  return {
    name: `db-0${ordinal}`,
    ordinal,
    postgres: `10.0.0.${ordinal}:5432`,
    pooler: { address: `10.0.0.${ordinal}:6432` },
    health: `http://10.0.0.${ordinal}:8008`,
    ...more,
  };
}

export function router(number: number, more: Tree = {}): Tree {
  return {
    name: `app-0${number}`,
    listen: { write: "0.0.0.0:6433", read: "0.0.0.0:6434", stats: "0.0.0.0:8404" },
    runtime: `unix:/run/app-0${number}.sock`,
    configuration: { path: "/etc/haproxy/haproxy.cfg" },
    ...more,
  };
}

export function edge(number: number): Tree {
  return {
    name: `edge-0${number}`,
    address: `10.0.1.${number}:6432`,
    admin: { user: "admin", password: "${PASSWORD}" },
    databases: ["orders"],
    poolMode: "transaction",
    gate: { url: "http://10.0.0.9:8009", token: "${PASSWORD}" },
  };
}

const hands = { data: "/data", start: ["start-postgres"] };
const inContainer = { data: "/data", container: "pg" };

export const base: Tree = {
  cluster: "orders",
  login: { user: "switchyard", password: "${PASSWORD}" },
  members: [member(1), member(2)],
  routers: [router(1), router(2)],
};

export function withLogin(more: Tree): Tree {
  return { ...base, login: { ...(base["login"] as Tree), ...more } };
}

const monitor = { address: "10.0.0.9:5432", password: "${PASSWORD}" };
const guard = { inter: "1s", fastinter: "1s", downinter: "1s", rise: 2, fall: 2, timeout: "1s" };
const anAddress =
  "expected host:port, such as 10.0.0.1:5432, db-1.example.com:5432 or [fd00::1]:5432";
const notInTheFile =
  "login.password: a secret never stands in the file: expected ${NAME} (an environment variable) or file:/absolute/path";

export const wrong: readonly { name: string; given: Tree | string; want: readonly string[] }[] = [
  { name: "empty file", given: "", want: ["is empty: expected a mapping of keys"] },
  { name: "only a comment", given: "# nothing\n", want: ["is empty: expected a mapping of keys"] },
  { name: "a list", given: "[]", want: ["expected a mapping of keys at the top"] },
  { name: "a number", given: "5", want: ["expected a mapping of keys at the top"] },
  {
    name: "not YAML",
    given: "a: b: c",
    want: ["not YAML: Nested mappings are not allowed in compact mappings at line 1, column 4"],
  },
  {
    name: "a key twice",
    given: "cluster: a\ncluster: b",
    want: ["not YAML: Map keys must be unique at line 2, column 1"],
  },
  {
    name: "two documents",
    given: "---\na: 1\n---\nb: 1",
    want: ["not YAML: Source contains multiple documents at line 3, column 1"],
  },
  {
    name: "a tag, which may be an unquoted password",
    given: `cluster: !${secretText} x`,
    want: ["not YAML: Unresolved tag at line 1, column 10"],
  },
  {
    name: "an alias without an anchor, which may be an unquoted password",
    given: `login: { password: *${secretText} }`,
    want: ["a YAML alias (*) names no anchor (&) before it"],
  },
  {
    name: "many laughs",
    given: `a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b]`,
    want: ["more YAML aliases than are taken"],
  },
  {
    name: "a merge key is a key like any other",
    given: { ...base, "<<": { aliases: [] } },
    want: ['"<<": unknown key; known here: aliases, cluster, login'],
  },
  {
    name: "a key that would be a prototype",
    given: JSON.stringify(base).replace("{", '{"__proto__":{"a":1},'),
    want: ["__proto__: unknown key"],
  },
  {
    name: "a mistyped key",
    given: { ...base, members: [{ ...member(1), ordnal: 1 }] },
    want: ["members[0].ordnal: unknown key; did you mean ordinal?"],
  },
  {
    name: "a mistyped key deeper down",
    given: { ...base, haproxy: { queueTimout: "5s" } },
    want: ["haproxy.queueTimout: unknown key; did you mean queueTimeout?"],
  },
  {
    name: "a key with an escape sequence",
    given: { ...base, "\u001B[31m": 1 },
    want: ['"\\u001b[31m": unknown key'],
  },
  {
    name: "missing values, all at once",
    given: { cluster: "orders" },
    want: [
      "login: expected a mapping of keys; it is missing",
      "members: expected a list of 1 to 16 members; it is missing",
    ],
  },
  {
    name: "a number for an address",
    given: { ...base, members: [member(1, { postgres: 5 })] },
    want: [`members[0].postgres: ${anAddress}; got 5`],
  },
  {
    name: "a connection string for an address",
    given: { ...base, members: [member(1, { postgres: `postgres://u:${secretText}@h/d` })] },
    want: [`members[0].postgres: ${anAddress}; got a text that may hold a secret`],
  },
  {
    name: "no member",
    given: { ...base, members: [] },
    want: ["members: expected a list of 1 to 16 members; got a list of 0"],
  },
  {
    name: "a mapping for a list",
    given: { ...base, members: {} },
    want: ["members: expected a list of 1 to 16 members; got a mapping"],
  },
  {
    name: "a list for a mapping",
    given: { ...base, login: ["a"] },
    want: ["login: expected a mapping of keys; got a list of 1"],
  },
  {
    name: "nothing after the colon",
    given: { ...base, haproxy: null },
    want: ["haproxy: expected a mapping of keys; got nothing"],
  },
  {
    name: "a broken number",
    given: { ...base, members: [member(1, { ordinal: 1.5 })] },
    want: ["members[0].ordinal: expected a whole number from 0 to 999; got 1.5"],
  },
  {
    name: "a number out of range",
    given: { ...base, members: [member(1, { ordinal: -1 })] },
    want: ["members[0].ordinal: expected a whole number from 0 to 999; got -1"],
  },
  {
    name: "not one of the words",
    given: withLogin({ tls: "prefer" }),
    want: ['login.tls: expected one of disable, require, verify-full; got "prefer"'],
  },
  {
    name: "a duration without a unit",
    given: { ...base, haproxy: { queueTimeout: "20" } },
    want: [
      'haproxy.queueTimeout: expected a duration from 1s to 10m, such as 300ms, 2s, 30m or 12h; got "20"',
    ],
  },
  {
    name: "a size that is too large",
    given: { ...base, thresholds: { lag: "2000000GB" } },
    want: [
      'thresholds.lag: expected a size from 0B to 1024GB, such as 64kB, 10MB or 1GB; got "2000000GB"',
    ],
  },
  {
    name: "an unknown word for a flap guard",
    given: { ...base, members: [member(1, { flapGuard: "slow" })] },
    want: ['members[0].flapGuard: expected auto, local, remote or a mapping of keys; got "slow"'],
  },
  {
    name: "a flap guard with a wrong, a missing and an unknown key",
    given: {
      ...base,
      members: [member(1, { flapGuard: { ...guard, rise: 0, fall: undefined, rize: 1 } })],
    },
    want: [
      "members[0].flapGuard.rise: expected a whole number from 1 to 20; got 0",
      "members[0].flapGuard.fall: expected a whole number from 1 to 20; it is missing",
      "members[0].flapGuard.rize: unknown key; did you mean rise?",
    ],
  },
  { name: "an inline secret", given: withLogin({ password: secretText }), want: [notInTheFile] },
  { name: "a number for a secret", given: withLogin({ password: 5 }), want: [notInTheFile] },
  { name: "a relative secret", given: withLogin({ password: "file:x" }), want: [notInTheFile] },
  {
    name: "a mapping for a secret",
    given: withLogin({ password: { text: secretText } }),
    want: ["login.password: expected ${NAME} or file:/absolute/path; got a mapping"],
  },
  {
    name: "a secret variable that is not set",
    given: withLogin({ password: "${NOPE}" }),
    want: ["login.password: environment variable NOPE is not set"],
  },
  {
    name: "a secret of two lines",
    given: withLogin({ password: "${TWO_LINES}" }),
    want: [
      "login.password: environment variable TWO_LINES holds a line break or another control character",
    ],
  },
];

export const contradictory: readonly { name: string; given: Tree; want: string }[] = [
  {
    name: "a name twice",
    given: { ...base, members: [member(1), member(2, { name: "db-01" })] },
    want: "members[1].name: db-01 stands twice; expected another than members[0].name",
  },
  {
    name: "a router's name twice",
    given: { ...base, routers: [router(1), router(2, { name: "app-01" })] },
    want: "routers[1].name: app-01 stands twice; expected another than routers[0].name",
  },
  {
    name: "an alias twice",
    given: { ...base, aliases: ["a", "a"] },
    want: "aliases[1]: a stands twice; expected another than aliases[0]",
  },
  {
    name: "an ordinal twice",
    given: { ...base, members: [member(1), member(2, { ordinal: 1 })] },
    want: "members[1].ordinal: 1 stands twice; expected another than members[0].ordinal",
  },
  {
    name: "a slot twice",
    given: { ...base, members: [member(1, { slot: "s" }), member(2, { slot: "s" })] },
    want: "members[1].slot: s stands twice; expected another than members[0].slot",
  },
  {
    name: "a pooler at another member's Postgres",
    given: { ...base, members: [member(1), member(2, { pooler: { address: "10.0.0.1:5432" } })] },
    want: "members[1].pooler.address: 10.0.0.1:5432 stands twice; expected another than members[0].postgres",
  },
  {
    name: "reads and writes at one address",
    given: {
      ...base,
      routers: [router(1, { listen: { write: "[::]:1", read: "[::]:1", stats: "[::]:2" } })],
    },
    want: "routers[0].listen.read: [::]:1 stands twice; expected another than routers[0].listen.write",
  },
  {
    name: "one Runtime API for two routers",
    given: { ...base, routers: [router(1), router(2, { runtime: "unix:/run/app-01.sock" })] },
    want: "routers[1].runtime: unix:/run/app-01.sock stands twice; expected another than routers[0].runtime",
  },
  {
    name: "two managers",
    given: { ...base, members: [member(1), member(2, { manager: "patroni" })] },
    want: "members[1].manager: expected the manager of members[0] (none): one manager runs a cluster; got patroni",
  },
  {
    name: "a monitor without its keepers",
    given: { ...base, monitor },
    want: "monitor: is used with manager: pg_auto_failover alone, on every member",
  },
  {
    name: "a monitor that is to be trusted, and no authority",
    given: {
      ...base,
      members: [member(1, { manager: "pg_auto_failover" })],
      monitor: { ...monitor, tls: "verify-full" },
    },
    want: "monitor.tlsCa: expected the path of a CA certificate, since tls is verify-full; it is missing",
  },
  {
    name: "one address for two resolvers",
    given: {
      ...base,
      registry: {
        url: "http://10.0.0.1:8053",
        token: "${PASSWORD}",
        resolvers: ["a", "b"].map((name) => ({ name, address: "10.0.0.1:53" })),
      },
    },
    want: "registry.resolvers[1].address: 10.0.0.1:53 stands twice; expected another than registry.resolvers[0].address",
  },
  {
    name: "a resolver on a host that is not there",
    given: {
      ...base,
      registry: {
        url: "http://10.0.0.1:8053",
        token: "${PASSWORD}",
        resolvers: [{ name: "a", address: "10.0.0.1:53", host: "b" }],
      },
    },
    want: "registry.resolvers[0].host: expected one of hosts (there is none); got b",
  },
  {
    name: "a site here and none there",
    given: {
      ...base,
      members: [member(1, { site: "a" }), member(2, { site: "b" })],
      routers: [router(1, { site: "a" }), router(2)],
    },
    want: "routers[1].site: expected a site, since others have one; it is missing",
  },
  {
    name: "a flap guard that hurries slowly",
    given: { ...base, members: [member(1, { flapGuard: { ...guard, fastinter: "90s" } })] },
    want: "members[0].flapGuard.fastinter: expected a duration from 50ms to 1m",
  },
  {
    name: "a flap guard with fastinter above inter",
    given: { ...base, members: [member(1, { flapGuard: { ...guard, fastinter: "2s" } })] },
    want: "members[0].flapGuard.fastinter: expected at most inter (1s); got 2s",
  },
  {
    name: "verify-full without an authority",
    given: withLogin({ tls: "verify-full" }),
    want: "login.tlsCa: expected the path of a CA certificate, since tls is verify-full; it is missing",
  },
  {
    name: "an authority that nothing uses",
    given: withLogin({ tls: "require", tlsCa: "/ca.crt" }),
    want: "login.tlsCa: is used with tls: verify-full alone; tls is require",
  },
  {
    name: "a member by name without a resolver",
    given: { ...base, members: [member(1, { pooler: { address: "db.example.com:6432" } })] },
    want: "haproxy.resolver: expected the address of a DNS server, since db-01 is addressed by name; it is missing",
  },
  {
    name: "one data directory for two members on this machine",
    given: { ...base, members: [1, 2].map((one) => member(one, { control: hands })) },
    want: "members[1].control.data: /data stands twice; expected another than members[0].control.data",
  },
  {
    name: "one data directory for two members behind one shell",
    given: {
      ...base,
      members: [1, 2].map((one) => member(one, { control: { ...hands, shell: ["ssh", "db"] } })),
    },
    want: "members[1].control.data: /data over ssh db stands twice; expected another than members[0].control.data",
  },
  {
    name: "one gate for two edge poolers",
    given: { ...base, edgePoolers: [edge(1), edge(2)] },
    want: "edgePoolers[1].gate.url: 10.0.0.9:8009 stands twice; expected another than edgePoolers[0].gate.url",
  },
  {
    name: "a queue shorter than a connect",
    given: { ...base, haproxy: { connectTimeout: "20s" } },
    want: "haproxy.queueTimeout: expected more than connectTimeout (20s); got 20s",
  },
  {
    name: "a member on a host that is not there",
    given: { ...base, members: [member(1, { host: "dal" }), member(2)] },
    want: "members[0].host: expected one of hosts (there is none); got dal",
  },
  {
    name: "a container without a host",
    given: { ...base, members: [member(1, { control: inContainer })] },
    want: "members[0].host: expected one of hosts, since control.container is given; it is missing",
  },
  {
    name: "a router in a container without a host",
    given: { ...base, routers: [router(1, { runtime: "docker://haproxy/run/admin.sock" })] },
    want: "routers[0].host: expected one of hosts, since its address is docker://; it is missing",
  },
  {
    name: "an engine over TCP that asks for no certificate",
    given: { ...base, hosts: [{ name: "dal", engine: "tcp://10.0.0.1:2376" }] },
    want: "hosts[0].tls: expected ca, cert and key, since engine is tcp://: who reaches it without is root there",
  },
  {
    name: "certificates for an engine that is not reached over TCP",
    given: { ...base, hosts: [{ name: "dal", tls: { ca: "/a", cert: "/b", key: "/c" } }] },
    want: "hosts[0].tls: is used with tcp:// alone; got unix:///var/run/docker.sock",
  },
  {
    name: "an engine by a word that ssh would take for an option",
    given: { ...base, hosts: [{ name: "dal", engine: "ssh://-oProxyCommand=x" }] },
    want: 'hosts[0].engine: expected unix:///path, ssh://user@host or tcp://host:port; got "ssh://-oProxyCommand=x"',
  },
  {
    name: "a container that is also started by a program",
    given: {
      ...base,
      hosts: [{ name: "dal" }],
      members: [member(1, { host: "dal", control: { ...hands, container: "pg" } })],
    },
    want: "members[0].control.start: does not go with control.container, which the engine starts and stops",
  },
  {
    name: "one data directory of one container for two members",
    given: {
      ...base,
      hosts: [{ name: "dal" }],
      members: [1, 2].map((one) => member(one, { host: "dal", control: inContainer })),
    },
    want: "members[1].control.data: /data in dal/pg stands twice; expected another than members[0].control.data",
  },
  {
    name: "a local address that is a number",
    given: {
      ...base,
      hosts: [{ name: "dal" }],
      members: [
        member(1, { host: "dal", local: { pooler: "172.17.0.2:6432", health: "http://hc:8008" } }),
      ],
    },
    want: "members[0].local.pooler: expected a container's name: its address changes when it is made anew; got 172.17.0.2",
  },
];
