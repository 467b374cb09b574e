/**
 * DATABASE_URL as a target to connect to (PostgreSQL manual, 34.1.1.2). It holds a password: no error
 * here repeats any of it.
 */
import { readFileSync } from "node:fs";
import { Secret } from "../../config/secret.ts";
import type { PgTarget } from "../../kit/pg-connection.ts";

/** DATABASE_URL cannot be understood. */
export class DatabaseUrlError extends Error {
  override readonly name = "DatabaseUrlError";
  readonly code = "ERR_REGISTRY_DATABASE_URL";
  constructor(why: string) {
    super(`DATABASE_URL: ${why}; expected postgresql://user:password@host:port/database`);
  }
}

type TlsMode = PgTarget["tls"]["mode"];

/** prefer and allow, which fall back silently, mean no more than disable does. */
const tlsModes: Readonly<Record<string, TlsMode>> = {
  disable: "disable",
  allow: "disable",
  prefer: "disable",
  require: "require",
  "verify-full": "verify-full",
};

const known = new Set(["sslmode", "sslrootcert", "host", "application_name"]);
const queryDeadlineMs = 20_000;

/**
 * A process that is frozen or cut off in the middle of a change holds the row of the zone's state, for
 * which every other one waits: the server ends its session. It ends a wait before its asker does, too,
 * who could not tell it. PostgreSQL manual, 20.11.1 and 20.3.2.
 */
const settings = {
  idle_in_transaction_session_timeout: "10000",
  lock_timeout: "15000",
  tcp_keepalives_idle: "5",
  tcp_keepalives_interval: "2",
  tcp_keepalives_count: "3",
} as const;

/**
 * Where a database URL leads. `host` among its parameters may be the folder of a Unix socket.
 * @throws DatabaseUrlError
 */
export function databaseTarget(url: Secret): PgTarget {
  const parsed = URL.parse(url.reveal().trim());
  if (parsed === null) throw new DatabaseUrlError("it is no URL");
  if (!/^postgres(ql)?:$/.test(parsed.protocol))
    throw new DatabaseUrlError("it is no postgresql:// URL");
  const given = parsed.searchParams;
  for (const name of given.keys()) {
    if (!known.has(name)) throw new DatabaseUrlError(`the parameter ${name} is not known`);
  }
  const host = given.get("host") ?? decoded(parsed.hostname).replace(/^\[(.*)\]$/, "$1");
  const user = decoded(parsed.username);
  const password = new Secret(decoded(parsed.password));
  const database = decoded(parsed.pathname.slice(1));
  if (host === "") throw new DatabaseUrlError("it names no host");
  if (user === "") throw new DatabaseUrlError("it names no user");
  return {
    title: "registry store",
    host,
    port: Number(parsed.port || 5432),
    user,
    password: () => password.reveal(),
    database: database === "" ? user : database,
    tls: tlsOf(given),
    applicationName: given.get("application_name") ?? "switchyard-registry",
    queryDeadlineMs,
    settings,
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new DatabaseUrlError("a % in it begins no escape");
  }
}

function tlsOf(given: URLSearchParams): PgTarget["tls"] {
  const text = given.get("sslmode") ?? "prefer";
  const mode = Object.hasOwn(tlsModes, text) ? tlsModes[text] : undefined;
  if (mode === undefined) {
    throw new DatabaseUrlError(`sslmode is one of ${Object.keys(tlsModes).join(", ")}`);
  }
  const file = given.get("sslrootcert");
  if (file === null) return { mode };
  try {
    return { mode, ca: readFileSync(file, "utf8") };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "no answer";
    throw new DatabaseUrlError(`the file of sslrootcert cannot be read: ${code}`);
  }
}
