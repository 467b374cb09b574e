/** What a registry process is told by its environment variables: which store, which zone, where. */
import { ConfigError } from "../config/config-error.ts";
import { secretVariable } from "../config/secret-variable.ts";
import type { Secret } from "../config/secret.ts";
import { readVariables } from "../config/variables.ts";
import type { Address } from "../kit/address.ts";
import { variableTable } from "./variables.ts";
import type { Variables } from "./variables.ts";

/** The embedded store in a folder, or a PostgreSQL database. */
export type StorePlace =
  | { readonly kind: "sqlite"; readonly folder: string }
  | { readonly kind: "postgres"; readonly url: Secret };

export interface RegistrySettings {
  readonly listen: Address;
  /** In lower case, such as temps.local. */
  readonly zone: string;
  readonly place: StorePlace;
  readonly logLevel: string;
}

/** The variables of this program. @throws VariableError */
export function ownVariables(given: Readonly<Record<string, string | undefined>>): Variables {
  return readVariables(variableTable, given, { withEnvironment: false });
}

/**
 * The settings of a process.
 * @param folder counts instead of REGISTRY_DATA
 * @throws ConfigError, VariableError
 */
export async function readSettings(
  given: Readonly<Record<string, string | undefined>>,
  folder?: string,
): Promise<RegistrySettings> {
  const own = ownVariables(given);
  return {
    listen: own.REGISTRY_LISTEN ?? { host: "127.0.0.1", port: 0 },
    zone: (own.REGISTRY_ZONE ?? "").toLowerCase(),
    place: await placeOf(own, folder),
    logLevel: own.REGISTRY_LOG_LEVEL ?? "info",
  };
}

async function placeOf(own: Variables, given: string | undefined): Promise<StorePlace> {
  const folder = given ?? own.REGISTRY_DATA;
  const hasUrl = own.DATABASE_URL !== undefined || own.DATABASE_URL_FILE !== undefined;
  if (folder !== undefined && hasUrl) {
    throw new ConfigError(
      "a folder (--data, REGISTRY_DATA) and a database (DATABASE_URL) are both named: name one of them",
    );
  }
  if (folder !== undefined) return { kind: "sqlite", folder };
  if (hasUrl) return { kind: "postgres", url: await secretVariable("DATABASE_URL", own) };
  throw new ConfigError(
    "which store? --data FOLDER or REGISTRY_DATA names the folder of the embedded one, DATABASE_URL a PostgreSQL database",
  );
}
