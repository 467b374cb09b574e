/**
 * What the entry point of the postgres image does with a volume: it makes a primary, a standby or a
 * monitor in an empty one, never makes data anew, and leaves no half of it behind.
 */
import t from "tap";
import { eventually } from "../../kit/clock.ts";
import { engineHere, testContainers } from "../support/containers.ts";
import type { TestContainer, TestContainers } from "../support/containers.ts";

const engine = await engineHere();
const skip = typeof engine === "string" ? engine : false;
const soon = { deadlineMs: 60_000, intervalMs: 100 };
const volume = "/var/lib/postgresql";
const data = `${volume}/data`;
const password = "a-password-of-a-test";

/** One with the secrets that all of them need. */
function postgres(name: string, more: Partial<TestContainer>): TestContainer {
  const files = [
    { path: "password", content: password, mode: 0o400, uid: 999 },
    { path: "passfile", content: `*:*:*:*:${password}\n`, mode: 0o400, uid: 999 },
  ];
  const volumes = { [name]: volume, [`${name}-secrets`]: "/etc/secrets" };
  return { of: "postgres", volumes, ...more, files: { ...more.files, "/etc/secrets": files } };
}

/** Statements that a new primary runs once. */
const firstly = (content: string): Pick<TestContainer, "files"> => ({
  files: { "/docker-entrypoint-initdb.d": [{ path: "first.sql", content, mode: 0o444 }] },
});

const primary: Partial<TestContainer> = {
  command: ["primary", "-c", "wal_level=replica"],
  env: { POSTGRES_PASSWORD_FILE: "/etc/secrets/password", POSTGRES_DB: "app" },
  ...firstly("create table kept (n int);"),
};

function standbyOf(host: string): Partial<TestContainer> {
  return {
    command: ["standby"],
    env: {
      PRIMARY_CONNINFO: `host=${host} user=postgres application_name=second`,
      PRIMARY_PASSFILE: "/etc/secrets/passfile",
      PRIMARY_SLOT: "second",
    },
  };
}

async function ask(containers: TestContainers, name: string, statement: string): Promise<string> {
  const words = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "app", "-c", statement];
  const { code, output } = await containers.exec(name, ...words);
  if (code !== 0) throw new Error(output);
  return output;
}

const answers = async (
  containers: TestContainers,
  name: string,
  statement: string,
  wanted: string,
): Promise<void> => {
  await eventually(`${name}: ${statement}`, soon, async () => {
    return (await ask(containers, name, statement)) === wanted || undefined;
  });
};

const fileIn = async (containers: TestContainers, name: string, path: string): Promise<boolean> =>
  (await containers.engine.readFile(name, path)) !== null;

/** HAProxy as a narrow road to the primary: a copy over it takes long enough to be broken. */
const narrowRoad = `
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen narrow
    bind :5432
    filter bwlim-out narrow default-limit 1m default-period 1s
    tcp-response content set-bandwidth-limit narrow
    server primary primary:5432
`;

t.test("primary and standby", { skip }, async (t) => {
  if (typeof engine === "string") return;
  const containers = await testContainers(t, engine);
  const first = await containers.run("primary", postgres("primary", primary));
  await answers(containers, first, "select 1", "1");
  t.equal(await ask(containers, first, "show data_checksums"), "on");
  await ask(containers, first, "insert into kept values (1)");

  await t.test("a broken base backup leaves no data", async (t) => {
    await containers.run("road", {
      of: "haproxy",
      volumes: { road: "/usr/local/etc/haproxy" },
      files: {
        "/usr/local/etc/haproxy": [{ path: "haproxy.cfg", content: narrowRoad, mode: 0o444 }],
      },
    });
    const second = await containers.run("broken", postgres("second", standbyOf("road")));
    // The first file of a copy, and no two are alike: what a killed one has left lies there until the
    // next one begins.
    const unfinished = `${volume}/.data.unfinished`;
    const label = `${unfinished}/backup_label`;
    let last = "";
    const isUnderWay = async (): Promise<true | undefined> => {
      const found = String((await engine.readFile(second, label)) ?? "");
      if (found === "" || found === last) return undefined;
      last = found;
      return true;
    };
    for (const [signal, exitCode] of [
      ["SIGKILL", 137],
      ["SIGTERM", 143],
    ] as const) {
      await eventually("the copy is under way", soon, isUnderWay);
      await engine.kill(second, signal);
      const facts = await containers.until(second, "ends", ({ status }) => status === "exited");
      t.equal(facts.exitCode, exitCode, signal);
      t.notOk(await fileIn(containers, second, `${data}/PG_VERSION`), "there is no data directory");
      if (signal === "SIGKILL") await engine.start(second);
      else
        t.equal(
          await engine.listFolder(second, unfinished),
          null,
          "asked to end, it takes it away",
        );
    }
    await engine.remove(second);
  });

  await t.test("a standby streams, from the volume of the broken one", async (t) => {
    const second = await containers.run("standby", postgres("second", standbyOf("primary")));
    await answers(containers, second, "select pg_is_in_recovery()", "t");
    const streams = "select state || slot_name from pg_stat_replication, pg_replication_slots";
    await answers(containers, first, streams, "streamingsecond");
    await ask(containers, first, "insert into kept values (2)");
    await answers(containers, second, "select sum(n) from kept", "3");
    t.notOk(await fileIn(containers, second, `${volume}/.data.unfinished/PG_VERSION`));
  });

  await t.test("a restart keeps the data, whatever the word says", async (t) => {
    await engine.remove(first);
    // No standby is made of a primary because its container is now called so.
    const again = await containers.run("primary", postgres("primary", standbyOf("standby")));
    await answers(containers, again, "select sum(n) from kept", "3");
    t.equal(await ask(containers, again, "select pg_is_in_recovery()"), "f");
    await engine.kill(again, "SIGKILL");
    await engine.start(again);
    await answers(containers, again, "select sum(n) from kept", "3");
    await engine.remove(again);
  });

  await t.test("data that is missing is not made anew", async (t) => {
    const move = ["/bin/mv", data, `${data}.elsewhere`];
    const mover = await containers.run("mover", postgres("primary", { command: move }));
    await containers.until(mover, "ends", ({ status }) => status === "exited");
    const empty = await containers.run("empty", postgres("primary", primary));
    const facts = await containers.until(empty, "ends", ({ status }) => status === "exited");
    t.equal(facts.exitCode, 78);
    t.match(await engine.logs(empty, 5), /this volume has held a database: nothing is made/);
    t.notOk(await fileIn(containers, empty, `${data}/PG_VERSION`));
  });
});

t.test("what cannot be used is refused before anything is made", { skip }, async (t) => {
  if (typeof engine === "string") return;
  const containers = await testContainers(t, engine);
  const env = primary.env ?? {};
  const table = [
    {
      name: "inline",
      with: { command: ["standby"], env: { PRIMARY_CONNINFO: "host=a password=b" } },
    },
    { name: "nothing", with: { command: ["standby"] } },
    { name: "file", with: { env: { POSTGRES_PASSWORD_FILE: "/nowhere" } } },
    { name: "failing", with: { env: { ...env, POSTGRES_INITDB_ARGS: "--wal-segsize=3" } } },
    { name: "statements", with: { env, ...firstly("create table a (n int); nonsense;") } },
  ];
  const said = {
    inline: /holds a password, which everybody could read/,
    nothing: /PRIMARY_CONNINFO is not set/,
    file: /POSTGRES_PASSWORD_FILE is \/nowhere, and that file cannot be read/,
    failing: /initdb ended with exit code 1/,
    statements: /syntax error at or near "nonsense"[^]*first\.sql failed/,
  } as Readonly<Record<string, RegExp>>;
  for (const row of table) {
    const name = await containers.run(row.name, postgres(row.name, row.with));
    const { exitCode } = await containers.until(name, "ends", ({ status }) => status === "exited");
    t.equal(exitCode, 78, row.name);
    t.match(await engine.logs(name, 20), said[row.name] ?? /never/, row.name);
    t.notOk(await fileIn(containers, name, `${data}/PG_VERSION`), `${row.name}: no data`);
  }
});

t.test("a monitor", { skip }, async (t) => {
  if (typeof engine === "string") return;
  const containers = await testContainers(t, engine);
  const env = { MONITOR_PASSWORD_FILE: "/etc/secrets/password" };
  const monitor = postgres("monitor", { command: ["monitor"], env, hostname: "monitor" });
  const name = await containers.run("monitor", monitor);
  const statement = "select count(*) from pgautofailover.node";
  const uri = "postgresql://autoctl_node@monitor/pg_auto_failover?passfile=/etc/secrets/passfile";
  const isThere = async (): Promise<void> => {
    await eventually("the monitor answers a node", soon, async () => {
      const { output } = await containers.exec(name, "psql", uri, "-XAtc", statement);
      return output === "0" || undefined;
    });
  };
  await isThere();
  t.match((await containers.exec(name, "cat", "/proc/1/cmdline")).output, /^pg_autoctl\0run/);
  await engine.kill(name, "SIGKILL");
  await engine.start(name);
  await isThere();
  // Files come and go while it looks.
  const search = ["grep", "-rlsF", password, volume];
  t.equal((await containers.exec(name, ...search)).output, "", "its password is not on the disk");
  await engine.stop(name, 60);
  t.match(await engine.inspect(name), { exitCode: 0 });
});

if (typeof engine !== "string") t.teardown(() => engine.close());
