/** bin/registry: what each name of a zone means: runs a registry, and asks one. */
import { main } from "../cli/main.ts";
import type { OptionRow, ProgramRow } from "../cli/command.ts";

const text = (value: string, summary: string): OptionRow => ({ type: "string", value, summary });
const url = text("URL", "the registry [REGISTRY_URL, or http://127.0.0.1:8053]");
const token = text("FILE", "the file with an admin token [REGISTRY_TOKEN_FILE]");
const json: OptionRow = { type: "boolean", summary: "print JSON (docs/cli-json.md)" };
const asked = { url, "token-file": token, json };
const yes: OptionRow = { type: "boolean", summary: "do not ask" };

const data = text("FOLDER", "the folder of the embedded store [REGISTRY_DATA]");
const store =
  "Without a folder the store is the PostgreSQL database of DATABASE_URL or DATABASE_URL_FILE.";

const source = {
  source: {
    type: "string",
    value: "KIND",
    choices: ["pg_auto_failover", "probe", "none"],
    summary: "who tells which member is the primary",
  },
  host: text("HOST", "pg_auto_failover: the monitor"),
  port: text("PORT", "pg_auto_failover: its port [5432]"),
  user: text("NAME", "the login of the source [pg_auto_failover: autoctl_node]"),
  "password-file": text("PATH", "a file on the registry's host with its password"),
  database: text("NAME", "the database of the login"),
  tls: {
    type: "string",
    value: "MODE",
    choices: ["disable", "require", "verify-full"],
    summary: "TLS to the source",
  },
  formation: text("NAME", "pg_auto_failover: the formation [default]"),
  group: text("N", "pg_auto_failover: the group in it [0]"),
  interval: text("DURATION", "probe: how often each member is asked [1s]"),
  lag: text("SIZE", "a standby further behind is not published; none: whatever its lag [16MB]"),
} as const satisfies Readonly<Record<string, OptionRow>>;

const memberKeys = {
  ordinal: text("N", "its number, which its own name ends in"),
  address: text("IP", "its address; none: that of its node stands in"),
  port: text("PORT", "its port [5432]"),
  node: text("NAME", "the node that it stands on; none: none"),
  "published-port": text("PORT", "the port that its node publishes; none: none"),
};

const cluster = { name: "CLUSTER" };
const program: ProgramRow = {
  name: "registry",
  summary: "Runs the registry, which says what each name of a zone means, or asks one.",
  takesEnvironment: false,
  commands: [
    {
      name: "init",
      summary: "make a store, and write its first admin token to a file",
      options: {
        data,
        "token-file": text("FILE", "where to write it (mode 0600); never overwritten"),
        "another-token": {
          type: "boolean",
          summary: "write one more admin token, where the others are lost",
        },
      },
      details: store,
      load: () => import("./registry/init.ts"),
    },
    {
      name: "start",
      summary: "run the registry until it is asked to stop (SIGTERM)",
      options: { data },
      details: `${store}\ndocs/registry.md lists the variables.`,
      load: () => import("./registry/start.ts"),
    },
    {
      name: "status",
      summary: "show the zone, each cluster's roles, and what each node has",
      options: asked,
      details: "Exit code 0 when all is well, 1 when a cluster or a node is not.",
      load: () => import("./registry/status.ts"),
    },
    {
      name: "node add",
      summary: "add a node, and write its token to a file",
      arguments: [{ name: "NAME" }],
      options: {
        address: text("IP", "its address, which stands in for members that have none"),
        "token-file": text("FILE", "where to write its token (mode 0600); never overwritten"),
        url,
        "admin-token-file": token,
        json,
      },
      load: () => import("./registry/node-add.ts"),
    },
    {
      name: "node list",
      summary: "list the nodes and what each has applied",
      options: asked,
      load: () => import("./registry/node-list.ts"),
    },
    {
      name: "node revoke",
      summary: "end the validity of a node's token at once",
      arguments: [{ name: "NODE" }],
      options: { yes, ...asked },
      details: "Asks where the resolver of the node lives.",
      load: () => import("./registry/node-revoke.ts"),
    },
    {
      name: "cluster create",
      summary: "make a cluster, with its members where they are named",
      arguments: [cluster],
      options: {
        ...source,
        member: {
          ...text("NAME=IP[:PORT]", "a member; the first gets ordinal 1"),
          repeatable: true,
        },
        ...asked,
      },
      load: () => import("./registry/cluster-create.ts"),
    },
    {
      name: "cluster list",
      summary: "list the clusters and their roles",
      options: asked,
      load: () => import("./registry/cluster-list.ts"),
    },
    {
      name: "cluster show",
      summary: "show a cluster: source, members, roles, names",
      arguments: [cluster],
      options: asked,
      load: () => import("./registry/cluster-show.ts"),
    },
    {
      name: "cluster update",
      summary: "change a cluster's source or its bound of lag",
      arguments: [cluster],
      options: { ...source, yes, ...asked },
      details:
        "What is not named stays, unless the kind of the source changes. Asks before a source goes to none.",
      load: () => import("./registry/cluster-update.ts"),
    },
    {
      name: "cluster delete",
      summary: "remove a cluster, its members and all its names",
      arguments: [cluster],
      options: { yes, ...asked },
      load: () => import("./registry/cluster-delete.ts"),
    },
    {
      name: "member add",
      summary: "add a member to a cluster",
      arguments: [cluster, { name: "NAME" }],
      options: { ...memberKeys, ...asked },
      load: () => import("./registry/member-add.ts"),
    },
    {
      name: "member update",
      summary: "change a member; what is not named stays",
      arguments: [cluster, { name: "NAME" }],
      options: { ...memberKeys, ...asked },
      load: () => import("./registry/member-update.ts"),
    },
    {
      name: "member remove",
      summary: "remove a member and its names",
      arguments: [cluster, { name: "NAME" }],
      options: { yes, ...asked },
      details: "Asks where it is the primary that is published.",
      load: () => import("./registry/member-remove.ts"),
    },
    {
      name: "reconcile",
      summary: "look at a cluster's roles now, and say what came of it",
      arguments: [cluster],
      options: asked,
      load: () => import("./registry/reconcile.ts"),
    },
  ],
  examples: [
    "registry init --data /var/lib/switchyard/registry --token-file admin.token",
    "registry start --data /var/lib/switchyard/registry",
    "registry node add app-01 --address 10.0.1.5 --token-file app-01.token",
    "registry cluster create mydb --source probe --user monitor --password-file /etc/mydb.pw --member dal-01=10.0.0.1 --member chi-02=10.0.0.2",
    "registry status",
  ],
};

await main(program);
