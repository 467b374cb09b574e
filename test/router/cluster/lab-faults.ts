/** Faults that can be caused in a lab, each with the findings that it must lead to. */
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import type { Client } from "pg";
import { masterOf } from "../../support/first-router.ts";
import { reloadThroughMaster } from "../../../router/haproxy/runtime/master.ts";
import type { FindingCode } from "../../../router/cluster/findings.ts";
import type { TestLab } from "../../support/lab.ts";

export interface LabFault {
  readonly name: string;
  /** The findings to wait for; others may come with them. */
  readonly codes: readonly FindingCode[];
  readonly exitCode: number;
  /** Does it, and resolves with what undoes it. */
  readonly cause: (hands: Hands) => Promise<() => Promise<void>>;
}

/** What a fault gets hold of: the lab and a superuser's session on each member. */
export interface Hands {
  readonly lab: TestLab;
  readonly dal: Client;
  readonly chi: Client;
}

async function setting(client: Client, name: string, value: string): Promise<() => Promise<void>> {
  await client.query(`ALTER SYSTEM SET ${name} = ${value}`);
  await client.query("SELECT pg_reload_conf()");
  return async () => {
    await client.query(`ALTER SYSTEM RESET ${name}`);
    await client.query("SELECT pg_reload_conf()");
  };
}

/** Sends one line to the Runtime API of a router, as an operator with socat does. */
async function runtimeLine(lab: TestLab, router: string, line: string): Promise<void> {
  const path = join(lab.part(`${router}/router`).folder, "admin.sock");
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect(path, () => socket.write(`${line}\n`));
  socket
    .on("error", reject)
    .on("close", () => resolve())
    .resume();
  await promise;
}

async function onConsole(
  lab: TestLab,
  address: { host: string; port: number },
  statement: string,
): Promise<void> {
  const [declared] = lab.environment.edgePoolers;
  const client = lab.client(address, {
    config: {
      user: declared?.admin.user ?? "",
      password: declared?.admin.password.reveal() ?? "",
      database: "pgbouncer",
    },
  });
  await client.connect();
  await client.query(statement);
  await client.end();
}

function addressOf(lab: TestLab, member: string) {
  const found = lab.json.members.find((one) => one.name === member);
  if (found === undefined) throw new Error(`the lab has no member ${member}`);
  return found;
}

function partFault(part: string, verb: "kill" | "freeze", code: FindingCode): LabFault {
  return {
    name: `${verb} ${part}`,
    codes: [code],
    exitCode: 1,
    cause: async ({ lab }) => {
      await lab.run(verb, part);
      return () => lab.run(verb === "kill" ? "start" : "thaw", part);
    },
  };
}

function settingFault(
  member: "dal" | "chi",
  name: string,
  value: string,
  codes: readonly FindingCode[],
  exitCode = 1,
): LabFault {
  return {
    name: `${name} = ${value} on ${member}`,
    codes,
    exitCode,
    cause: (hands) => setting(hands[member], name, value),
  };
}

export const postgresFaults: readonly LabFault[] = [
  settingFault("dal", "synchronous_standby_names", "'nobody'", ["sync-standby-missing"]),
  settingFault("chi", "synchronous_standby_names", `'"dal-01"'`, ["sync-after-promotion"], 0),
  settingFault("dal", "synchronous_commit", "off", ["unsafe-setting"]),
  settingFault("dal", "full_page_writes", "off", ["unsafe-setting"]),
  settingFault("chi", "recovery_min_apply_delay", "1000", ["replay-delayed"], 0),
  settingFault("dal", "default_transaction_read_only", "on", ["primary-read-only", "no-primary"]),
  {
    name: "standby.signal on the running primary",
    codes: ["primary-armed"],
    exitCode: 1,
    cause: async ({ lab }) => {
      const path = join(lab.part("dal-01/postgres").folder, "data", "standby.signal");
      await writeFile(path, "");
      return () => rm(path);
    },
  },
  {
    name: "replay paused, and 20 MB written",
    codes: ["replay-paused", "lag-high"],
    exitCode: 1,
    cause: async ({ dal, chi }) => {
      await chi.query("SELECT pg_wal_replay_pause()");
      await dal.query(
        "SELECT count(pg_logical_emit_message(false, 'test', repeat('x', 1000000))) FROM generate_series(1, 20)",
      );
      return async () => void (await chi.query("SELECT pg_wal_replay_resume()"));
    },
  },
  {
    name: "the standby cannot log in to the primary, and its slot is dropped",
    codes: ["standby-not-streaming", "slot-missing"],
    exitCode: 1,
    cause: async ({ dal, chi }) => {
      const { rows } = await chi.query<{ old: string }>(
        "SELECT quote_literal(current_setting('primary_conninfo')) AS old",
      );
      await setting(chi, "primary_conninfo", "'host=127.0.0.1 port=1'");
      await dal.query(`DO $$ BEGIN
        WHILE (SELECT active FROM pg_replication_slots WHERE slot_name = 'chi_02') LOOP
          PERFORM pg_sleep(0.02); END LOOP; END $$`);
      await dal.query("SELECT pg_drop_replication_slot('chi_02')");
      return async () => {
        await dal.query("SELECT pg_create_physical_replication_slot('chi_02', true)");
        await setting(chi, "primary_conninfo", rows[0]?.old ?? "''");
      };
    },
  },
  {
    name: "the members are cut off from each other",
    codes: ["standby-silent"],
    exitCode: 1,
    cause: async ({ lab, chi }) => {
      await setting(chi, "wal_receiver_status_interval", "1");
      await lab.run("cut", "dal-01/postgres", "chi-02/postgres");
      return async () => {
        await lab.run("heal", "dal-01/postgres", "chi-02/postgres");
        await chi.query("ALTER SYSTEM RESET wal_receiver_status_interval");
        await chi.query("SELECT pg_reload_conf()");
      };
    },
  },
  {
    name: "a slot that nobody reads",
    codes: ["slot-inactive"],
    exitCode: 1,
    cause: async ({ dal }) => {
      await dal.query("SELECT pg_create_physical_replication_slot('spare', true)");
      return async () => void (await dal.query("SELECT pg_drop_replication_slot('spare')"));
    },
  },
  {
    name: "a slot left on the standby",
    codes: ["slot-leftover"],
    exitCode: 0,
    cause: async ({ chi }) => {
      await chi.query("SELECT pg_create_physical_replication_slot('old', true)");
      return async () => void (await chi.query("SELECT pg_drop_replication_slot('old')"));
    },
  },
  {
    name: "archiving fails",
    codes: ["archiver-failing"],
    exitCode: 1,
    cause: async ({ dal }) => {
      const reset = await setting(dal, "archive_command", "'/bin/false'");
      await dal.query("SELECT pg_logical_emit_message(true, 'test', 'x')");
      await dal.query("SELECT pg_switch_wal()");
      return async () => {
        await reset();
        await dal.query("SELECT pg_logical_emit_message(true, 'test', 'x')");
        await dal.query("SELECT pg_switch_wal()");
      };
    },
  },
  {
    name: "a Patroni at work",
    codes: ["foreign-manager"],
    exitCode: 1,
    cause: async ({ lab }) => {
      const { postgres } = addressOf(lab, "dal-01");
      const patroni = await lab.connect(postgres, {
        as: "superuser",
        config: { application_name: "Patroni" },
      });
      return () => patroni.end();
    },
  },
];

export const routingFaults: readonly LabFault[] = [
  partFault("dal-01/pooler", "kill", "pooler-down"),
  partFault("dal-01/health", "kill", "health-unreachable"),
  partFault("app-02/edge", "kill", "edge-pooler-down"),
  partFault("app-02/gate", "kill", "gate-unreachable"),
  partFault("app-02/router", "freeze", "router-unreachable"),
  {
    name: "a database of an edge pooler is paused",
    codes: ["edge-pooler-paused", "gate-foreign-pause"],
    exitCode: 1,
    cause: async ({ lab }) => {
      await onConsole(lab, lab.json.edge, "PAUSE app");
      return () => onConsole(lab, lab.json.edge, "RESUME app");
    },
  },
  {
    name: "a database of a node pooler is paused",
    codes: ["pooler-paused"],
    exitCode: 1,
    cause: async ({ lab }) => {
      const { pooler } = addressOf(lab, "chi-02");
      // PgBouncer soon forgets a database made by "*" that nobody uses, and its pause with it. A
      // client that has asked nothing yet keeps the database and holds no server up.
      const idle = await lab.connect(pooler);
      await onConsole(lab, pooler, "PAUSE app");
      return async () => {
        await onConsole(lab, pooler, "RESUME app");
        await idle.end();
      };
    },
  },
  {
    name: "somebody edits the file of a router",
    codes: ["router-config-drift"],
    exitCode: 1,
    cause: async ({ lab }) => {
      const path = join(lab.part("app-01/router").folder, "haproxy.cfg");
      const before = await readFile(path, "utf8");
      await writeFile(path, before.replace("retries 3", "retries 4"));
      return () => writeFile(path, before);
    },
  },
  {
    name: "the file of a router is gone",
    codes: ["router-config-drift"],
    exitCode: 1,
    cause: async ({ lab }) => {
      const path = join(lab.part("app-02/router").folder, "haproxy.cfg");
      await rename(path, `${path}.away`);
      return () => rename(`${path}.away`, path);
    },
  },
  {
    name: "a server in maintenance",
    codes: ["server-forced"],
    exitCode: 1,
    cause: async ({ lab }) => {
      await runtimeLine(lab, "app-01", "set server pg-replica/chi-02 state maint");
      return () => runtimeLine(lab, "app-01", "set server pg-replica/chi-02 state ready");
    },
  },
  {
    name: "a frontend switched off",
    codes: ["frontend-closed"],
    exitCode: 1,
    cause: async ({ lab }) => {
      await runtimeLine(lab, "app-02", "disable frontend pg-replica");
      return () => runtimeLine(lab, "app-02", "enable frontend pg-replica");
    },
  },
  {
    name: "writes forced to the standby",
    codes: ["router-misroutes", "server-forced", "router-disagrees"],
    exitCode: 2,
    cause: async ({ lab }) => {
      await runtimeLine(lab, "app-01", "disable health pg-primary/chi-02");
      await runtimeLine(lab, "app-01", "set server pg-primary/chi-02 health up");
      await runtimeLine(lab, "app-01", "set server pg-primary/dal-01 state maint");
      return async () => {
        await runtimeLine(lab, "app-01", "set server pg-primary/chi-02 health down");
        await runtimeLine(lab, "app-01", "enable health pg-primary/chi-02");
        await runtimeLine(lab, "app-01", "set server pg-primary/dal-01 state ready");
      };
    },
  },
  {
    name: "a session on the old worker after a reload",
    codes: ["old-worker-sessions"],
    exitCode: 1,
    cause: async ({ lab }) => {
      const session = await lab.connect(lab.json.write);
      await session.query("SELECT 1");
      await reloadThroughMaster(masterOf(lab.environment), { deadlineMs: 10_000 });
      return () => session.end();
    },
  },
];
