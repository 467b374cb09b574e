/** What is refused: environments that Kamal cannot run, and outputs of `kamal config` that do not fit. */
import type { Tree } from "./sample.ts";

/** Changes the whole tree; `want` is how the refusal begins. */
export interface ModelCase {
  readonly name: string;
  readonly change: (tree: {
    members: Tree[];
    routers: Tree[];
    edgePoolers: Tree[];
    hosts: Tree[];
    registry: { resolvers: Tree[] };
  }) => void;
  readonly want: string;
}

const first = (list: readonly Tree[]): Tree => list[0] ?? {};
const below = (tree: Tree, key: string): Tree => tree[key] as Tree;

export const modelCases: readonly ModelCase[] = [
  {
    name: "nothing in a container",
    change: (tree) => {
      const lists = [tree.members, tree.routers, tree.edgePoolers, tree.registry.resolvers];
      for (const one of lists.flat()) {
        for (const key of ["host", "local", "control"]) delete one[key];
      }
      for (const [index, one] of tree.routers.entries()) {
        one["runtime"] = `unix:/run/admin-${index}.sock`;
        delete one["master"];
      }
    },
    want: "hosts: no part of this environment stands in a container",
  },
  {
    name: "a member without names of its containers",
    change: ({ members }) => void delete first(members)["local"],
    want: "members[0].local: expected the names of db-01's containers",
  },
  {
    name: "a member whose Postgres has no container",
    change: ({ members }) => void delete first(members)["control"],
    want: "members[0].control.container: expected the name of db-01's Postgres container",
  },
  {
    name: "two names for one container",
    change: ({ members }) => {
      below(first(members), "control")["poolerContainer"] = "another";
    },
    want: "members[0].control.poolerContainer: expected shop-node-pooler, as in local.pooler",
  },
  {
    name: "a port published on a name",
    change: ({ members }) => void (first(members)["postgres"] = "db-01.example.com:5432"),
    want: "members[0].postgres: a port is published on an IP address",
  },
  {
    name: "a port published to everybody",
    change: ({ members }) => void (first(members)["health"] = "http://0.0.0.0:8008"),
    want: "members[0].health: would be published on every address of its host",
  },
  {
    name: "a router that listens where its container does not",
    change: ({ routers }) => {
      below(first(routers), "listen")["write"] = "100.64.0.1:6433";
    },
    want: "routers[0].listen.write: expected 0.0.0.0 and a port",
  },
  {
    name: "a router asked where it does not answer",
    change: ({ routers }) => {
      first(routers)["runtime"] = "docker://shop-haproxy/run/haproxy/other.sock";
    },
    want: "routers[0].runtime: expected docker://shop-haproxy/run/haproxy/admin.sock",
  },
  {
    name: "a router whose file is not where the image reads it",
    change: ({ routers }) => {
      first(routers)["configuration"] = { path: "/etc/haproxy/haproxy.cfg" };
    },
    want: "routers[0].configuration.path: expected /usr/local/etc/haproxy/haproxy.cfg",
  },
  {
    name: "a router without its master's socket",
    change: ({ routers }) => void delete first(routers)["master"],
    want: "routers[0].master: expected docker://shop-haproxy/run/haproxy/master.sock",
  },
  {
    name: "two containers of one name on a host",
    change: ({ members }) => {
      below(first(members), "local")["health"] = "http://shop-haproxy:8008";
    },
    want: "routers[0]: container shop-haproxy of host host-0 is that of db-01/health and of app-0/router",
  },
  {
    name: "one port for two containers of a host",
    change: ({ edgePoolers, members }) => {
      first(edgePoolers)["address"] = below(first(members), "pooler")["address"];
    },
    want: "edgePoolers[0]: port 100.64.0.1:6432 of host host-0 is that of db-01/pooler and of app-0/edge",
  },
  {
    name: "an edge pooler without a router on its host",
    change: ({ routers }) => {
      const [router = {}] = routers;
      router["runtime"] = "unix:/run/haproxy.sock";
      delete router["master"];
    },
    want: "edgePoolers[0].host: expected one router in a container of host host-0",
  },
];

/** An output, or a change to the text of a right one; `want` stands in the error. */
export interface OutputCase {
  readonly name: string;
  readonly text: (right: string) => string;
  readonly want: RegExp;
}

const swap =
  (from: RegExp | string, to: string) =>
  (right: string): string => {
    const changed = right.replace(from, to);
    if (changed === right) throw new Error(`the right output has no ${String(from)}`);
    return changed;
  };

export const outputCases: readonly OutputCase[] = [
  { name: "empty", text: () => "", want: /kamal\.file: \S+: expected a mapping at the top/ },
  { name: "a list", text: () => "- a\n", want: /expected a mapping at the top/ },
  { name: "an error of Kamal's", text: () => "ERROR (RuntimeError): x: y: z", want: /not YAML/ },
  {
    name: "no accessories",
    text: () => ":roles:\n- web\n",
    want: /accessories: expected a mapping/,
  },
  {
    name: "YAML that grows",
    text: () => {
      const rows = "bcdefghi".split("").map((key, at) => {
        const before = "abcdefgh"[at] ?? "";
        return `${key}: &${key} [${Array.from({ length: 9 }, () => `*${before}`).join(",")}]`;
      });
      return `a: &a [x,x,x,x,x,x,x,x,x]\n${rows.join("\n")}\n`;
    },
    want: /aliases \(\*\) cannot be followed/,
  },
  {
    name: "placed by role",
    text: swap(/ {4}hosts:\n {6}- \S+\n/, "    roles: [web]\n"),
    want: /accessories\.postgres-db-01: expected host or hosts: kamal config does not say where a role/,
  },
  {
    name: "one member on two hosts",
    text: swap(/ {4}hosts:\n/, "    hosts:\n      - 100.64.0.77\n"),
    want: /accessories\.postgres-db-01\.hosts: expected one host, since it is db-01\/postgres; got 2/,
  },
  {
    name: "hosts that are no list",
    text: swap(/ {4}hosts:\n {6}- \S+\n/, "    hosts: 5\n"),
    want: /accessories\.postgres-db-01\.hosts: expected a list of hosts/,
  },
  {
    name: "a host that nobody knows",
    text: swap("machine-0.example.com", "machine-9.example.com"),
    want: /accessories\.postgres-db-01: stands on machine-9\.example\.com, and no host here is called so: add/,
  },
  {
    name: "a port that is none",
    text: swap(/^ {4}port: \S+/m, "    port: here"),
    want: /accessories\.postgres-db-01\.port: expected ip:port:port/,
  },
  {
    name: "published on every address",
    text: swap(/^ {4}port: \S+/m, '    port: "5432:5432"'),
    want: /members\[0\]\.postgres: expected host:port.*; it is missing/,
  },
  {
    name: "a member that is not there",
    text: swap("db-01/postgres", "db-09/postgres"),
    want: /accessories\.postgres-db-01: is a postgres of an entry of members called db-09, and there is none/,
  },
  {
    name: "a kind that is none",
    text: swap("db-01/postgres", "db-01/database"),
    want: /accessories\.postgres-db-01\.labels\.org\.switchyard\.part: expected NAME\/KIND/,
  },
  {
    name: "two accessories for one part",
    text: swap("db-01/pooler", "db-01/postgres"),
    want: /accessories postgres-db-01 and pgbouncer-db-01 are both db-01\/postgres/,
  },
  {
    name: "an accessory that is text",
    text: swap(":accessories:\n", ":accessories:\n  redis: here\n"),
    want: /accessories\.redis: expected a mapping of keys/,
  },
];
