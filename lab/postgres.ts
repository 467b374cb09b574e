/**
 * What a lab's Postgres nodes are told, whichever driver runs them. All safety settings keep their
 * defaults (fsync, full_page_writes, synchronous_commit, 16 MB segments); checksums are on.
 */
import { escapeLiteral } from "pg";
import type { Client } from "pg";
import { Secret } from "../config/secret.ts";
import { userlist } from "../router/pooler/model.ts";
import { superuserLogin, withClient } from "./connect.ts";
import type { Making } from "./driver/driver.ts";
import type { LabModel, MemberHost } from "./model.ts";
import { scramSecret } from "./scram.ts";
import { labDatabase, labUsers } from "./secrets.ts";
import type { LabSecrets } from "./secrets.ts";

const setUpDeadlineMs = 20_000;

/** The words of initdb that decide what a data directory is for ever. */
export const initdbWords = ["--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8"] as const;

/** Creates roles, the app's database and the standby's slot on the running primary. */
export async function fillPrimary(making: Making, member: MemberHost): Promise<void> {
  const { replicator } = making.secrets;
  await asSuperuser(making, member, async (client) => {
    const others = making.model.members.filter((one) => one.name !== member.name);
    await client.query(
      `CREATE ROLE ${labUsers.replicator} LOGIN REPLICATION PASSWORD ${escapeLiteral(replicator.reveal())}`,
    );
    await createApp(making, client);
    for (const { slot } of others) {
      await client.query("SELECT pg_create_physical_replication_slot($1, true)", [slot]);
    }
  });
}

/** Creates the app's role and its database. */
export async function createApp({ secrets }: Making, client: Client): Promise<void> {
  await client.query(
    `CREATE ROLE ${labUsers.app} LOGIN PASSWORD ${escapeLiteral(scramSecret(secrets.app))}`,
  );
  await client.query(`CREATE DATABASE ${labDatabase} OWNER ${labUsers.app}`);
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

/** Works on a member's Postgres as its superuser. @throws PgConnectionError, or what `work` throws */
export async function asSuperuser(
  making: Making,
  member: MemberHost,
  work: (client: Client) => Promise<void>,
): Promise<void> {
  await withClient(member.postgres, superuserLogin(making.secrets), setUpDeadlineMs, work);
}

/** The libpq words by which `member` follows the other one; the file `passwords` has the password. */
export function upstreamWords(model: LabModel, member: MemberHost, passwords: string): string {
  const [upstream] = model.members.filter((one) => one.name !== member.name);
  if (upstream === undefined) throw new TypeError("a lab has two members");
  const { host, port } = upstream.postgres;
  return `host=${host} port=${port} user=${labUsers.replicator} passfile=${passwords} application_name=${member.name} connect_timeout=3`;
}

/** Whom a node follows whenever it is a standby: set beforehand, so that a signal file is all. */
export function followingSettings(model: LabModel, member: MemberHost, passwords: string): string {
  return [
    `primary_conninfo = '${upstreamWords(model, member, passwords)}'`,
    `primary_slot_name = '${member.slot}'`,
    "",
  ].join("\n");
}

/** A passfile with the replication password. PostgreSQL manual, 34.16 "The Password File". */
export function passfile({ replicator }: LabSecrets): string {
  return `*:*:*:${labUsers.replicator}:${replicator.reveal()}\n`;
}

/** The userlist of every PgBouncer of a lab. */
export function poolerUserlist(secrets: LabSecrets): string {
  return userlist([
    { user: labUsers.superuser, password: secrets.superuser },
    { user: labUsers.app, password: new Secret(scramSecret(secrets.app)) },
    { user: labUsers.poolerAdmin, password: secrets.poolerAdmin },
  ]);
}

/** pg_hba.conf: everybody shows a SCRAM password, and comes from one of `networks`. */
export function hostBasedAccess(networks: readonly string[]): string {
  return [
    "# TYPE  DATABASE     USER  ADDRESS      METHOD",
    "local   all          all                scram-sha-256",
    "local   replication  all                scram-sha-256",
    ...networks.flatMap((network) => [
      `host    all          all   ${network}  scram-sha-256`,
      `host    replication  all   ${network}  scram-sha-256`,
    ]),
    "",
  ].join("\n");
}

/** The lines of postgresql.conf in which a lab's Postgres differs from a fresh one. */
export function postgresSettings(model: LabModel): string {
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
