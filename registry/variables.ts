/** The environment variables that bin/registry reads, the process and its client verbs. Pure. */
import { z } from "zod";
import { addressValue, hostValue, pathValue } from "../config/values.ts";
import { logLevelRow, variableRow as row } from "../config/variables.ts";
import type { VariablesOf } from "../config/variables.ts";
import { registryPort } from "./contract.ts";

const databaseUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\/\S+$/, "expected postgres://user@host:port/database")
  .max(2000);

/** `http://host:port` or `https://…`, with a path where something before the registry wants one. */
export const registryUrl = z
  .string()
  .regex(
    /^https?:\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[1-9][0-9]{0,4})?(\/[\w./-]*)?$/,
    "expected http://host:port or https://host:port",
  );

const rows = {
  REGISTRY_LISTEN: row(addressValue, "start: where to answer", {
    fallback: `127.0.0.1:${registryPort}`,
  }),
  REGISTRY_DATA: row(pathValue, "start: the folder of the embedded store; one process owns it"),
  DATABASE_URL: row(databaseUrl, "start: a PostgreSQL database as the store instead"),
  DATABASE_URL_FILE: row(pathValue, "start: a file with it"),
  REGISTRY_ZONE: row(hostValue, "start: the zone", { fallback: "temps.local" }),
  REGISTRY_LOG_LEVEL: { ...logLevelRow, summary: "start: what to log" },
  REGISTRY_URL: row(registryUrl, "all other verbs: the registry", {
    fallback: `http://127.0.0.1:${registryPort}`,
  }),
  REGISTRY_TOKEN_FILE: row(pathValue, "all other verbs: the file with an admin token"),
};

/** Every variable that it reads. */
export const variableTable = { prefix: "REGISTRY_", rows };

export type Variables = VariablesOf<typeof rows>;
