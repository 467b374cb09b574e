/** Prechecks on a real cluster: what is wrong there is found with its evidence, and no more after it is mended. */
import { spawn } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { Test } from "tap";
import type { Client } from "pg";
import type { Environment } from "../../../config/schema.ts";
import { Secret } from "../../../config/secret.ts";
import { eventually } from "../../../kit/clock.ts";
import { checkFlip } from "../../../router/flip-db/prechecks/precheck-facts.ts";
import type { FlipCheckRequest } from "../../../router/flip-db/prechecks/precheck-facts.ts";
import type { Precheck } from "../../../router/flip-db/prechecks.ts";
import { masterOf } from "../../support/first-router.ts";
import { reloadThroughMaster } from "../../../router/haproxy/runtime/master.ts";
import { appendRecord, ensureJournal } from "../../../router/postgres/journal.ts";
import { acquireClusterLock } from "../../../router/postgres/lock.ts";
import { withLab } from "../../support/lab.ts";
import type { TestLab } from "../../support/lab.ts";

/** What was caused, as the finding must tell it; and how it is mended. */
type Wanted = Readonly<Record<string, RegExp>>;
type Mend = () => Promise<unknown>;

interface Hands {
  readonly lab: TestLab;
  /** With limits so low that nothing has to last long. */
  readonly environment: Environment;
  readonly dal: Client;
  readonly chi: Client;
}

async function handsOn(lab: TestLab): Promise<Hands> {
  const [dal, chi] = await Promise.all(
    lab.json.members.map((one) =>
      // Under a name of ours, so that it is no session of a client.
      lab.connect(one.postgres, {
        as: "superuser",
        database: "postgres",
        config: { application_name: "switchyard-test" },
      }),
    ),
  );
  if (dal === undefined || chi === undefined) throw new Error("a lab has two members");
  const flip = { ...lab.environment.flip, holdDeadline: 100, archiveBacklog: 0 };
  return { lab, dal, chi, environment: { ...lab.environment, flip } };
}

async function check(
  { environment }: Hands,
  request: Partial<FlipCheckRequest> = {},
): Promise<ReadonlyMap<string, Precheck>> {
  const { prechecks } = await checkFlip(environment, {
    wanted: "auto",
    acceptedRisks: [],
    ...request,
  });
  return new Map(prechecks.map((one) => [one.code, one]));
}

function unlike(found: ReadonlyMap<string, Precheck>, wanted: Wanted): string[] {
  return Object.entries(wanted)
    .filter(([code, says]) => !says.test(found.get(code)?.finding ?? ""))
    .map(([code]) => `${code}: ${found.get(code)?.finding}`);
}

/** Waits until every wanted finding is there. */
async function untilFound(
  hands: Hands,
  wanted: Wanted,
  request: Partial<FlipCheckRequest> = {},
): Promise<ReadonlyMap<string, Precheck>> {
  let left: string[] = [];
  const options = { deadlineMs: 20_000, intervalMs: 100 };
  return await eventually(Object.keys(wanted).join(", "), options, async () => {
    const found = await check(hands, request);
    left = unlike(found, wanted);
    return left.length === 0 ? found : undefined;
  }).catch((error: unknown) => {
    throw new Error(`not as wanted: ${left.join(" | ")}`, { cause: error });
  });
}

/** Waits until nothing but the usual remark is found. */
async function untilFine(hands: Hands): Promise<void> {
  let left: string[] = [];
  await eventually("a lab that is ready", { deadlineMs: 20_000, intervalMs: 100 }, async () => {
    const found = [...(await check(hands)).values()];
    const bad = found.filter((one) => !["ok", "told"].includes(one.outcome));
    left = bad.map((one) => `${one.code}: ${one.finding}`);
    return left.length === 0 ? true : undefined;
  }).catch((error: unknown) => {
    throw new Error(`still found: ${left.join(" | ")}`, { cause: error });
  });
}

async function set(client: Client, values: Readonly<Record<string, string>>): Promise<Mend> {
  const names = Object.keys(values);
  const { rows } = await client.query<{ name: string; value: string }>(
    "SELECT name, quote_literal(setting) AS value FROM pg_settings WHERE name = ANY ($1)",
    [names],
  );
  const write = async (wanted: Readonly<Record<string, string>>): Promise<void> => {
    for (const [name, value] of Object.entries(wanted)) {
      await client.query(`ALTER SYSTEM SET ${name} = ${value}`);
    }
    await client.query("SELECT pg_reload_conf()");
  };
  await write(values);
  return () => write(Object.fromEntries(rows.map((one) => [one.name, one.value])));
}

/** A session that somebody holds, with what it has done so far. */
async function session(
  { lab }: Hands,
  address: { host: string; port: number },
  statements: readonly string[],
  name: string,
): Promise<Mend> {
  const client = await lab.connect(address, { config: { application_name: name } });
  for (const one of statements) await client.query(one);
  return () => client.end();
}

/** A program of PostgreSQL that stays connected to dal-01. */
async function program(hands: Hands, name: string, words: readonly string[]): Promise<Mend> {
  const [member] = hands.lab.environment.members;
  const { superuser } = hands.lab.json;
  const folder = member?.control?.programs ?? "";
  const { host = "", port = 0 } = member?.postgres ?? {};
  const child = spawn(join(folder, name), ["-h", host, "-p", String(port), ...words], {
    env: { PGUSER: superuser.user, PGPASSWORD: superuser.password },
    stdio: ["ignore", "pipe", "ignore"],
  });
  child.stdout.resume();
  const ended = new Promise((resolve) => child.once("close", resolve));
  return async () => {
    child.kill("SIGTERM");
    await ended;
  };
}

/** Once nobody uses it any more. */
async function dropSlot(client: Client, slot: string): Promise<void> {
  await eventually(`drop of slot ${slot}`, { deadlineMs: 10_000, intervalMs: 50 }, async () => {
    const { rows } = await client.query(
      `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
       WHERE slot_name = $1 AND NOT active`,
      [slot],
    );
    return rows.length === 1 ? true : undefined;
  });
}

async function onConsole(
  { lab }: Hands,
  at: { host: string; port: number },
  ...statements: readonly string[]
): Promise<void> {
  const [edge] = lab.environment.edgePoolers;
  const { user = "", password } = edge?.admin ?? {};
  const config = { user, password: password?.reveal() ?? "", database: "pgbouncer" };
  const client = await lab.connect(at, { config });
  for (const one of statements) await client.query(one);
  await client.end();
}

async function withMends(
  t: Test,
  mends: readonly Mend[],
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } finally {
    for (const mend of mends.toReversed()) await mend();
  }
  t.pass("mended");
}

t.test("a lab with two app hosts", async (t) => {
  const lab = await withLab(t, { appHosts: 2, archiveCommand: "/bin/true" });
  const before = await handsOn(lab);
  for (const one of [before.chi, before.dal]) {
    await one.query("ALTER SYSTEM SET max_prepared_transactions = 5");
    await one.query("ALTER SYSTEM SET wal_level = logical");
  }
  for (const name of ["chi-02", "dal-01"]) {
    await lab.run("stop", `${name}/postgres`);
    await lab.run("start", `${name}/postgres`);
  }
  const hands = await handsOn(lab);
  const { dal, chi, environment } = hands;
  const [dalMember, chiMember] = environment.members;
  const [app1, app2] = environment.edgePoolers;
  const [router1] = environment.routers;
  if (!dalMember || !chiMember || !app1 || !app2 || !router1) throw new Error("a part is missing");

  await t.test("is ready", async (t) => {
    await untilFine(hands);
    const { mode, why } = await checkFlip(environment, { wanted: "auto", acceptedRisks: [] });
    t.same({ mode, why }, { mode: "seamless", why: [] });
  });

  await t.test("what runs on the primary, logical slots too (pitfall 23)", async (t) => {
    // First of all: it would wait for the prepared transaction.
    await dal.query("SELECT pg_create_logical_replication_slot('cdc', 'test_decoding')");
    const sleeper = await lab.connect(dalMember.postgres, { config: { application_name: "etl" } });
    const slept = sleeper.query("SELECT pg_sleep(600)").catch(() => undefined);
    const { rows } = await dal.query<{ pid: number }>(
      "SELECT pid FROM pg_stat_activity WHERE application_name = 'etl'",
    );
    const pid = rows[0]?.pid ?? 0;
    const app = await lab.connect(app1.address);
    await app.query("CREATE TABLE IF NOT EXISTS orders (id int)");
    await app.query("BEGIN; INSERT INTO orders VALUES (7); PREPARE TRANSACTION 'order-7'");
    const mends: Mend[] = [
      async () => {
        await dal.query("SELECT pg_terminate_backend($1)", [pid]);
        await slept;
      },
      await session(hands, dalMember.postgres, ["BEGIN", "SELECT 1"], "psql"),
      await session(hands, dalMember.postgres, ["SELECT pg_advisory_lock(7)"], "cron"),
      async () => {
        await app.query("ROLLBACK PREPARED 'order-7'");
        await app.end();
      },
      async () => await dal.query("SELECT pg_drop_replication_slot('cdc')"),
      () => dropSlot(dal, "wal"),
    ];
    await dal.query("SELECT pg_create_physical_replication_slot('wal', true)");
    const folder = lab.part("dal-01/postgres").folder;
    mends.push(
      await program(hands, "pg_receivewal", ["-D", join(folder, ".."), "-S", "wal"]),
      await program(hands, "pg_basebackup", ["-D", "-", "-Ft", "-Xnone", "-cfast", "-r", "32"]),
      await set(dal, { wal_sender_timeout: "0", archive_command: "'/bin/false'" }),
    );
    // The archiver hears of the new command a moment later, and may pass one more file by the old one.
    await eventually("archiving fails", { deadlineMs: 20_000, intervalMs: 500 }, async () => {
      await dal.query("SELECT pg_logical_emit_message(true, 'test', 'a file to archive')");
      await dal.query("SELECT pg_switch_wal()");
      const failed = await dal.query("SELECT FROM pg_stat_archiver WHERE failed_count > 0");
      return failed.rowCount === 1 ? true : undefined;
    });
    await withMends(t, mends, async () => {
      const found = await untilFound(hands, {
        "H5-archiver": /^archiving fails on dal-01: [0-9]+ failures, the last for 0{7}1/,
        "H5-archive-backlog": /^[0-9]+ files wait for the archiver of dal-01 \(limit 0\)$/,
        "H6-base-backup": /^a base backup runs: pg_basebackup from/,
        "H6-receiver": /^also stream from dal-01: physical pg_receivewal from .*, slot wal\)$/,
        "H6-sender-timeout": /^wal_sender_timeout is off on dal-01/,
        "H7-transactions": new RegExp(`process ${pid} for .* \\(active; app on app etl from`),
        "H7-idle-transactions": /idle in transaction; app on app psql from/,
        "H7-prepared": /^1 are prepared: order-7 for/,
        "H7-advisory-locks": /^held by process [0-9]+ \(app on app cron from/,
        "H9-logical-slots": /^will be lost: cdc \(postgres\)$/,
        "H11-direct": /^3 straight on Postgres of dal-01: 1 of app on app \((etl|psql|cron)\)/,
      });
      t.equal(found.get("H11-direct")?.refuses, false);
      // Nothing is flushed before a segment is full, so a shutdown would wait for it.
      await untilFound(hands, { "H6-late-receiver": /pg_receivewal .* at 0\/[0-9A-F]+$/ });
      const direct = { "H11-direct": /^3 straight on Postgres/ };
      const strict = await untilFound(hands, direct, { wanted: "seamless" });
      t.match(strict.get("H11-direct"), { outcome: "refused", refuses: true });
    });
    await dal.query("SELECT pg_switch_wal()");
    await untilFine(hands);
  });

  await t.test("what is wrong with the standby, and with the way back", async (t) => {
    const signal = join(lab.part("dal-01/postgres").folder, "data", "standby.signal");
    await writeFile(signal, "");
    const mends: Mend[] = [
      () => rm(signal),
      await set(chi, {
        recovery_min_apply_delay: "3000",
        default_transaction_read_only: "on",
        restore_command: "'sleep 0.3; false'",
        synchronous_standby_names: `'"dal-01"'`,
      }),
      await set(dal, { primary_conninfo: "'host=127.0.0.1 port=1 user=nobody password=hunter2'" }),
      async () => await chi.query("SELECT pg_wal_replay_resume()"),
    ];
    await chi.query("SELECT pg_wal_replay_pause()");
    await lab.run("stop", "chi-02/health");
    await lab.run("stop", "chi-02/pooler");
    mends.push(async () => {
      await lab.run("start", "chi-02/health");
      await lab.run("start", "chi-02/pooler");
    });
    await withMends(t, mends, async () => {
      const found = await untilFound(hands, {
        "H1-health": /pg-health/,
        "H2-replay-paused": /^replay is paused on chi-02$/,
        "H2-apply-delay": /^recovery_min_apply_delay is 3000 ms on chi-02$/,
        "H4-reverse": /^dal-01 cannot open a replication connection to chi-02: .*refused/,
        "H8-read-only": /^default_transaction_read_only is on at chi-02$/,
        "H8-synchronous-old": /is "dal-01" on chi-02: its first commits wait until dal-01 streams/,
        "H11-node-pooler": /^the node pooler of chi-02: .*refused/,
        "H13-armed": /^dal-01 has a standby.signal$/,
        "H14-restore": /^restore_command of chi-02 takes ([3-9]|[1-9][0-9])[0-9]{2} ms/,
      });
      t.match(found.get("H1-health"), { outcome: "unknown", refuses: true });
      t.notOk(JSON.stringify([...found.values()]).includes("hunter2"));
    });
    await untilFine(hands);
  });

  await t.test(
    "poolers (pitfall 20: server_login_retry), gates and sessions that nobody holds",
    async (t) => {
      const ends: Mend[] = [
        await session(hands, router1.listen.write, ["SELECT 1"], "worker"),
        await session(hands, dalMember.pooler.address, ["SELECT 1"], "analyst"),
      ];
      await reloadThroughMaster(masterOf(lab.environment), {
        deadlineMs: 10_000,
        signal: undefined,
      });
      await onConsole(hands, app1.address, "PAUSE app", "SET server_login_retry = 15");
      await lab.run("stop", "app-02/gate");
      await lab.run("freeze", "app-02/router");
      const mends: Mend[] = [
        ...ends,
        () => lab.run("start", "app-02/gate"),
        () => lab.run("thaw", "app-02/router"),
        () => onConsole(hands, app1.address, "RESUME app", "RELOAD"),
      ];
      await withMends(t, mends, async () => {
        const found = await untilFound(
          hands,
          {
            "H11-edge-paused": /^edge pooler app-01-edge: app is paused$/,
            "H11-edge-settings":
              /^edge pooler app-01-edge: server_login_retry is 15.* s, which turns/,
            "H11-gate": /^the gate of app-01-edge is foreign: /,
            "H11-seamless": /^the gate of app-02-edge: .*(refused|ECONNREFUSED)/,
            "H11-past-edges": /^1 through router app-01, from no edge pooler: 1 from 127/,
            "H12-routers": /^app-02: .*no .*within/,
            "H12-old-workers": /^1 sessions with dal-01 are on the old worker [0-9]+ of app-01$/,
          },
          { wanted: "seamless" },
        );
        t.match(found.get("H11-seamless"), { refuses: true });
        // How many come through a frozen router cannot be told.
        t.match(found.get("H11-past-routers"), { outcome: "unknown", refuses: true });
        const { mode, why } = await checkFlip(environment, { wanted: "auto", acceptedRisks: [] });
        t.match({ mode, why }, { mode: "fast", why: [/^the gate of app-02-edge/] });
        await lab.run("thaw", "app-02/router");
        await untilFound(hands, {
          "H11-past-routers":
            /^1 of the [0-9]+ clients of the node pooler of dal-01 come past .*analyst/,
        });
      });
      await untilFine(hands);
    },
  );

  await t.test("another operation, and an unfinished one", async (t) => {
    const order = [chiMember.name, dalMember.name];
    const purpose = { holder: "ann@ops", why: "rebuild-standby 4f1c" };
    const hold = await acquireClusterLock(environment, order, purpose, { deadlineMs: 5000 });
    await withMends(t, [() => hold.release()], async () => {
      await untilFound(hands, {
        "H13-operation": /^ann@ops holds the lock on dal-01 since .* for rebuild-standby 4f1c; ann/,
      });
      t.equal((await check(hands, { holdsLock: true })).get("H13-operation")?.outcome, "ok");
    });
    const ask = async (text: string) => (await dal.query<Record<string, unknown>>(text)).rows;
    await ensureJournal(ask);
    const record = { operationId: "f1", step: "", at: 1, facts: { from: "dal-01", to: "chi-02" } };
    await appendRecord(ask, { ...record, phase: "intent" });
    await untilFound(hands, { "H13-unfinished": /^f1 is unfinished$/ });
    await appendRecord(ask, { ...record, phase: "outcome", at: 2, facts: { result: "done" } });
    await untilFine(hands);

    await dal.query("CREATE ROLE watcher LOGIN PASSWORD 'watcher' IN ROLE pg_monitor");
    const login = { ...environment.login, user: "watcher", password: new Secret("watcher") };
    const found = await untilFound(
      { ...hands, environment: { ...environment, login } },
      {
        "H1-superuser":
          /^the login on dal-01 is no superuser; the login on chi-02 is no superuser$/,
      },
    );
    for (const code of ["H13-unfinished", "H13-armed"]) {
      t.match(found.get(code), { outcome: "unknown", refuses: true }, code);
    }
  });

  await t.test("pitfall 8: a primary that was given more than its standby", async (t) => {
    await dal.query("ALTER SYSTEM SET max_connections = 120");
    await lab.run("stop", "dal-01/postgres");
    await lab.run("start", "dal-01/postgres");
    const found = await untilFound(hands, {
      "H4-settings": /^on chi-02 max_connections is 100, 120 on dal-01$/,
      "H2-replay-paused": /^replay is paused on chi-02$/,
    });
    t.match(found.get("H4-settings"), { outcome: "refused", refuses: true });
  });

  await t.test("a standby that is gone is no standby", async (t) => {
    await lab.run("kill", "chi-02/postgres");
    const found = await untilFound(hands, { "H1-one-writer": /chi-02/ });
    t.match(found.get("H1-one-writer"), { outcome: "unknown", refuses: true });
    t.match(found.get("H2-streaming"), { outcome: "unknown", refuses: true });
  });
});
