/** What pg-health is told: by its environment variables, or by a member of an environment file. */
import { ConfigError } from "../../config/config-error.ts";
import { loadEnvironment } from "../../config/load.ts";
import type { Environment, Member } from "../../config/schema.ts";
import { contentOf, needed, secretVariable } from "../../config/secret-variable.ts";
import type { Secret } from "../../config/secret.ts";
import type { SidecarSource } from "../../config/sidecar-words.ts";
import { isIpAddress } from "../../config/values.ts";
import { readVariables } from "../../config/variables.ts";
import { formatAddress } from "../../kit/address.ts";
import type { Address } from "../../kit/address.ts";
import type { Target } from "./connection.ts";
import { parsePeers, variableTable } from "./variables.ts";
import type { PeerAddress, Variables } from "./variables.ts";

export interface Settings {
  readonly member: string | null;
  readonly listen: Address;
  readonly postgres: Target;
  readonly pooler:
    | {
        readonly address: Address;
        readonly admin: { readonly user: string; readonly password: Secret } | undefined;
      }
    | undefined;
  readonly peers: readonly PeerAddress[];
  readonly slowGraceMs: number;
  readonly peerDeadlineMs: number;
  readonly logLevel: string;
}

/**
 * The session of the probe: nothing in it may end an idle connection, and a statement that the
 * server does not finish within the grace is given up by the server itself.
 */
function sessionSettings(slowGraceMs: number): Readonly<Record<string, string>> {
  return {
    search_path: "pg_catalog",
    statement_timeout: String(slowGraceMs),
    idle_session_timeout: "0",
    jit: "off",
  };
}

/**
 * Reads the settings.
 * @throws ConfigError, VariableError
 */
export async function readSettings(source: SidecarSource): Promise<Settings> {
  const { environment, variables } = source;
  const own = readVariables(variableTable, variables, {
    withEnvironment: environment !== undefined,
  });
  if (environment === undefined) return await fromVariables(own);
  const { folder, name, part } = environment;
  return await fromEnvironment(await loadEnvironment(name, { folder, variables }), part, own);
}

async function fromVariables(own: Variables): Promise<Settings> {
  if (own.PG_HEALTH_POSTGRES === undefined || own.PG_HEALTH_LISTEN === undefined) {
    throw new ConfigError("PG_HEALTH_POSTGRES and PG_HEALTH_LISTEN are needed");
  }
  const slowGraceMs = own.PG_HEALTH_SLOW_GRACE ?? 0;
  const ca = await maybeContentOf("PG_HEALTH_TLS_CA", own.PG_HEALTH_TLS_CA);
  const postgres: Target = {
    kind: "Postgres",
    ...own.PG_HEALTH_POSTGRES,
    user: needed("pg-health", "PG_HEALTH_USER", own.PG_HEALTH_USER),
    password: await secretVariable("PG_HEALTH_PASSWORD", own),
    database: own.PG_HEALTH_DATABASE ?? "postgres",
    tls: { mode: own.PG_HEALTH_TLS ?? "disable", ...(ca === undefined ? {} : { ca }) },
    settings: sessionSettings(slowGraceMs),
  };
  const address = own.PG_HEALTH_POOLER;
  return {
    member: own.PG_HEALTH_MEMBER ?? null,
    listen: own.PG_HEALTH_LISTEN,
    postgres,
    pooler: address === undefined ? undefined : { address, admin: await poolerAdmin(own) },
    peers: parsePeers(own.PG_HEALTH_PEERS ?? ""),
    slowGraceMs,
    peerDeadlineMs: own.PG_HEALTH_PEER_DEADLINE ?? 0,
    logLevel: own.PG_HEALTH_LOG_LEVEL ?? "info",
  };
}

async function poolerAdmin(
  own: Variables,
): Promise<{ user: string; password: Secret } | undefined> {
  const user = own.PG_HEALTH_POOLER_USER;
  if (user === undefined) return undefined;
  return { user, password: await secretVariable("PG_HEALTH_POOLER_PASSWORD", own) };
}

async function maybeContentOf(name: string, file: string | undefined): Promise<string | undefined> {
  return file === undefined ? undefined : await contentOf(name, file);
}

async function fromEnvironment(
  environment: Environment,
  name: string,
  own: Variables,
): Promise<Settings> {
  const { login, members, pgHealth } = environment;
  const member = members.find((one) => one.name === name);
  if (member === undefined) {
    const known = members.map((one) => one.name).join(", ");
    throw new ConfigError(
      `${environment.file}: no member ${JSON.stringify(name)} (there is ${known})`,
    );
  }
  const ca = await maybeContentOf(`${environment.file}: login.tlsCa`, login.tlsCa);
  const { user, password, database } = login;
  return {
    member: name,
    listen: own.PG_HEALTH_LISTEN ?? listenAddress(member),
    postgres: {
      kind: "Postgres",
      ...member.postgres,
      user,
      password,
      database,
      tls: { mode: login.tls, ...(ca === undefined ? {} : { ca }) },
      settings: sessionSettings(pgHealth.slowGrace),
    },
    pooler: { address: member.pooler.address, admin: member.pooler.admin },
    peers: members
      .filter((one) => one !== member)
      .map((one) => ({ url: `http://${formatAddress(one.health)}`, ...one.health })),
    slowGraceMs: pgHealth.slowGrace,
    peerDeadlineMs: pgHealth.peerDeadline,
    logLevel: own.PG_HEALTH_LOG_LEVEL ?? "info",
  };
}

/** A member known by a name may have that name on any of its addresses, so it listens on all. */
function listenAddress({ health }: Member): Address {
  return isIpAddress(health.host) ? health : { host: "0.0.0.0", port: health.port };
}
