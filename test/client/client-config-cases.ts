/** What an app writes, and what each part of a client makes of it. */
import { Client as PgClient } from "pg";
import type { ClientConfig as PgClientConfig } from "pg";
import t from "tap";
import { finderFor, readConfig } from "../../client/client-config.ts";
import { finderOf } from "../../client/search/finder-handle.ts";
import type { SharedFinder } from "../../client/search/finder-handle.ts";
import type { ClientConfig } from "../../client/client-config.ts";

/** Sets variables of the environment for one test; undefined takes one away. */
function within(environment: Readonly<Record<string, string | undefined>>, run: () => void): void {
  const before = Object.keys(environment).map((name) => [name, process.env[name]] as const);
  const set = (name: string, value: string | undefined): void => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  for (const [name, value] of Object.entries(environment)) set(name, value);
  try {
    run();
  } finally {
    for (const [name, value] of before) set(name, value);
  }
}

const none = {
  PGSSLMODE: undefined,
  PGPASSWORD: undefined,
  PGAPPNAME: undefined,
  PGHOST: undefined,
  PGPORT: undefined,
  PGUSER: "app",
};

t.test("TLS is what pg makes of it", (t) => {
  const uri = "postgresql://app:secret@db.test/app";
  const rows: { name: string; given: ClientConfig; environment?: object }[] = [
    { name: "nothing", given: {} },
    { name: "true", given: { ssl: true } },
    { name: "options", given: { ssl: { rejectUnauthorized: false, servername: "other" } } },
    { name: "sslmode=disable", given: { connectionString: `${uri}?sslmode=disable` } },
    { name: "sslmode=verify-full", given: { connectionString: `${uri}?sslmode=verify-full` } },
    { name: "sslmode=no-verify", given: { connectionString: `${uri}?sslmode=no-verify` } },
    { name: "ssl=true", given: { connectionString: `${uri}?ssl=true` } },
    {
      name: "a string stands above its object",
      given: { connectionString: `${uri}?sslmode=disable`, ssl: true },
    },
    { name: "the environment", given: {}, environment: { PGSSLMODE: "require" } },
    { name: "no-verify there", given: {}, environment: { PGSSLMODE: "no-verify" } },
  ];
  for (const { name, given, environment } of rows) {
    within({ ...none, ...environment }, () => {
      const read = readConfig(given);
      const pgs = new PgClient(given as PgClientConfig);
      t.same(read.dial.ssl, pgs.ssl, name);
      t.equal(new PgClient(read.outer).ssl, false, "the outer client leaves it to us");
    });
  }
  within(none, () => {
    const read = readConfig({ connectionString: `${uri}?sslnegotiation=direct` });
    t.match(read.dial, { ssl: true, sslNegotiation: "direct" });
    const ssl = { key: "the key", ca: "the ca" };
    t.ok(new PgClient({ ssl }), "a client of pg that had it before");
    t.equal(Object.keys(ssl).join(), "ca", "hides the key");
    const { ssl: kept } = readConfig({ ssl }).dial;
    t.equal(typeof kept === "object" && kept.key, "the key", "which is still there");
  });
  t.end();
});

t.test("a session is started with what pg would start it with", (t) => {
  const given: ClientConfig = {
    host: ["one.test", "two.test"],
    port: 6432,
    user: "someone",
    database: "shop",
    options: "-c work_mem=8MB",
    statement_timeout: 5000,
    query_timeout: 700,
    lock_timeout: 50,
    idle_in_transaction_session_timeout: 60,
    application_name: "till",
    targetSessionAttrs: "primary",
    enableChannelBinding: true,
  };
  within({ ...none, PGPASSWORD: "from outside" }, () => {
    const { startup, outer, target, physical } = readConfig(given);
    const startupOf = (config: object): unknown =>
      (
        new PgClient(config) as unknown as { getStartupConf(): Record<string, unknown> }
      ).getStartupConf();
    const { host, targetSessionAttrs, ...rest } = given;
    t.same(startupOf(startup), startupOf(rest), "the inner client");
    t.same(startupOf(outer), startupOf(rest), "the outer one, whose word nobody hears");
    t.match(startup, { password: "from outside", enableChannelBinding: true });
    t.match(outer, {
      host: "one.test",
      port: 6432,
      query_timeout: 700,
      connectionTimeoutMillis: 0,
    });
    t.equal(target.endpoints.length, host?.length);
    t.equal(target.attributes, targetSessionAttrs);
    t.notOk(physical);
  });
  const rows = { true: true, ON: true, "1": true, database: false, false: false } as const;
  for (const [word, want] of Object.entries(rows)) {
    t.equal(readConfig({ replication: word } as ClientConfig).physical, want, word);
  }
  t.end();
});

t.test("what pg-pool hides is found", (t) => {
  within(none, () => {
    const options = Object.defineProperty({ user: "app" }, "password", {
      enumerable: false,
      value: "hidden",
    });
    t.match(readConfig(options).startup, { password: "hidden" });
  });
  t.end();
});

t.test("one deadline, from whoever names one", (t) => {
  const rows: { name: string; given: ClientConfig | string; want: number | undefined }[] = [
    { name: "nobody", given: {}, want: undefined },
    { name: "pg's option", given: { connectionTimeoutMillis: 3000 }, want: 2975 },
    { name: "a short one", given: { connectionTimeoutMillis: 20 }, want: 10 },
    { name: "for ever", given: { connectionTimeoutMillis: 0 }, want: Infinity },
    { name: "libpq's", given: "postgresql://h/d?connect_timeout=3", want: 3000 },
    {
      name: "both",
      given: {
        connectionString: "postgresql://h/d?connect_timeout=3",
        connectionTimeoutMillis: 1025,
      },
      want: 1000,
    },
  ];
  within({ PGCONNECT_TIMEOUT: undefined }, () => {
    for (const { name, given, want } of rows) t.equal(readConfig(given).deadlineMs, want, name);
  });
  t.end();
});

t.test("a finder is made once, with what it is told", (t) => {
  const shared = finderFor({ dns: { servers: ["127.0.0.1"] }, staggerMs: 7, attemptTimeoutMs: 9 });
  const { options } = finderOf(shared);
  t.match(options, { servers: ["127.0.0.1"], staggerMs: 7, attemptTimeoutMs: 9 });
  t.equal(readConfig({ finder: shared }).finder, finderOf(shared));
  t.match(finderOf(finderFor({})).options, { staggerMs: 250, attemptTimeoutMs: 5000 });
  const servers = ["ns.example"];
  t.throws(() => finderFor({ dns: { servers } }), { name: "TypeError", message: /ns\.example/ });
  t.throws(() => readConfig({ finder: {} as SharedFinder }), TypeError);
  t.equal(readConfig({ keepAlive: false }).dial.keepAlive, false);
  t.match(readConfig({}).dial, { keepAlive: true, keepAliveInitialDelayMillis: 10_000 });
  t.end();
});
