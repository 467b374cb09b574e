/**
 * The environment variables that pg-health reads: a table, so that the parser, the help and the
 * page in docs/ cannot disagree. Pure.
 */
import { z } from "zod";
import {
  addressValue,
  choice,
  durationValue,
  healthUrlValue,
  identifierValue,
  nameValue,
  pathValue,
} from "../../config/values.ts";
import { logLevelRow, VariableError, variableRow as row } from "../../config/variables.ts";
import type { VariablesOf } from "../../config/variables.ts";
import { pgHealthPort } from "./contract.ts";

const grace = durationValue({ minMs: 100, maxMs: 60_000 });
const secretText = z.string().min(1, "expected a password");

const rows = {
  PG_HEALTH_LISTEN: row(addressValue, "where to answer", {
    fallback: `0.0.0.0:${pgHealthPort}`,
    withEnvironment: true,
  }),
  PG_HEALTH_MEMBER: row(nameValue, "the member's name, shown in /status and in the log"),
  PG_HEALTH_POSTGRES: row(addressValue, "the Postgres to watch", { fallback: "127.0.0.1:5432" }),
  PG_HEALTH_DATABASE: row(identifierValue, "the database to connect to", { fallback: "postgres" }),
  PG_HEALTH_USER: row(identifierValue, "the login; needed"),
  PG_HEALTH_PASSWORD: row(secretText, "its password; this or the next is needed"),
  PG_HEALTH_PASSWORD_FILE: row(pathValue, "a file with its password"),
  PG_HEALTH_TLS: row(choice(["disable", "require", "verify-full"]), "TLS towards Postgres", {
    fallback: "disable",
  }),
  PG_HEALTH_TLS_CA: row(pathValue, "a PEM file with the authority that verify-full trusts"),
  PG_HEALTH_SLOW_GRACE: row(grace, "how long the last answer of a slow Postgres is kept", {
    fallback: "3s",
  }),
  PG_HEALTH_PEERS: row(z.string(), "the other members' pg-health, such as http://10.0.0.2:8008,…"),
  PG_HEALTH_PEER_DEADLINE: row(grace, "how long a fresh primary waits for its peers", {
    fallback: "2s",
  }),
  PG_HEALTH_POOLER: row(addressValue, "the node pooler beside Postgres; not watched when not set"),
  PG_HEALTH_POOLER_USER: row(identifierValue, "a login of its admin console; else a TCP connect"),
  PG_HEALTH_POOLER_PASSWORD: row(secretText, "the password of that login"),
  PG_HEALTH_POOLER_PASSWORD_FILE: row(pathValue, "a file with it"),
  PG_HEALTH_LOG_LEVEL: logLevelRow,
};

/** Every variable that it reads. */
export const variableTable = { prefix: "PG_HEALTH_", rows };

export type Variables = VariablesOf<typeof rows>;

export interface PeerAddress {
  readonly url: string;
  readonly host: string;
  readonly port: number;
}

/**
 * Reads a comma list of health URLs.
 * @throws VariableError
 */
export function parsePeers(list: string): readonly PeerAddress[] {
  const urls = list.split(",").map((one) => one.trim());
  return urls
    .filter((url) => url !== "")
    .map((url) => {
      const result = healthUrlValue.safeParse(url);
      if (result.success) return { url, ...result.data };
      const said = result.error.issues[0]?.message ?? "wrong";
      throw new VariableError(`PG_HEALTH_PEERS: ${said}`);
    });
}
