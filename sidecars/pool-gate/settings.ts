/** What pool-gate is told: by its environment variables, or by an edge pooler of an environment file. */
import { ConfigError } from "../../config/config-error.ts";
import { loadEnvironment } from "../../config/load.ts";
import type { Environment } from "../../config/schema.ts";
import { needed, secretVariable } from "../../config/secret-variable.ts";
import type { Secret } from "../../config/secret.ts";
import type { SidecarSource } from "../../config/sidecar-words.ts";
import { isIpAddress } from "../../config/values.ts";
import { readVariables } from "../../config/variables.ts";
import type { Address } from "../../kit/address.ts";
import type { PoolerLogin } from "./pooler.ts";
import { variableTable } from "./variables.ts";
import type { Variables } from "./variables.ts";

export interface Settings {
  /** The edge pooler's name; null when it was not told. */
  readonly name: string | null;
  readonly listen: Address;
  readonly token: Secret;
  readonly pooler: PoolerLogin;
  readonly stateFile: string;
  /** How many databases a pause will usually name. */
  readonly usualDatabases: number;
  readonly logLevel: string;
}

/** A token that somebody could guess would let them hold every client of the app host. */
const shortestToken = 16;

/**
 * Reads the settings.
 * @throws ConfigError, VariableError, SecretError
 */
export async function readSettings(source: SidecarSource): Promise<Settings> {
  const { environment, variables } = source;
  const own = readVariables(variableTable, variables, {
    withEnvironment: environment !== undefined,
  });
  const settings =
    environment === undefined
      ? await fromVariables(own)
      : fromEnvironment(
          await loadEnvironment(environment.name, { folder: environment.folder, variables }),
          environment.part,
          own,
        );
  if (settings.token.reveal().length >= shortestToken) return settings;
  throw new ConfigError(`the token is shorter than ${shortestToken} characters`);
}

async function fromVariables(own: Variables): Promise<Settings> {
  const need = <T>(name: string, value: T | undefined): T => needed("pool-gate", name, value);
  return {
    name: own.POOL_GATE_NAME ?? null,
    listen: need("POOL_GATE_LISTEN", own.POOL_GATE_LISTEN),
    token: await secretVariable("POOL_GATE_TOKEN", own),
    pooler: {
      address: need("POOL_GATE_POOLER", own.POOL_GATE_POOLER),
      user: need("POOL_GATE_POOLER_USER", own.POOL_GATE_POOLER_USER),
      password: await secretVariable("POOL_GATE_POOLER_PASSWORD", own),
    },
    stateFile: need("POOL_GATE_STATE", own.POOL_GATE_STATE),
    usualDatabases: 1,
    logLevel: own.POOL_GATE_LOG_LEVEL ?? "info",
  };
}

function fromEnvironment(environment: Environment, name: string, own: Variables): Settings {
  const { edgePoolers, file } = environment;
  const edge = edgePoolers.find((one) => one.name === name);
  if (edge === undefined) {
    const known = edgePoolers.map((one) => one.name).join(", ") || "none";
    throw new ConfigError(`${file}: no edge pooler ${JSON.stringify(name)} (there is ${known})`);
  }
  if (edge.gate === undefined) throw new ConfigError(`${file}: edge pooler ${name} has no gate`);
  const { url, token } = edge.gate;
  return {
    name,
    // A host known by a name may have that name on any of its addresses, so it listens on all.
    listen: own.POOL_GATE_LISTEN ?? (isIpAddress(url.host) ? url : { ...url, host: "0.0.0.0" }),
    token,
    pooler: { address: edge.address, ...edge.admin },
    stateFile: own.POOL_GATE_STATE ?? `/run/switchyard/pool-gate-${name}.json`,
    usualDatabases: edge.databases.length,
    logLevel: own.POOL_GATE_LOG_LEVEL ?? "info",
  };
}
