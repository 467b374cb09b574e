/** What holds for a lab that is up, whichever driver runs it: logins at every address, and settings. */
import { Client } from "pg";
import type { Test } from "tap";
import type { Address } from "../../kit/address.ts";
import type { LabSummary } from "../../lab/summary.ts";

/** Who is logged in at `address`, and on which member: `user@member`; or the SQLSTATE of the refusal. */
export async function loginAt(address: Address, login: object): Promise<string> {
  const client = new Client({
    ...address,
    database: "app",
    connectionTimeoutMillis: 10_000,
    query_timeout: 10_000,
    ...login,
  });
  client.on("error", () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ user: string; member: string }>(
      "SELECT current_user AS user, current_setting('cluster_name') AS member",
    );
    return `${rows[0]?.user}@${rows[0]?.member}`;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** The app and the superuser get in everywhere, to the right member, and nobody with a wrong password. */
export async function letsIn(t: Test, json: LabSummary): Promise<void> {
  const addresses: readonly (readonly [what: string, address: Address, member: string])[] = [
    ...json.members.flatMap(
      (one) =>
        [
          [`${one.name} Postgres`, one.postgres, one.name],
          [`${one.name} pooler`, one.pooler, one.name],
        ] as const,
    ),
    ...json.appHosts.flatMap(
      (one) =>
        [
          [`${one.name} write`, one.write, "dal-01"],
          [`${one.name} read`, one.read, "chi-02"],
          [`${one.name} edge`, one.edge, "dal-01"],
        ] as const,
    ),
  ];
  t.equal(addresses.length, 4 + 3 * json.appHosts.length);
  for (const [what, address, member] of addresses) {
    const { user, password, superuser } = json;
    t.equal(await loginAt(address, { user, password }), `app@${member}`, `app at ${what}`);
    t.equal(await loginAt(address, superuser), `postgres@${member}`, `superuser at ${what}`);
  }
  for (const address of [json.members[0]?.postgres, json.members[0]?.pooler, json.edge]) {
    const said = await loginAt(address ?? json.edge, { user: json.user, password: "wrong" });
    t.match(said, /^(28P01|08P01)$/, "a wrong password is refused");
  }
  for (const url of [...json.members.map((one) => `${one.health}/livez`), json.stats]) {
    t.equal((await fetch(url)).status, 200, url);
  }
}

/** What checkSettings expects besides the defaults: the words of `bin/lab up`. */
export const unusualWords = [
  ...["--app-hosts", "2", "--shared-buffers", "48MB"],
  ...["--archive-command", "test 'a' = 'a'"],
] as const;

const safeSettings = {
  fsync: "on",
  full_page_writes: "on",
  synchronous_commit: "on",
  data_checksums: "on",
  wal_segment_size: "16MB",
  wal_log_hints: "on",
  wal_level: "replica",
  password_encryption: "scram-sha-256",
  shared_buffers: "48MB",
  archive_mode: "on",
  archive_command: "test 'a' = 'a'",
};

/** Nothing is made fast by being unsafe, every login needs SCRAM, and the slots are as they should be. */
export async function checkSettings(
  t: Test,
  member: LabSummary["members"][number],
  login: LabSummary["superuser"],
): Promise<void> {
  const client = new Client({ ...member.postgres, ...login, database: "postgres" });
  await client.connect();
  const { rows } = await client.query<{ name: string; setting: string }>(
    "SELECT name, current_setting(name) AS setting FROM pg_settings WHERE name = ANY($1)",
    [Object.keys(safeSettings)],
  );
  const settings = Object.fromEntries(rows.map((row) => [row.name, row.setting]));
  t.strictSame(settings, safeSettings, `settings of ${member.name}`);
  const rules = await client.query("SELECT DISTINCT auth_method FROM pg_hba_file_rules");
  t.strictSame(rules.rows, [{ auth_method: "scram-sha-256" }]);
  const slots = await client.query(
    "SELECT slot_name, active, restart_lsn IS NOT NULL AS keeps FROM pg_replication_slots",
  );
  t.strictSame(
    slots.rows,
    member.name === "dal-01"
      ? [{ slot_name: "chi_02", active: true, keeps: true }]
      : [{ slot_name: "dal_01", active: false, keeps: false }],
    `slots of ${member.name}`,
  );
  await client.end();
}
