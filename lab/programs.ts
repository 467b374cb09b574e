/**
 * Finds the programs of the lab. Postgres is looked for where packages put it, never on PATH: what
 * stands there may be a wrapper that is good for one cluster only, or another Postgres.
 */
import { constants } from "node:fs";
import { access, readdir } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { runChild } from "../kit/child.ts";
import { LabUnavailableError } from "./place.ts";

export interface Programs {
  /** Folder with postgres, initdb, pg_basebackup, pg_controldata. */
  readonly postgresFolder: string;
  readonly postgresMajor: number;
  readonly haproxy: string;
  readonly pgbouncer: string;
  /** Undefined where it is not installed; only a cluster of pg_auto_failover needs it. */
  readonly autoctl: string | undefined;
}

const packagedPostgres = "/usr/lib/postgresql";
const packagedShare = "/usr/share/postgresql";
const oldestPostgres = 15;
const systemFolders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin"];

/**
 * Finds all programs.
 * @throws LabUnavailableError naming what is missing and how to get it
 */
export async function findPrograms(): Promise<Programs> {
  const [postgres, haproxy, pgbouncer, autoctl] = await Promise.all([
    findPostgres(),
    findProgram("haproxy"),
    findProgram("pgbouncer"),
    findProgram("pg_autoctl").catch(() => undefined),
  ]);
  return { ...postgres, haproxy, pgbouncer, autoctl };
}

/**
 * A monitor needs pg_autoctl, and its extension for the Postgres that is found.
 * @returns the path of pg_autoctl
 * @throws LabUnavailableError
 */
export async function requireAutoctl({
  autoctl,
  postgresFolder,
  postgresMajor,
}: Programs): Promise<string> {
  // Of a Postgres from elsewhere it is not known where it keeps extensions; pg_autoctl will say.
  const isPackaged = postgresFolder.startsWith(`${packagedPostgres}/`);
  const extension = join(packagedShare, String(postgresMajor), "extension/pgautofailover.control");
  if (autoctl !== undefined && (!isPackaged || (await isThere(extension)))) return autoctl;
  const what = autoctl === undefined ? "pg_autoctl" : extension;
  throw new LabUnavailableError(
    `a cluster of pg_auto_failover needs ${what}, and it is not there: run bin/setup`,
  );
}

/**
 * Finds a program of the system in its usual folders.
 * @throws LabUnavailableError
 */
export async function findProgram(name: string): Promise<string> {
  for (const folder of systemFolders) {
    const path = join(folder, name);
    if (await isProgram(path)) return path;
  }
  throw new LabUnavailableError(
    `there is no ${name} in ${systemFolders.join(delimiter)}: run bin/setup`,
  );
}

async function findPostgres(): Promise<Pick<Programs, "postgresFolder" | "postgresMajor">> {
  const entries = await readdir(packagedPostgres).catch(() => []);
  const majors = entries
    .map(Number)
    .filter((major) => major >= oldestPostgres)
    .toSorted((left, right) => right - left);
  for (const postgresMajor of majors) {
    const postgresFolder = join(packagedPostgres, String(postgresMajor), "bin");
    if (await isProgram(join(postgresFolder, "initdb"))) return { postgresFolder, postgresMajor };
  }
  return await askPgConfig();
}

async function askPgConfig(): Promise<Pick<Programs, "postgresFolder" | "postgresMajor">> {
  try {
    const said = await runChild("pg_config", ["--bindir", "--version"], { deadlineMs: 5000 });
    const [postgresFolder = "", version = ""] = said.stdout.split("\n");
    const postgresMajor = Number(/([0-9]+)/.exec(version)?.[1]);
    if (postgresMajor >= oldestPostgres && (await isProgram(join(postgresFolder, "initdb")))) {
      return { postgresFolder, postgresMajor };
    }
  } catch {
    // No pg_config: the message below says what to do.
  }
  throw new LabUnavailableError(
    `there is no PostgreSQL ${oldestPostgres} or newer in ${packagedPostgres}, and pg_config names none: run bin/setup`,
  );
}

async function isProgram(path: string): Promise<boolean> {
  return await isThere(path, constants.X_OK);
}

async function isThere(path: string, how: number = constants.R_OK): Promise<boolean> {
  return await access(path, how).then(
    () => true,
    () => false,
  );
}
