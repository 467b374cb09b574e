/** What makes each row of the prechecks fire. */
import { unreachable } from "../../support/cluster-world.ts";
import type { JournalRecord } from "../../../router/operation/records.ts";
import { node, watch } from "../cluster/cases-names.ts";
import { namesCases } from "./precheck-cases-names.ts";
import { backend } from "./precheck-world.ts";
import type { Handles } from "./precheck-world.ts";

export interface PrecheckCase {
  readonly code: string;
  readonly breaks: (hands: Handles) => void;
  readonly says: RegExp;
  /** Rows that fire with it, as they are about the same thing. */
  readonly also?: readonly string[];
}

const sender = {
  pid: 77,
  application: "pg_receivewal",
  address: "10.0.0.9",
  state: "streaming",
  slot: "archive",
  logical: false,
  flushLsn: "0/4000000",
};
const transaction = { ...backend, state: "active", ageMs: 9000, idleMs: 9000 };
const logicalSlot = {
  name: "cdc",
  database: "orders",
  failover: false,
  synced: false,
  temporary: false,
};
const intent: JournalRecord = {
  operationId: "f1",
  step: "",
  phase: "intent",
  at: 1,
  facts: { from: "dal-01" },
};

export const precheckCases: readonly PrecheckCase[] = [
  {
    code: "H1-one-writer",
    breaks: ({ facts, health }) => {
      facts("dal-01").readOnly = true;
      const said = health("dal-01").postgres;
      if (said !== null) said.readOnly = true;
    },
    says: /^no member takes writes$/,
  },
  {
    code: "H1-target",
    breaks: ({ extra }) => (extra.to = "dal-01"),
    says: /^dal-01 is the primary already$/,
    also: ["H2-streaming"],
  },
  {
    code: "H1-target",
    breaks: ({ extra }) => (extra.to = "nyc-03"),
    says: /^there is no member nyc-03$/,
    also: ["H12-router-state"],
  },
  {
    code: "H1-two-members",
    breaks: ({ environment, world }) => {
      const [, standby] = environment.members;
      const [, seen] = world.observation.members;
      if (standby === undefined || seen === undefined) throw new Error("no standby");
      environment.members.push({ ...standby, name: "nyc-03" });
      world.observation.members.push({ ...seen, name: "nyc-03" });
    },
    says: /^there are 3 members$/,
    also: ["H1-pooler-target"],
  },
  {
    code: "H1-identity",
    breaks: ({ facts }) => (facts("chi-02").systemIdentifier = "7"),
    says: /dal-01 is of cluster 7000000000000000001, chi-02 of 7/,
    also: ["H4-reverse"],
  },
  {
    code: "H1-identity",
    breaks: ({ hostTo }) => (hostTo.systemIdentifier = "7"),
    says: /data directory on the host of chi-02 is of cluster 7,/,
  },
  {
    code: "H1-pooler-target",
    breaks: ({ pooler }) => {
      for (const one of pooler("chi-02").databases) one.host = "10.0.0.1";
    },
    says: /database app of the node pooler of chi-02 leads to dal-01/,
  },
  {
    code: "H1-manager",
    breaks: ({ facts }) => (facts("dal-01").managers = ["patroni"]),
    says: /^patroni runs dal-01: patronictl switchover$/,
  },
  {
    code: "H1-manager",
    breaks: ({ environment }) => {
      for (const one of environment.members) one.manager = "pg_auto_failover";
    },
    says: /pg_auto_failover runs chi-02: pg_autoctl perform switchover/,
  },
  {
    code: "H1-monitor",
    breaks: ({ world }) =>
      watch(world, [node("dal-01", "primary"), node("chi-02", "maintenance", { health: 0 })]),
    says: /^chi-02 is in maintenance: on its host pg_autoctl disable maintenance$/,
  },
  ...namesCases,
  {
    code: "H1-control",
    breaks: ({ environment, extra }) => {
      for (const one of environment.members.slice(1)) delete one.control;
      delete extra.hosts["chi-02"];
    },
    says: /^chi-02 has no control in the environment$/,
  },
  {
    code: "H1-superuser",
    breaks: ({ to }) => (to.superuser = false),
    says: /^the login on chi-02 is no superuser$/,
  },
  {
    code: "H1-health",
    breaks: ({ health }) => (health("chi-02").answer = "unreachable"),
    says: /^pg-health of chi-02 answers unreachable, its Postgres is standby$/,
  },
  {
    code: "H2-streaming",
    breaks: ({ facts }) => (facts("chi-02").receiver = null),
    says: /^chi-02 does not stream: its WAL receiver is not there$/,
  },
  {
    code: "H2-streaming",
    breaks: ({ facts }) => (facts("chi-02").timeline = 1),
    says: /^chi-02 is on timeline 1, dal-01 on 2$/,
  },
  {
    code: "H2-streaming",
    breaks: ({ facts }) => {
      const [sender] = facts("dal-01").senders;
      if (sender === undefined) throw new Error("no sender");
      sender.repliedAtMs = facts("chi-02").clockMs - 60_000;
    },
    says: /^chi-02 is connected to dal-01, and nothing comes through: dal-01 has heard nothing from it for /,
  },
  {
    code: "H2-replay-paused",
    breaks: ({ facts }) => (facts("chi-02").replayPaused = true),
    says: /^replay is paused on chi-02$/,
  },
  {
    code: "H2-apply-delay",
    breaks: ({ facts }) => (facts("chi-02").settings["recovery_min_apply_delay"] = "5000"),
    says: /^recovery_min_apply_delay is 5000 ms on chi-02$/,
  },
  {
    code: "H2-recovery-target",
    breaks: ({ to }) => (to.settings["recovery_target_lsn"] = "0/9"),
    says: /^recovery_target_lsn is 0\/9 on chi-02$/,
  },
  {
    code: "H3-lag",
    breaks: ({ facts, to }) => {
      facts("chi-02").replayLsn = 0n;
      to.lsn = "0/2800000";
    },
    says: /^chi-02 is 40 MB behind \(limit 1 MB\); it catches up by 400 MB\/s, 0 s to go$/,
  },
  {
    code: "H4-settings",
    breaks: ({ facts }) => (facts("chi-02").settings["max_connections"] = "50"),
    says: /^on chi-02 max_connections is 50, 100 on dal-01$/,
  },
  {
    code: "H4-room",
    breaks: ({ to }) => {
      to.settings["max_replication_slots"] = "1";
      to.slots = ["other"];
    },
    says: /^all 1 replication slots of chi-02 are taken: other$/,
  },
  {
    code: "H4-reverse",
    breaks: ({ hostFrom }) => (hostFrom.reverse = unreachable("no pg_hba.conf entry")),
    says: /^dal-01 cannot open a replication connection to chi-02: no pg_hba.conf entry$/,
  },
  {
    code: "H5-archiver",
    breaks: ({ facts, from }) => {
      facts("dal-01").settings["archive_mode"] = "on";
      from.archiveFailures = 3;
      from.archiveLastFailedWal = "000000020000000000000005";
    },
    says: /^archiving fails on dal-01: 3 failures, the last for 000000020000000000000005$/,
  },
  {
    code: "H5-archive-backlog",
    breaks: ({ facts, from }) => {
      facts("dal-01").settings["archive_mode"] = "on";
      from.archiveReady = 17;
    },
    says: /^17 files wait for the archiver of dal-01 \(limit 16\)$/,
  },
  {
    code: "H6-base-backup",
    breaks: ({ from }) => from.senders.push({ ...sender, state: "backup", slot: null }),
    says: /^a base backup runs: pg_receivewal from 10.0.0.9 \(process 77\)$/,
  },
  {
    code: "H6-late-receiver",
    breaks: ({ from }) => from.senders.push(sender),
    says: /pg_receivewal from 10.0.0.9 \(process 77, slot archive\) at 0\/4000000$/,
    also: ["H6-receiver"],
  },
  {
    code: "H6-receiver",
    breaks: ({ from }) => from.senders.push({ ...sender, flushLsn: "0/5000000", logical: true }),
    says: /^also stream from dal-01: logical pg_receivewal/,
  },
  {
    code: "H6-sender-timeout",
    breaks: ({ from }) => (from.settings["wal_sender_timeout"] = "0"),
    says: /^wal_sender_timeout is off on dal-01/,
  },
  {
    code: "H6-shutdown-timeout",
    breaks: ({ from }) => (from.settings["wal_sender_shutdown_timeout"] = "0"),
    says: /^wal_sender_shutdown_timeout is 0 on dal-01, not -1$/,
  },
  {
    code: "H7-transactions",
    breaks: ({ from }) => from.transactions.push(transaction),
    says: /^run: process 900 for 9 s \(active; app on orders cron from 10.0.0.9\)$/,
  },
  {
    code: "H7-idle-transactions",
    breaks: ({ from }) => from.transactions.push({ ...transaction, state: "idle in transaction" }),
    says: /^are open: process 900 for 9 s \(idle in transaction;/,
  },
  {
    code: "H7-prepared",
    breaks: ({ from }) => from.prepared.push({ gid: "order-7", ageMs: 60_000 }),
    says: /^1 are prepared: order-7 for 60 s$/,
  },
  {
    code: "H7-advisory-locks",
    breaks: ({ from }) => from.lockHolders.push(backend),
    says: /^held by process 900 \(app on orders cron from 10.0.0.9\)$/,
  },
  {
    code: "H8-synchronous",
    breaks: ({ facts }) => (facts("chi-02").settings["synchronous_standby_names"] = '"chi-02"'),
    says: /its|once promoted, its commits wait for ever$/,
  },
  {
    code: "H8-synchronous-old",
    breaks: ({ facts }) => (facts("chi-02").settings["synchronous_standby_names"] = '"dal-01"'),
    says: /its first commits wait until dal-01 streams from it/,
  },
  {
    code: "H8-read-only",
    breaks: ({ facts }) => (facts("chi-02").readOnly = true),
    says: /^default_transaction_read_only is on at chi-02$/,
  },
  {
    code: "H9-logical-slots",
    breaks: ({ from }) => from.logicalSlots.push(logicalSlot),
    says: /^will be lost: cdc \(orders\)$/,
  },
  {
    code: "H10-rewind",
    breaks: ({ facts }) => (facts("dal-01").settings["data_checksums"] = "off"),
    says: /^dal-01 has neither data checksums nor wal_log_hints$/,
  },
  {
    code: "H10-disk",
    breaks: ({ hostFrom }) => (hostFrom.freeBytes = 1024 ** 2),
    says: /^1 MB are free on dal-01, its data has 1 GB$/,
  },
  {
    code: "H11-node-pooler",
    breaks: ({ member }) => (member("chi-02").pooler = unreachable("connection refused")),
    says: /^the node pooler of chi-02: connection refused$/,
  },
  {
    code: "H11-node-paused",
    breaks: ({ pooler }) => (pooler("chi-02").state = "paused"),
    says: /^the node pooler of chi-02 is paused$/,
  },
  {
    code: "H11-node-settings",
    breaks: ({ settings }) => (settings("node", "chi-02")["server_login_retry"] = "15"),
    says: /^the node pooler of chi-02: server_login_retry is 15 s, which turns clients away/,
  },
  {
    code: "H11-edge-pooler",
    breaks: ({ world }) => {
      for (const one of world.observation.edgePoolers.slice(1)) {
        one.pooler = unreachable("connection refused");
      }
    },
    says: /^edge pooler app-02: connection refused$/,
  },
  {
    code: "H11-edge-paused",
    breaks: ({ edge }) => {
      for (const one of edge("app-01").databases) one.paused = true;
    },
    says: /^edge pooler app-01: app is paused$/,
  },
  ...[
    ["server_login_retry", "15"],
    ["query_wait_timeout", "5"],
    ["query_timeout", "5"],
    ["client_login_timeout", "5"],
    ["server_connect_timeout", "15"],
  ].map(([name = "", seconds = ""]) => ({
    code: "H11-edge-settings",
    breaks: ({ settings }: Handles) => void (settings("edge", "app-02")[name] = seconds),
    says: new RegExp(`^edge pooler app-02: ${name} is ${seconds} s, which `),
  })),
  {
    code: "H11-gate",
    breaks: ({ gate }) => Object.assign(gate, { state: "foreign", reason: "somebody else paused" }),
    says: /^the gate of app-01 is foreign: somebody else paused$/,
  },
  {
    code: "H11-seamless",
    breaks: ({ gate }) => (gate.pooler = { version: "1.24.1", poolModes: { app: "session" } }),
    says: /^edge pooler app-01 pools app by session$/,
    also: ["H11-unheld"],
  },
  {
    code: "H11-seamless",
    breaks: ({ environment, extra }) => {
      for (const one of environment.edgePoolers.slice(1)) delete one.gate;
      delete extra.gates["app-02"];
    },
    says: /^edge pooler app-02 has no gate$/,
    also: ["H11-unheld"],
  },
  {
    code: "H11-direct",
    breaks: ({ backends }) => {
      backends.first.push(backend);
      backends.last.push(backend);
    },
    says: /^1 straight on Postgres of dal-01: 1 of app on orders \(cron\) from 10.0.0.9$/,
  },
  {
    code: "H11-past-routers",
    breaks: ({ nodeClients }) => {
      const [client] = nodeClients.first;
      if (client === undefined) throw new Error("no client");
      nodeClients.first.push({ ...client, id: "c3" });
      nodeClients.last.push({ ...client, id: "c3" });
    },
    says: /^1 of the 3 clients of the node pooler of dal-01 come past the routers: 3 of app on app/,
  },
  {
    code: "H11-past-edges",
    breaks: ({ sessions }) => {
      for (const look of [sessions("app-02").first, sessions("app-02").last]) {
        look.push({ source: "10.0.0.9:5000", server: null, old: false });
      }
    },
    says: /^1 through router app-02, from no edge pooler: 1 from 10.0.0.9$/,
  },
  {
    code: "H11-unheld",
    breaks: ({ edge }) => {
      for (const one of edge("app-01").pools) one.database = "reports";
    },
    says: /^3 of app on reports behind edge pooler app-01$/,
  },
  {
    code: "H12-routers",
    breaks: ({ router }) => (router("app-02").runtime = unreachable("no answer")),
    says: /^app-02: no answer$/,
  },
  {
    code: "H12-routers",
    breaks: ({ server }) =>
      Object.assign(server("app-02", "pg-primary", "dal-01"), { state: "down" }),
    says: /^app-02 sees no member: its checks fail for all of them$/,
    also: ["H12-router-state"],
  },
  {
    code: "H12-router-state",
    breaks: ({ server }) =>
      Object.assign(server("app-01", "pg-primary", "chi-02"), { state: "up" }),
    says: /^app-01 sends writes to dal-01 and chi-02$/,
  },
  {
    code: "H12-router-state",
    breaks: ({ server }) => server("app-02", "pg-primary", "chi-02").forced.push("maint"),
    says: /^app-02: chi-02 maint by hand$/,
  },
  {
    code: "H12-fenced",
    breaks: ({ router }) => {
      const report = router("app-01").configuration;
      if (report.state !== "known") throw new Error("unknown");
      report.value.fenced.push({ member: "chi-02" } as never);
    },
    says: /^chi-02 is fenced on app-01$/,
  },
  {
    code: "H12-old-workers",
    breaks: ({ runtime }) => {
      runtime("app-01").oldWorkers = [
        { pid: 12, uptimeS: 60, sessions: 3, writing: [{ server: "dal-01", sessions: 2 }] },
      ];
    },
    says: /^2 sessions with dal-01 are on the old worker 12 of app-01$/,
  },
  {
    code: "H12-drift",
    breaks: ({ router }) => {
      const report = router("app-01").configuration;
      if (report.state !== "known") throw new Error("unknown");
      Object.assign(report.value, { drifted: true, firstDifference: 'line 9: "timeout queue"' });
    },
    says: /^the file of app-01 differs: line 9: "timeout queue"$/,
  },
  {
    code: "H12-versions",
    breaks: ({ runtime }) => (runtime("app-01").version = "3.0.11"),
    says: /^app-01 is 3.0.11, app-02 is 2.6.12$/,
  },
  {
    code: "H12-no-router",
    breaks: ({ environment }) => environment.routers.splice(0),
    says: /^no router is declared/,
    also: ["H11-past-routers"],
  },
  {
    code: "H13-operation",
    breaks: ({ to }) =>
      (to.lockHolder = { holder: "ann@ops", since: "2026-11-21", why: "rebuild-standby 4f" }),
    says: /^ann@ops holds the lock on chi-02 since 2026-11-21 for rebuild-standby 4f$/,
  },
  {
    code: "H13-unfinished",
    breaks: ({ to }) => (to.records = [intent]),
    says: /^f1 is unfinished$/,
  },
  {
    code: "H13-unfinished",
    breaks: ({ extra }) => extra.localRecords.push(intent),
    says: /^f1 is unfinished$/,
  },
  {
    code: "H13-armed",
    breaks: ({ facts }) => (facts("dal-01").armed = true),
    says: /^dal-01 has a standby.signal$/,
  },
  {
    code: "H14-restore",
    breaks: ({ to, hostTo }) => {
      to.restoreCommand = "fetch %f %p";
      hostTo.restoreMs = 900;
    },
    says: /^restore_command of chi-02 takes 900 ms to say that a file is not there$/,
  },
  {
    code: "H15-programs",
    breaks: ({ hostTo }) => (hostTo.missingPrograms = ["pg_rewind"]),
    says: /^chi-02 has no pg_rewind$/,
  },
  {
    code: "S1-cold-cache",
    breaks: ({ to }) => {
      to.startedAtMs = to.clockMs - 60_000;
      to.canPrewarm = false;
    },
    says: /^Postgres of chi-02 runs for 60 s \(pg_prewarm is not installed there\)$/,
  },
];
