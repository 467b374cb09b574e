/** The environment variables that pool-gate reads. Pure. */
import { z } from "zod";
import { addressValue, identifierValue, nameValue, pathValue } from "../../config/values.ts";
import { logLevelRow, variableRow as row } from "../../config/variables.ts";
import type { VariablesOf } from "../../config/variables.ts";
import { poolGatePort } from "./contract.ts";

const secretText = z.string().min(1, "expected a secret");

const rows = {
  POOL_GATE_LISTEN: row(addressValue, "where to answer", {
    fallback: `127.0.0.1:${poolGatePort}`,
    withEnvironment: true,
  }),
  POOL_GATE_NAME: row(nameValue, "the edge pooler's name, shown in the log"),
  POOL_GATE_TOKEN: row(secretText, "the bearer token of its callers; this or the next is needed"),
  POOL_GATE_TOKEN_FILE: row(pathValue, "a file with it"),
  POOL_GATE_POOLER: row(addressValue, "the PgBouncer to pause", { fallback: "127.0.0.1:6432" }),
  POOL_GATE_POOLER_USER: row(identifierValue, "a login of its admin console; needed"),
  POOL_GATE_POOLER_PASSWORD: row(secretText, "its password; this or the next is needed"),
  POOL_GATE_POOLER_PASSWORD_FILE: row(pathValue, "a file with it"),
  POOL_GATE_STATE: row(pathValue, "the file of the lease, gone with a boot as a pause is", {
    fallback: "/run/switchyard/pool-gate.json",
    withEnvironment: true,
  }),
  POOL_GATE_LOG_LEVEL: logLevelRow,
};

/** Every variable that it reads. */
export const variableTable = { prefix: "POOL_GATE_", rows };

export type Variables = VariablesOf<typeof rows>;
