/**
 * Makes the two Postgres nodes of a lab: initdb for the first, a base backup for the second. All
 * safety settings keep their defaults (fsync, full_page_writes, synchronous_commit, 16 MB
 * segments); checksums are on. What a node is (its address, its name) stands on its command line,
 * so that a copied data directory never takes over another node's identity.
 */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { escapeLiteral } from "pg";
import type { Client } from "pg";
import { superuserLogin, withClient } from "./connect.ts";
import { dataFolder, runPartTool, writePartFile } from "./driver/part.ts";
import type { LabModel, MemberHost, Part } from "./model.ts";
import { partOf } from "./model.ts";
import { scramSecret } from "./scram.ts";
import type { LabPlace } from "./place.ts";
import type { Programs } from "./programs.ts";
import { labDatabase, labUsers } from "./secrets.ts";
import type { LabSecrets } from "./secrets.ts";

export interface Making {
  readonly model: LabModel;
  readonly place: LabPlace;
  readonly programs: Programs;
  readonly secrets: LabSecrets;
  readonly signal: AbortSignal;
}

const setUpDeadlineMs = 20_000;

/** Runs initdb for the first member and writes its configuration. */
export async function makePrimary(making: Making, member: MemberHost): Promise<void> {
  const part = partOf(making.model, member.name, "postgres");
  await writeOwned(making, part, "superuser", making.secrets.superuser.reveal());
  await runAs(making, part, "initdb", [
    ...["-D", dataFolder(part), "--username", labUsers.superuser],
    ...["--pwfile", join(part.folder, "superuser"), "--auth", "scram-sha-256"],
    ...["--data-checksums", "--encoding", "UTF8", "--locale", "C.UTF-8"],
  ]);
  await rm(join(part.folder, "superuser"));
  // After initdb's own lines: it has tried what kinds of shared memory this machine has.
  const written = await readFile(join(dataFolder(part), "postgresql.conf"), "utf8");
  await writeOwned(making, part, "data/postgresql.conf", written + settings(making.model));
  await writeOwned(making, part, "data/pg_hba.conf", hostBasedAccess);
  await writeFollowing(making, member);
}

/** Creates roles, the app's database and the standby's slot on the running primary. */
export async function fillPrimary(making: Making, member: MemberHost): Promise<void> {
  const { app, replicator } = making.secrets;
  await asSuperuser(making, member, async (client) => {
    const others = making.model.members.filter((one) => one.name !== member.name);
    await client.query(
      `CREATE ROLE ${labUsers.replicator} LOGIN REPLICATION PASSWORD ${escapeLiteral(replicator.reveal())}`,
    );
    await client.query(
      `CREATE ROLE ${labUsers.app} LOGIN PASSWORD ${escapeLiteral(scramSecret(app))}`,
    );
    await client.query(`CREATE DATABASE ${labDatabase} OWNER ${labUsers.app}`);
    for (const { slot } of others) {
      await client.query("SELECT pg_create_physical_replication_slot($1, true)", [slot]);
    }
  });
}

/** Copies the primary into a standby that will follow it through its own slot. */
export async function makeStandby(
  making: Making,
  member: MemberHost,
  primary: MemberHost,
): Promise<void> {
  const part = partOf(making.model, member.name, "postgres");
  await writeFollowing(making, member, { passfileOnly: true });
  await runAs(
    making,
    part,
    "pg_basebackup",
    [
      ...["-D", dataFolder(part), "-h", primary.postgres.host, "-p", String(primary.postgres.port)],
      ...["-U", labUsers.replicator, "--no-password", "--checkpoint", "fast"],
      ...["--wal-method", "stream", "--slot", member.slot],
    ],
    { PGPASSFILE: join(part.folder, "passfile") },
  );
  await writeFollowing(making, member);
  await writeOwned(making, part, "data/standby.signal", "");
}

/**
 * Creates on a standby the slots that the others will need once it is primary. They reserve no WAL
 * until they are used.
 */
export async function prepareSlots(making: Making, member: MemberHost): Promise<void> {
  const others = making.model.members.filter((one) => one.name !== member.name);
  await asSuperuser(making, member, async (client) => {
    for (const { slot } of others) {
      await client.query("SELECT pg_create_physical_replication_slot($1)", [slot]);
    }
  });
}

async function runAs(
  making: Making,
  part: Part,
  program: string,
  words: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<void> {
  const command = [join(making.programs.postgresFolder, program), ...words] as const;
  await runPartTool(making.place, part, command, { variables, signal: making.signal });
}

async function writeOwned(
  making: Making,
  part: Part,
  name: string,
  content: string,
): Promise<void> {
  await writePartFile(making.place, part, name, content);
}

async function asSuperuser(
  making: Making,
  member: MemberHost,
  work: (client: Client) => Promise<void>,
): Promise<void> {
  await withClient(member.postgres, superuserLogin(making.secrets), setUpDeadlineMs, work);
}

/** Whom the node follows whenever it is a standby: set beforehand, so that a signal file is all. */
async function writeFollowing(
  making: Making,
  member: MemberHost,
  options: { passfileOnly?: boolean } = {},
): Promise<void> {
  const part = partOf(making.model, member.name, "postgres");
  const upstream = making.model.members.find((one) => one.name !== member.name);
  const passfile = join(part.folder, "passfile");
  const password = making.secrets.replicator.reveal();
  await writeOwned(making, part, "passfile", `*:*:*:${labUsers.replicator}:${password}\n`);
  if (options.passfileOnly === true || upstream === undefined) return;
  const { host, port } = upstream.postgres;
  const connection = `host=${host} port=${port} user=${labUsers.replicator} passfile=${passfile} application_name=${member.name} connect_timeout=3`;
  const lines = [`primary_conninfo = '${connection}'`, `primary_slot_name = '${member.slot}'`, ""];
  await writeOwned(making, part, "data/postgresql.auto.conf", lines.join("\n"));
}

const hostBasedAccess = [
  "# TYPE  DATABASE     USER  ADDRESS      METHOD",
  "local   all          all                scram-sha-256",
  "local   replication  all                scram-sha-256",
  "host    all          all   127.0.0.0/8  scram-sha-256",
  "host    replication  all   127.0.0.0/8  scram-sha-256",
  "",
].join("\n");

function settings(model: LabModel): string {
  const quoted = (value: string): string => `'${value.replaceAll("'", "''")}'`;
  const rows: readonly (readonly [name: string, value: string])[] = [
    ["password_encryption", "scram-sha-256"],
    ["shared_buffers", quoted(model.sharedBuffers)],
    ["wal_level", "replica"],
    ["wal_log_hints", "on"],
    ["max_wal_senders", "10"],
    ["max_replication_slots", "10"],
    ["hot_standby", "on"],
    ["log_line_prefix", quoted("%m [%p] %q%u@%d ")],
    ["timezone", "UTC"],
    ["log_timezone", "UTC"],
    ...(model.archiveCommand === null
      ? []
      : ([
          ["archive_mode", "on"],
          ["archive_command", quoted(model.archiveCommand)],
        ] as const)),
  ];
  return rows.map(([name, value]) => `${name} = ${value}\n`).join("");
}
