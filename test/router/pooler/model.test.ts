/** The PgBouncer configurations: what must stand in them, version gates, what is refused. */
import t from "tap";
import { Secret } from "../../../config/secret.ts";
import { edgePoolerConfiguration, nodePoolerConfiguration } from "../../../router/pooler/files.ts";
import { parsePoolerVersion, PoolerModelError, userlist } from "../../../router/pooler/model.ts";
import type { PoolerPlace } from "../../../router/pooler/model.ts";
import { testEnvironment } from "../../support/environment.ts";

const place: PoolerPlace = {
  logFile: "/var/log/pgbouncer.log",
  pidFile: "/run/pgbouncer.pid",
  userlistFile: "/etc/pgbouncer/userlist.txt",
  adminUsers: ["pooler_admin", "switchyard"],
};

function settings(text: string): Map<string, string> {
  const rows = [...text.matchAll(/^([a-z*][a-z0-9_*-]*) = ?(.*)$/gm)];
  return new Map(rows.map((row) => [row[1] ?? "", row[2] ?? ""]));
}

t.test("a node pooler points at its own Postgres and nothing else", async (t) => {
  const text = await nodePoolerConfiguration(await testEnvironment(), "chi-02", place);
  const got = settings(text);
  t.strictSame(
    [...text.matchAll(/host=(\S+) port=(\S+)/g)].map((row) => `${row[1]}:${row[2]}`),
    ["127.50.0.2:5432"],
  );
  t.equal(got.get("*"), "host=127.50.0.2 port=5432");
  t.equal(got.get("listen_addr"), "127.50.0.2");
  t.equal(got.get("pool_mode"), "session");
  t.equal(got.get("admin_users"), "pooler_admin, switchyard");
  t.equal(got.get("unix_socket_dir"), "");
});

t.test("an edge pooler outlasts the router's queue and asks again within a second", async (t) => {
  for (const queueTimeout of ["1s", "20s", "10m"]) {
    const environment = await testEnvironment({
      haproxy: `connectTimeout: 500ms, queueTimeout: ${queueTimeout}`,
    });
    const got = settings(await edgePoolerConfiguration(environment, "app-01", "app-01", place));
    const queueSeconds = environment.haproxy.queueTimeout / 1000;
    for (const key of ["server_connect_timeout", "query_wait_timeout", "client_login_timeout"]) {
      t.ok(Number(got.get(key)) > queueSeconds, `${key} with ${queueTimeout}`);
    }
    t.ok(Number(got.get("server_login_retry")) <= 1);
    t.equal(got.get("app-reports"), "host=127.50.1.1 port=6433");
    t.equal(got.get("auth_type"), "scram-sha-256");
  }
});

t.test("wildcards and names", async (t) => {
  const environment = await testEnvironment({
    hosts: ["heatwave-dal", "heatwave-chi"],
    haproxy: 'resolver: "127.0.0.11:53"',
    listenHost: "0.0.0.0",
  });
  const node = settings(await nodePoolerConfiguration(environment, "dal-01", place));
  t.equal(node.get("listen_addr"), "*");
  t.equal(node.get("*"), "host=heatwave-dal port=5432");
  const edge = settings(await edgePoolerConfiguration(environment, "app-01", "app-01", place));
  t.equal(edge.get("app"), "host=127.0.0.1 port=6433");
});

t.test("versions", async (t) => {
  const environment = await testEnvironment();
  const rows = [
    { given: "PgBouncer 1.18.0\nlibevent 2.1.12-stable", want: false },
    { given: "PgBouncer 1.20.1", want: false },
    { given: "PgBouncer 1.21.0", want: true },
    { given: "PgBouncer 1.24.1", want: true },
    { given: "pgbouncer? never heard of it", want: false },
  ];
  for (const { given, want } of rows) {
    const version = parsePoolerVersion(given) ?? { major: 1, minor: 18 };
    const text = await edgePoolerConfiguration(environment, "app-01", "app-01", place, version);
    t.equal(settings(text).has("max_prepared_statements"), want, given);
  }
});

t.test("what cannot be rendered is refused with its place", async (t) => {
  const environment = await testEnvironment();
  const node = (name: string, changed: Partial<PoolerPlace>): Promise<string> =>
    nodePoolerConfiguration(environment, name, { ...place, ...changed });
  const refusal = (path: string) => ({ name: PoolerModelError.name, path });
  await t.rejects(node("nyc-03", {}), { ...refusal("members"), message: /dal-01, chi-02/ });
  await t.rejects(node("dal-01", { logFile: "/tmp/x\nauth_type=any" }), refusal("logFile"));
  await t.rejects(node("dal-01", { adminUsers: ["a", "b;"] }), refusal("adminUsers[1]"));
  await t.rejects(
    edgePoolerConfiguration(environment, "app-02", "app-01", place),
    refusal("edgePoolers"),
  );
  await t.rejects(
    edgePoolerConfiguration(environment, "app-01", "app-02", place),
    refusal("routers"),
  );
});

t.test("a userlist quotes what it must, and never says a password in an error", async (t) => {
  const one = (user: string, password: string) => ({ user, password: new Secret(password) });
  t.equal(userlist([one("app", 'a"b\\c'), one("op", "x y")]), '"app" "a""b\\c"\n"op" "x y"\n');
  for (const password of ["", "hidden\ntext", "hidden\0"]) {
    const refusal = { name: PoolerModelError.name, message: /^(?!.*hidden).*password/s };
    t.throws(() => userlist([one("app", password)]), refusal);
  }
  const quoted = { name: PoolerModelError.name, path: "userlist[0].user" };
  t.throws(() => userlist([one('a" "', "p")]), quoted);
});
