/** Targets as people write them, and what pg makes of what is left. */
import ConnectionParameters from "pg/lib/connection-parameters";
import t from "tap";
import { readTarget } from "../../client/target/target.ts";
import type { Target } from "../../client/target/target.ts";

/** `host:port`, with `=address` behind it where there is one. */
const placesOf = ({ endpoints }: Target): string[] =>
  endpoints.map(({ host, port, hostaddr }) =>
    [`${host}:${port}`, ...(hostaddr === undefined ? [] : [hostaddr])].join("="),
  );

interface Case {
  readonly name: string;
  readonly given: string | object | undefined;
  readonly environment?: Readonly<Record<string, string>>;
  readonly places: readonly string[];
  readonly attributes?: string;
  readonly loadBalance?: boolean;
  readonly timeout?: number;
  /** What reaches pg; absent is not looked at. */
  readonly rest?: object;
}

const cases: readonly Case[] = [
  { name: "nothing", given: undefined, places: ["localhost:5432"], rest: {} },
  { name: "an empty string", given: "", places: ["localhost:5432"] },
  {
    name: "a URI with one host stays as it was written",
    given:
      "postgres://u:p%40ss@db.temps.local/app?sslmode=verify-full&target_session_attrs=primary",
    places: ["db.temps.local:5432"],
    attributes: "primary",
    rest: {
      connectionString:
        "postgres://u:p%40ss@db.temps.local/app?sslmode=verify-full&target_session_attrs=primary",
    },
  },
  {
    name: "a URI with several hosts and ports",
    given:
      "postgresql://u:p@a,b:5433,[2001:db8::1]:5434/app?application_name=x&target_session_attrs=read-write",
    places: ["a:5432", "b:5433", "2001:db8::1:5434"],
    attributes: "read-write",
    rest: {
      connectionString:
        "postgresql://u:p@a:5432/app?application_name=x&target_session_attrs=read-write",
    },
  },
  {
    name: "hosts in the query, with one port for all",
    given: "postgresql:///app?host=a,b&port=6432&user=u",
    places: ["a:6432", "b:6432"],
    rest: { connectionString: "postgresql://a:6432/app?user=u" },
  },
  {
    name: "the query stands above the authority",
    given: "postgresql://ignored:1/app?host=a&port=2",
    places: ["a:2"],
  },
  {
    name: "addresses to use instead of the hosts' own",
    given: "postgresql://a,b/app?hostaddr=10.0.0.1,10.0.0.2",
    places: ["a:5432=10.0.0.1", "b:5432=10.0.0.2"],
  },
  {
    name: "an address alone is its own name",
    given: "hostaddr=10.0.0.1 dbname=app",
    places: ["10.0.0.1:5432=10.0.0.1"],
  },
  {
    name: "the folder of a Unix socket, percent-encoded",
    given: "postgresql://%2Fvar%2Frun%2Fpostgresql,b/app",
    places: ["/var/run/postgresql:5432", "b:5432"],
    rest: { connectionString: "postgresql://%2Fvar%2Frun%2Fpostgresql:5432/app" },
  },
  {
    name: "pg's own forms for sockets",
    given: "socket:/var/run/postgresql?db=app",
    places: ["/var/run/postgresql:5432"],
    rest: { connectionString: "socket:/var/run/postgresql?db=app" },
  },
  {
    name: "a folder and a database",
    given: "/var/run/postgresql app",
    places: ["/var/run/postgresql:5432"],
    rest: { connectionString: "/var/run/postgresql app" },
  },
  {
    name: "keywords and values",
    given: "host=a,b port=1,2 dbname=app user=u target_session_attrs = any",
    places: ["a:1", "b:2"],
    rest: { connectionString: "postgresql://u@a:1/app?target_session_attrs=any" },
  },
  {
    name: "all that libpq says beside",
    given: "postgresql://a/app?load_balance_hosts=random&connect_timeout=3",
    places: ["a:5432"],
    loadBalance: true,
    timeout: 3000,
  },
  {
    name: "a connect_timeout of 0 waits for ever",
    given: "host=a connect_timeout=0",
    places: ["a:5432"],
    timeout: Infinity,
  },
  {
    name: "an object with one host stays as it is",
    given: { host: "a", port: 5433, user: "u", ssl: true },
    places: ["a:5433"],
    rest: { host: "a", port: 5433, user: "u", ssl: true },
  },
  {
    name: "an object with several hosts",
    given: { host: "a,b", port: [1, "2"], targetSessionAttrs: "standby", user: "u" },
    places: ["a:1", "b:2"],
    attributes: "standby",
    rest: { host: "a", port: 1, user: "u" },
  },
  {
    name: "an object with a list, and our words as libpq writes them",
    given: { host: ["a", "b"], target_session_attrs: "prefer-standby", hostaddr: ["::1", "::2"] },
    places: ["a:5432=::1", "b:5432=::2"],
    attributes: "prefer-standby",
    rest: { host: "a", port: 5432 },
  },
  {
    name: "our own options do not reach pg",
    given: { host: "a", dns: { servers: [] }, staggerMs: 1, attemptTimeoutMs: 1, max: 3 },
    places: ["a:5432"],
    rest: { host: "a", max: 3 },
  },
  {
    name: "the string stands above the object that holds it, as in pg",
    given: {
      connectionString: "postgresql://a/app?target_session_attrs=primary",
      host: "b",
      target_session_attrs: "standby",
      loadBalanceHosts: "random",
    },
    places: ["a:5432"],
    attributes: "primary",
    loadBalance: true,
  },
  {
    name: "the environment stands below",
    given: "postgresql:///app",
    environment: {
      PGHOST: "a,b",
      PGPORT: "1,2",
      PGHOSTADDR: "10.0.0.1,10.0.0.2",
      PGTARGETSESSIONATTRS: "read-only",
      PGLOADBALANCEHOSTS: "random",
      PGCONNECT_TIMEOUT: "7",
    },
    places: ["a:1=10.0.0.1", "b:2=10.0.0.2"],
    attributes: "read-only",
    loadBalance: true,
    timeout: 7000,
    rest: { connectionString: "postgresql://a:1/app" },
  },
  {
    name: "an empty variable is none",
    given: { host: "a" },
    environment: { PGPORT: "", PGTARGETSESSIONATTRS: "" },
    places: ["a:5432"],
  },
];

for (const { name, given, environment = {}, places, rest, ...wanted } of cases) {
  t.test(`target: ${name}`, (t) => {
    const target = readTarget(given, environment);
    t.same(placesOf(target), places);
    t.equal(target.attributes, wanted.attributes ?? "any");
    t.equal(target.loadBalance, wanted.loadBalance ?? false);
    t.equal(target.connectTimeoutMs, wanted.timeout);
    if (rest !== undefined) t.strictSame(target.rest, rest);
    t.end();
  });
}

const wrong: readonly { given: string | object; says: string }[] = [
  {
    given: "host=a target_session_attrs=primry",
    says: "target_session_attrs is one of any, read-write, read-only, primary, standby, prefer-standby",
  },
  { given: "host=a,b port=1,2,3", says: "port names 3 ports for 2 hosts" },
  { given: "host=a port=1,2", says: "port names 2 ports for 1 host:" },
  { given: { host: ["a", "b"], hostaddr: "::1" }, says: "hostaddr names 1 addresses for 2 hosts" },
  { given: { host: "a", port: "65536" }, says: "port is a number from 1 to 65535" },
  { given: "postgresql://u:99999/secret@a/app", says: "a connection URI has an @ behind" },
  { given: "postgresql://u:12/secret@a:5432/app", says: "a connection URI has an @ behind" },
  { given: "postgresql://u:12#secret@a/app", says: "a connection URI has an @ behind" },
  { given: "postgresql://u:12?secret@a/app", says: "a connection URI has an @ behind" },
  { given: "host=a port=secret", says: "port is a number" },
  { given: "host=a target_session_attrs=any;password=secret", says: "target_session_attrs is" },
  { given: { host: "a", port: "0" }, says: "port is a number" },
  { given: { host: "a", port: "5432x" }, says: "port is a number" },
  { given: { host: {} }, says: "host is a string, a number or a list of them, not object" },
  { given: "host=a load_balance_hosts=yes", says: "load_balance_hosts is disable or random" },
  { given: "host=a connect_timeout=3s", says: "connect_timeout is a whole number of seconds" },
  { given: "postgresql://u:secret@a:b:c/app", says: "a host of a connection URI is" },
  { given: "postgresql://u:secret@%zz/app", says: "a percent sign" },
  { given: "u:secret", says: "neither a URI" },
  { given: "host=a password='secret", says: "cannot be read after 6 characters" },
];

t.test("target: what means nothing is refused with what does, and shows no secret", (t) => {
  for (const { given, says } of wrong) {
    try {
      readTarget(given, {});
      t.fail(`${says} was taken`);
    } catch (error) {
      const { message, name } = error as Error;
      t.equal(name, "TypeError");
      t.ok(message.includes(says), message);
      t.notMatch(message, "secret");
      t.notMatch(message, "\n");
    }
  }
  t.end();
});

interface Read {
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly host: string;
  readonly port: number;
  readonly ssl: unknown;
  readonly options: string;
  readonly application_name: string;
}

const pgReads = (given: string | object): Read =>
  new ConnectionParameters(readTarget(given, {}).rest) as unknown as Read;

t.test("target: pg reads out of the rest what was written", (t) => {
  const odd = "a b'c\\d/e?f#g@h:i&j=k%41+l,ü";
  const quoted = `'${odd.replaceAll(/['\\]/g, "\\$&")}'`;
  const read = pgReads(
    `host='a, b' user=${quoted} password=${quoted} dbname='my db/x' sslmode=no-verify ` +
      `options='-c geqo=off' application_name=${quoted}`,
  );
  t.equal(read.user, odd);
  t.equal(read.password, odd);
  t.equal(read.database, "my db/x");
  t.same([read.host, read.port], ["a", 5432]);
  t.same(read.ssl, { rejectUnauthorized: false });
  t.equal(read.options, "-c geqo=off");
  t.equal(read.application_name, odd);
  const several = pgReads(
    "postgresql://me:p%40:x@a:1,b:2/app?sslmode=disable&host=c,d&port=3&options=-c%20geqo%3Doff",
  );
  t.same(
    [several.user, several.password, several.database, several.host, several.port, several.ssl],
    ["me", "p@:x", "app", "c", 3, false],
  );
  t.equal(several.options, "-c geqo=off");
  t.end();
});

t.test("target: a value without a quote ends at a space, escaped or not", (t) => {
  const { user, password } = pgReads("host=a user=my\\ name password='' ");
  t.equal(user, "my name");
  t.notOk(password);
  t.end();
});
