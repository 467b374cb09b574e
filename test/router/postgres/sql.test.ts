/**
 * Reading what Postgres and PgBouncer answer: recorded rows of several versions, and odd ones; and a
 * session that is told to go.
 */
import t from "tap";
import { parsePoolerFacts } from "../../../router/pooler/console-replies.ts";
import { MemberSession } from "../../../router/postgres/session.ts";
import { fileSystemOf, parseFacts, parseHistory } from "../../../router/postgres/sql.ts";
import { testEnvironment } from "../../support/environment.ts";
import { greeting, say, startFakePostgres } from "../../support/fake-postgres.ts";

/** What PostgreSQL 15.18 answered as a standby, as pg hands it over. */
const standbyRow = {
  version_number: 150_018,
  version: "15.18",
  in_recovery: true,
  system_identifier: "7710471964398101932",
  timeline: 3,
  started_at: "2026-11-21T05:09:10.870+01:00",
  write_lsn: null,
  receive_lsn: "0/304B3F8",
  replay_lsn: "0/304B3A0",
  replay_paused: false,
  replay_lag_ms: 12,
  receiver: {
    pid: 7,
    status: "streaming",
    slot_name: "chi_02",
    sender_host: "127.70.0.1",
    sender_port: 5432,
    received_tli: 3,
  },
  senders: [],
  slots: [
    {
      slot_name: "failover",
      slot_type: "logical",
      active: false,
      temporary: false,
      synced: true,
      restart_lsn: "0/3000000",
      wal_status: "reserved",
      retained: 308_216,
    },
    {
      slot_name: "dal_01",
      slot_type: "physical",
      active: false,
      restart_lsn: null,
      retained: null,
    },
  ],
  settings: { default_transaction_read_only: "off", data_directory: "/srv/pg/data" },
  pending_restart: [],
  lax_roles: [],
  archiver: { failed_count: 0, last_failed_time: null, last_archived_time: null },
  sessions: 2,
  prepared: 0,
  prepared_age_s: null,
  transaction_age_s: null,
  checksum_failures: 0,
  xid_age: 19,
  managers: [],
  armed: true,
  mounts: "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 0:5 / /srv/pg rw - tmpfs tmpfs rw\n",
  history: null,
};

t.test("a standby's row", async (t) => {
  const facts = parseFacts(standbyRow);
  t.match(facts, {
    role: "standby",
    timeline: 3,
    startedAt: "2026-11-21T04:09:10.870Z",
    writeLsn: null,
    receiveLsn: 0x30_4b3f8n,
    replayLsn: 0x30_4b3a0n,
    replayLagMs: 12,
    receiver: { status: "streaming", senderHost: "127.70.0.1", senderPort: 5432, slot: "chi_02" },
    dataFileSystem: "tmpfs",
  });
  t.match(facts.slots, [
    { name: "failover", type: "logical", synced: true, retainedBytes: 308_216 },
    { name: "dal_01", type: "physical", synced: false, restartLsn: null, retainedBytes: null },
  ]);
  t.equal(facts.armed, false, "standby.signal on a standby arms nothing");
});

t.test("a primary's row, and one that may not look into the data directory", async (t) => {
  const primary = { ...standbyRow, in_recovery: false, receiver: null, write_lsn: "1/0" };
  t.match(parseFacts(primary), { role: "primary", armed: true, writeLsn: 2n ** 32n });
  t.match(parseFacts({ ...primary, armed: null, mounts: null }), {
    armed: null,
    dataFileSystem: null,
  });
  const readOnly = { ...primary, settings: { default_transaction_read_only: "on" } };
  t.equal(parseFacts(readOnly).readOnly, true);
});

t.test("timeline history files", async (t) => {
  const rows = [
    { name: "unreadable", given: null, want: null },
    { name: "empty", given: "", want: [] },
    {
      name: "two switches",
      given: "1\t0/4000000\tno recovery target specified\n\n2\t0/A0\tbefore 2026-01-01 00:00\n",
      want: [
        { timeline: 1, endLsn: 0x400_0000n },
        { timeline: 2, endLsn: 0xa0n },
      ],
    },
    {
      name: "comments",
      given: "# by hand\n1\t1/0\tx\n",
      want: [{ timeline: 1, endLsn: 2n ** 32n }],
    },
  ];
  for (const { name, given, want } of rows) t.same(parseHistory(given), want, name);
});

t.test("the file system under the data directory", async (t) => {
  const mounts = [
    "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw",
    "30 22 0:5 / /var/lib/pg rw - xfs /dev/sdb rw",
    String.raw`31 22 0:6 / /mnt/two\040words rw - btrfs /dev/sdc rw`,
    "32 30 0:7 / /var/lib/pg rw - tmpfs tmpfs rw",
    "",
  ].join("\n");
  const rows = [
    { folder: "/srv/data", want: "ext4" },
    { folder: "/var/lib/pg/15", want: "tmpfs" },
    { folder: "/var/lib/pgx", want: "ext4" },
    { folder: "/mnt/two words/data", want: "btrfs" },
    { folder: undefined, want: null },
  ];
  for (const { folder, want } of rows) t.equal(fileSystemOf(folder, mounts), want, String(folder));
  t.equal(fileSystemOf("/srv", null), null);
});

/** PgBouncer answers everything as text, and numbers as numbers where the column is one. */
const console118 = {
  version: [{ version: "PgBouncer 1.18.0" }],
  state: [],
  databases: [
    { name: "app", host: "10.0.0.1", port: 5432, paused: 1, disabled: 0 },
    { name: "local", host: null, port: 5432, paused: 0, disabled: 1 },
    { name: "pgbouncer", host: null, port: 6432, paused: 0, disabled: 0 },
  ],
  pools: [
    {
      database: "app",
      user: "app",
      cl_active: 3,
      cl_waiting: 2,
      sv_active: 1,
      sv_idle: 2,
      sv_used: 0,
      sv_tested: 0,
      sv_login: 1,
      maxwait: 7,
      maxwait_us: 250_000,
      pool_mode: "transaction",
    },
    {
      database: "pgbouncer",
      user: "pgbouncer",
      cl_active: 1,
      cl_waiting: 0,
      maxwait: 0,
      maxwait_us: 0,
    },
  ],
};

t.test("PgBouncer's console, 1.18", async (t) => {
  t.same(parsePoolerFacts(console118), {
    console: true,
    version: "1.18.0",
    state: "unknown",
    databases: [
      { name: "app", host: "10.0.0.1", port: 5432, paused: true, disabled: false },
      { name: "local", host: null, port: 5432, paused: false, disabled: true },
    ],
    pools: [
      {
        database: "app",
        user: "app",
        clientsActive: 3,
        clientsWaiting: 2,
        servers: 4,
        maxWaitMs: 7250,
        mode: "transaction",
      },
    ],
  });
});

t.test("PgBouncer's state, 1.19 and newer", async (t) => {
  const rows = [
    { yes: "active", want: "active" },
    { yes: "paused", want: "paused" },
    { yes: "suspended", want: "suspended" },
  ];
  for (const { yes, want } of rows) {
    const state = rows.map(({ yes: key }) => ({ key, value: key === yes ? "yes" : "no" }));
    t.match(parsePoolerFacts({ ...console118, state }), { state: want });
  }
});

t.test("a session that is told to go is gone, though its connection still stands", async (t) => {
  const row = Buffer.concat([say.row("on"), say.ready]);
  const server = await startFakePostgres(t, {
    greeting,
    answer: (text) => (text === "SELECT 1" ? say.error("57P01", "terminating") : row),
  });
  const environment = await testEnvironment();
  const [member] = environment.members;
  if (member === undefined) throw new TypeError("no member");
  const session = await MemberSession.open(
    environment,
    { ...member, postgres: server },
    { applicationName: "a test", deadlineMs: 20_000 },
  );
  t.teardown(() => session.cut());
  t.equal(session.isOpen, true);
  await t.rejects(session.ask("SELECT 1"), { code: "ERR_CONNECTION", sqlState: "57P01" });
  t.equal(session.isOpen, false);
  await t.rejects(session.ask("SELECT 2"), { code: "ERR_SESSION_LOST" });
});
