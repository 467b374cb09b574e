/**
 * What an app writes to reach its server, read once: where to look and for what, how to dial, what
 * to log in with, and what is left for the outer pg client.
 */
import { PassThrough } from "node:stream";
import type { Duplex } from "node:stream";
import { Client as PgClient } from "pg";
import type { ClientConfig as PgClientConfig } from "pg";
import type { TargetSessionAttrs } from "./target/attributes.ts";
import type { DialOptions } from "./session/dial.ts";
import type { Finder } from "./search/finder.ts";
import { createSharedFinder, finderOf } from "./search/finder-handle.ts";
import type { SharedFinder } from "./search/finder-handle.ts";
import { readTarget } from "./target/target.ts";
import type { Target } from "./target/target.ts";

/** What our Client takes: all of pg's, with several hosts, and what to look for among them. */
export interface ClientConfig extends Omit<PgClientConfig, "host" | "port"> {
  /** One host, several with commas between them, or a list. */
  readonly host?: string | readonly string[] | undefined;
  readonly port?: number | string | readonly (number | string)[] | undefined;
  /** Addresses to use in the place of the hosts' own. */
  readonly hostaddr?: string | readonly string[] | undefined;
  /** What the server has to be, as libpq means it; default any. */
  readonly targetSessionAttrs?: TargetSessionAttrs | undefined;
  readonly target_session_attrs?: TargetSessionAttrs | undefined;
  readonly loadBalanceHosts?: "disable" | "random" | undefined;
  readonly load_balance_hosts?: "disable" | "random" | undefined;
  /** Name servers to ask, `address` or `address:port`; default those of the system. */
  readonly dns?: { readonly servers?: readonly string[] | undefined } | undefined;
  /** Shared by clients that look for the same server; default one of its own for each client. */
  readonly finder?: SharedFinder | undefined;
  /** How long an attempt runs alone before the next address is tried beside it; default 250. */
  readonly staggerMs?: number | undefined;
  /** How long one attempt at one address may take; default 5000. */
  readonly attemptTimeoutMs?: number | undefined;
}

/** Everything that a client needs, apart from the stream. */
export interface ReadConfig {
  readonly target: Target;
  readonly finder: Finder;
  /** For the whole search, in ms; undefined leaves it to the finder. */
  readonly deadlineMs: number | undefined;
  readonly dial: DialOptions;
  readonly startup: PgClientConfig;
  readonly physical: boolean;
  /** For pg's own constructor; without TLS and without a deadline, which are not its affair here. */
  readonly outer: PgClientConfig;
}

/** What pg makes of a configuration; more than its published type says. */
interface Parameters extends PgClientConfig {
  readonly replication?: string | boolean | undefined;
}

/** pg's own keys that its published type leaves out, and what is no business of the outer client. */
interface Given extends PgClientConfig {
  readonly scramMaxIterations?: number | undefined;
  readonly connection?: unknown;
}

const startupKeys = [
  "user",
  "database",
  "password",
  "options",
  "application_name",
  "fallback_application_name",
  "replication",
  "statement_timeout",
  "lock_timeout",
  "idle_in_transaction_session_timeout",
  "client_encoding",
] as const satisfies readonly (keyof Parameters)[];

const defaultKeepAliveMs = 10_000;

/**
 * Reads what an app gave.
 * @throws TypeError for a value that nobody can mean, and what pg throws for its own
 */
export function readConfig(config: string | ClientConfig | undefined): ReadConfig {
  const target = readTarget(visible(config), process.env);
  const { connectionString: _, connection: __, ...given } = target.rest as Given;
  const parameters = parametersOf(target.rest);
  const startup = Object.fromEntries(
    startupKeys.map((key) => [key, parameters[key]]),
  ) as PgClientConfig;
  const { host, port, query_timeout: queryTimeout, sslnegotiation = "postgres" } = parameters;
  const { enableChannelBinding, scramMaxIterations, keepAliveInitialDelayMillis } = given;
  return {
    target,
    finder: finderOf(finderFor(typeof config === "object" ? config : {})),
    deadlineMs: deadlineOf(given.connectionTimeoutMillis) ?? target.connectTimeoutMs,
    dial: {
      ssl: parameters.ssl || false,
      sslNegotiation: sslnegotiation,
      keepAlive: given.keepAlive !== false,
      keepAliveInitialDelayMillis: keepAliveInitialDelayMillis ?? defaultKeepAliveMs,
      makeSocket: socketMaker(given.stream as Duplex | (() => Duplex) | undefined),
    },
    startup: { ...startup, ...definedOnly({ enableChannelBinding, scramMaxIterations }) },
    physical: isPhysical(parameters.replication),
    outer: {
      ...given,
      ...startup,
      ...definedOnly({ host, port, query_timeout: queryTimeout }),
      ssl: false,
      sslnegotiation: "postgres",
      connectionTimeoutMillis: 0,
    },
  };
}

/**
 * What pg makes of a configuration: it reads connection strings, files of certificates, its defaults
 * and the environment. A client that never connects is asked, since not every release of pg exports
 * what reads them.
 */
function parametersOf(config: PgClientConfig): Parameters {
  const asked = new PgClient({ ...config, stream: () => new PassThrough() });
  return (asked as unknown as { readonly connectionParameters: Parameters }).connectionParameters;
}

/** pg takes a stream as well as what makes one. */
function socketMaker(stream: Duplex | (() => Duplex) | undefined): (() => Duplex) | undefined {
  return stream === undefined || typeof stream === "function" ? stream : () => stream;
}

/** pg-pool hides the password of its options; what is to be read has to be seen. */
function visible(config: string | ClientConfig | undefined): string | ClientConfig | undefined {
  if (typeof config !== "object" || config.password === undefined) return config;
  return { ...config, password: config.password };
}

/** The finder of a client or a pool: the one that it was given, else a new one. */
export function finderFor(config: ClientConfig): SharedFinder {
  if (config.finder !== undefined) return config.finder;
  const { staggerMs, attemptTimeoutMs } = config;
  const servers = config.dns?.servers;
  return createSharedFinder(definedOnly({ servers, staggerMs, attemptTimeoutMs }));
}

/**
 * The deadline of a search by pg's own option, where 0 is for ever. It ends a little before the timer
 * that pg-pool sets by the same option, which knows no reasons.
 */
function deadlineOf(timeoutMs: number | undefined): number | undefined {
  if (timeoutMs === undefined) return undefined;
  return timeoutMs > 0 ? Math.max(timeoutMs / 2, timeoutMs - 25) : Number.POSITIVE_INFINITY;
}

function definedOnly<T extends object>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const defined = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(defined) as { [K in keyof T]?: NonNullable<T[K]> };
}

/** Any spelling of a boolean; "database" is a logical session, which takes SQL (manual 55.4). */
function isPhysical(replication: string | boolean | undefined): boolean {
  return replication === true || /^(true|on|yes|1)$/i.test(String(replication ?? ""));
}
