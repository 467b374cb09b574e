/**
 * Makes the two Postgres nodes of a lab of processes: initdb for the first, a base backup for the
 * second. What a node is (its address, its name) stands on its command line, so that a copied data
 * directory never takes over another node's identity.
 */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { MemberHost, Part } from "../model.ts";
import { partOf } from "../model.ts";
import {
  followingSettings,
  hostBasedAccess,
  initdbWords,
  passfile,
  postgresSettings,
} from "../postgres.ts";
import type { Programs } from "../programs.ts";
import { labUsers } from "../secrets.ts";
import type { Making } from "./driver.ts";
import { dataFolder, runPartTool, writePartFile } from "./part.ts";

/** Runs initdb for the first member and writes its configuration. */
export async function makePrimary(
  making: Making,
  programs: Programs,
  member: MemberHost,
): Promise<void> {
  const part = partOf(making.model, member.name, "postgres");
  await initialise(making, programs, part);
  await writePassfile(making, part);
  await writeFollowing(making, part, member);
}

/** Runs initdb for a member's Postgres and writes what all of them are told, with `more` lines. */
export async function initialise(
  making: Making,
  programs: Programs,
  part: Part,
  more = "",
): Promise<void> {
  const { model, place } = making;
  await writePartFile(place, part, "superuser", making.secrets.superuser.reveal());
  await runAs(making, part, join(programs.postgresFolder, "initdb"), [
    ...["-D", dataFolder(part), "--username", labUsers.superuser],
    ...["--pwfile", join(part.folder, "superuser"), "--auth", "scram-sha-256", ...initdbWords],
  ]);
  await rm(join(part.folder, "superuser"));
  // After initdb's own lines: it has tried what kinds of shared memory this machine has.
  const written = await readFile(join(dataFolder(part), "postgresql.conf"), "utf8");
  const settings = written + postgresSettings(model) + more;
  await writePartFile(place, part, "data/postgresql.conf", settings);
  await writePartFile(place, part, "data/pg_hba.conf", hostBasedAccess(["127.0.0.0/8"]));
}

/** Copies the primary into a standby that will follow it through its own slot. */
export async function makeStandby(
  making: Making,
  programs: Programs,
  member: MemberHost,
  primary: MemberHost,
): Promise<void> {
  const part = partOf(making.model, member.name, "postgres");
  const { host, port } = primary.postgres;
  await writePassfile(making, part);
  await runAs(
    making,
    part,
    join(programs.postgresFolder, "pg_basebackup"),
    [
      ...["-D", dataFolder(part), "-h", host, "-p", String(port)],
      ...["-U", labUsers.replicator, "--no-password", "--checkpoint", "fast"],
      ...["--wal-method", "stream", "--slot", member.slot],
    ],
    { PGPASSFILE: join(part.folder, "passfile") },
  );
  await writeFollowing(making, part, member);
  await writePartFile(making.place, part, "data/standby.signal", "");
}

async function runAs(
  making: Making,
  part: Part,
  program: string,
  words: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<void> {
  const command = [program, ...words] as const;
  await runPartTool(making.place, part, command, { variables, signal: making.signal });
}

async function writePassfile({ place, secrets }: Making, part: Part): Promise<void> {
  await writePartFile(place, part, "passfile", passfile(secrets));
}

async function writeFollowing(
  { model, place }: Making,
  part: Part,
  member: MemberHost,
): Promise<void> {
  const text = followingSettings(model, member, join(part.folder, "passfile"));
  await writePartFile(place, part, "data/postgresql.auto.conf", text);
}
