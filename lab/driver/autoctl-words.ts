/**
 * What pg_autoctl is told in a lab: to make a monitor or a node, and to run it. Its settings, state
 * and pid files lie in the part's folder; passwords stand in a password file there, and in no word.
 * pg_auto_failover manual, "pg_autoctl create monitor", "pg_autoctl create postgres". Pure.
 */
import { formatAddress } from "../../kit/address.ts";
import type { LabModel, Part } from "../model.ts";
import type { Programs } from "../programs.ts";
import { labUsers } from "../secrets.ts";
import type { LabSecrets } from "../secrets.ts";
import { dataFolder, runtimeFolder } from "./part.ts";

/** The database of the monitor. */
export const monitorDatabase = "pg_auto_failover";
/** The role by which keepers let their standbys follow. */
export const replicationRole = "pgautofailover_replicator";
/** A file of the part, outside its data, with what a copy of the data must not take over. */
export const ownSettings = "member.conf";

type Postgres = Pick<Programs, "postgresFolder">;

/** The words that make a monitor, with its Postgres. */
export function createMonitorWords(programs: Postgres, part: Part): string[] {
  // Its own lines of pg_hba.conf would let in by trust; the lab writes that file.
  return ["create", "monitor", ...placeWords(programs, part), "--skip-pg-hba", "--ssl-self-signed"];
}

/** The words that make a node: of the data that is there, else of a copy of the primary's. */
export function createNodeWords(programs: Postgres, model: LabModel, part: Part): string[] {
  const { monitor } = model;
  if (monitor === undefined) throw new TypeError(`lab ${model.name} has no monitor`);
  const at = formatAddress(monitor.address);
  return [
    ...["create", "postgres", ...placeWords(programs, part)],
    ...["--name", part.host, "--username", labUsers.superuser],
    ...["--skip-pg-hba", "--no-ssl"],
    ...["--monitor", `postgres://${labUsers.monitor}@${at}/${monitorDatabase}?sslmode=require`],
  ];
}

function placeWords({ postgresFolder }: Postgres, part: Part): string[] {
  const [address] = part.listens;
  if (address === undefined) throw new TypeError(`${part.name} listens nowhere`);
  return [
    ...["--pgctl", `${postgresFolder}/pg_ctl`, "--pgdata", dataFolder(part)],
    ...["--pgport", String(address.port), "--listen", address.host, "--hostname", address.host],
  ];
}

/** The words that run what was made. */
export function runWords(part: Part): string[] {
  return ["run", "--pgdata", dataFolder(part)];
}

/** The file of the passwords that its programs log in with. */
export function passwordFile(part: Part): string {
  return `${part.folder}/passfile`;
}

/** The variables of pg_autoctl and of all that it starts. */
export function autoctlVariables(part: Part): Readonly<Record<string, string>> {
  return {
    HOME: part.folder,
    XDG_CONFIG_HOME: `${part.folder}/config`,
    XDG_DATA_HOME: `${part.folder}/state`,
    XDG_RUNTIME_DIR: runtimeFolder(part),
    // The folder of the socket, twice: nodes of one port share this machine, and for its extension
    // pg_autoctl asks libpq alone.
    PG_REGRESS_SOCK_DIR: part.folder,
    PGHOST: part.folder,
    PGUSER: labUsers.superuser,
    PGPASSFILE: passwordFile(part),
  };
}

/** A password file for a keeper: its own Postgres, the monitor's, and the primary that it follows. */
export function keeperPasswords({ superuser, monitor, replicator }: LabSecrets): string {
  return [
    `*:*:*:${labUsers.superuser}:${superuser.reveal()}`,
    `*:*:*:${labUsers.monitor}:${monitor.reveal()}`,
    `*:*:*:${replicationRole}:${replicator.reveal()}`,
    "",
  ].join("\n");
}
