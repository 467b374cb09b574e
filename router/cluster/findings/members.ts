/** Who takes writes, and each member by itself. Rows of the findings table, the most urgent first. */
import { maintenanceWindow, memberFenced } from "../conditions/fences.ts";
import { flipUnfinished } from "../conditions/operations.ts";
import * as members from "../conditions/members.ts";
import { rebuildIt, fenceIt } from "./row.ts";
import type { FindingRow } from "./row.ts";

export const memberFindings = [
  {
    code: "split-brain",
    severity: "unsafe",
    condition: members.splitBrain,
    means: "Two members take writes at once; each write on the wrong one will be lost.",
    todo: `Decide which one is right (newest timeline, latest data), then stop the other for good: ${fenceIt}.`,
  },
  {
    code: "flip-unfinished",
    severity: "degraded",
    condition: flipUnfinished,
    means: "A flip was begun and has not ended: members may be armed or stopped.",
    todo: "If nobody works on it: bin/recovery ENV flip-db --resume PART finishes it, bin/recovery ENV flip-db --abort PART takes it back.",
    underMonitor:
      "If nobody works on it: bin/recovery ENV flip-db --resume PART finishes it, once the monitor answers (pg_autoctl run starts it). Only while the old primary takes writes: bin/recovery ENV flip-db --abort PART closes it.",
  },
  {
    code: "no-primary",
    severity: "degraded",
    condition: members.noPrimary,
    means: "Writes wait in the routers, then fail.",
    todo: "Start the old primary if it is only stopped. If it is lost for good: bin/recovery ENV failover shows what may be lost, and promotes the standby.",
    underMonitor:
      "The monitor promotes a sound standby by itself, within a minute; bin/recovery ENV failover leads the clients after it. If the monitor is lost, too: The monitor is lost for good in docs/names.md.",
    duringFlip:
      "Start nothing by hand and promote nothing. End that flip: bin/recovery ENV flip-db --resume FLIP finishes it, bin/recovery ENV flip-db --abort FLIP takes it back.",
  },
  {
    code: "member-unreachable",
    severity: "degraded",
    condition: members.memberUnreachable,
    means:
      "Nothing is known of this Postgres: it may be down, cut off or frozen, and it may still take writes.",
    todo: "Look at its host: is Postgres running, is the network up? Do not promote another member before it is proven to be down.",
  },
  {
    code: "login-refused",
    severity: "degraded",
    condition: members.loginRefused,
    means: "Postgres runs and answers, but refuses our login, so nothing else is known of it.",
    todo: "Check login.user and login.password in the environment against the role on PART, and pg_hba.conf there.",
  },
  {
    code: "connections-exhausted",
    severity: "degraded",
    condition: members.connectionsExhausted,
    means: "Postgres runs, but all its connections are taken: new clients and this look get none.",
    todo: "End sessions that are not needed, from one that is open (pg_stat_activity, pg_terminate_backend); find who opens so many. Routers keep the member while pg-health's own connection lives.",
  },
  {
    code: "primary-armed",
    severity: "degraded",
    condition: members.primaryArmed,
    means:
      "This primary takes writes now, and any restart would bring it up as a standby: a flip was begun and not ended.",
    todo: "Finish or undo the flip: bin/recovery ENV flip-db --resume or --abort. If there is none: bin/recovery ENV unfence PART.",
  },
  {
    code: "member-fenced",
    severity: "degraded",
    condition: memberFenced,
    means:
      "An operator keeps this member down: it is out of service in these routers, also after a reload.",
    todo: "When it may serve again: bin/recovery ENV unfence PART. If its data went another way: bin/recovery ENV rebuild-standby --member PART.",
  },
  {
    code: "primary-read-only",
    severity: "degraded",
    condition: members.primaryReadOnly,
    means:
      "Clients get errors on every write; a promotion by pg_auto_failover does this for a second.",
    todo: "If it lasts: ALTER SYSTEM RESET default_transaction_read_only on PART, then SELECT pg_reload_conf().",
  },
  {
    code: "peer-fenced",
    severity: "degraded",
    condition: members.peerFenced,
    means: "pg-health saw another primary and keeps this member out of every router.",
    todo: `Find out which member is right; stop the other for good: ${fenceIt}.`,
  },
  {
    code: "system-identifier-differs",
    severity: "degraded",
    condition: members.systemIdentifierDiffers,
    means: "The members are different databases: one can never follow the other.",
    todo: `Check the addresses in the environment. If they are right: ${rebuildIt}.`,
  },
  {
    code: "server-version-differs",
    severity: "degraded",
    condition: members.serverVersionDiffers,
    means: "Different major versions cannot stream to each other.",
    todo: `Install the major version of the primary on PART; then ${rebuildIt}.`,
  },
  {
    code: "archiver-failing",
    severity: "degraded",
    condition: members.archiverFailing,
    means: "Backups have a gap, and WAL piles up on the primary.",
    todo: "Read the Postgres log of PART and try archive_command by hand. A stop of this primary would hang as long as it fails.",
  },
  {
    code: "archive-command-empty",
    severity: "degraded",
    condition: members.archiveCommandEmpty,
    means: "WAL piles up on the primary until the disk is full.",
    todo: "Set archive_command on PART, or archive_mode = off.",
  },
  {
    code: "checksum-failing",
    severity: "degraded",
    condition: members.checksumFailing,
    means: "A disk or a controller damages data.",
    todo: `Do not rely on PART. If it is the primary: bin/recovery ENV flip-db first; check its disk; then ${rebuildIt}.`,
  },
  {
    code: "wraparound-near",
    severity: "degraded",
    condition: members.wraparoundNear,
    means: "PostgreSQL will refuse writes to protect its data.",
    todo: "Find what stops vacuum on PART (old transactions, prepared transactions, slots), end it, then VACUUM.",
  },
  {
    code: "connections-nearly-exhausted",
    severity: "degraded",
    condition: members.connectionsNearlyExhausted,
    means: "Soon nobody can log in, neither apps nor tools.",
    todo: "Look at pg_stat_activity on PART; send apps through the poolers.",
  },
  {
    code: "prepared-transaction-old",
    severity: "degraded",
    condition: members.preparedTransactionOld,
    means: "It holds locks, stops vacuum and outlives a promotion.",
    todo: "Look at pg_prepared_xacts on PART; COMMIT PREPARED or ROLLBACK PREPARED each.",
  },
  {
    code: "foreign-manager",
    severity: "degraded",
    condition: members.foreignManager,
    means: "Another tool may promote or stop members of this cluster at any time.",
    todo: "Name it as manager in the environment, or switch it off. Until then do not flip.",
  },
  {
    code: "health-unreachable",
    severity: "degraded",
    condition: members.healthUnreachable,
    means: "Routers take this member for down, whatever Postgres is.",
    todo: "Start bin/pg-health on its host; check the health address in the environment.",
  },
  {
    code: "health-disagrees",
    severity: "degraded",
    condition: members.healthDisagrees,
    means: "Routers follow pg-health: they act on something else than what Postgres is.",
    todo: "Wait a second and look again. If it lasts: read the log of pg-health on PART and check its login.",
  },
  {
    code: "health-slow",
    severity: "note",
    condition: members.healthSlow,
    means: "Postgres is busy or frozen; its member stays in service for slowGrace.",
    todo: "Look at the load of PART.",
  },
  {
    code: "maintenance-window",
    severity: "note",
    condition: maintenanceWindow,
    means: "Somebody works here, and what the window closed is closed on purpose.",
    todo: "bin/maintenance status ENV shows its steps; bin/maintenance down ENV closes it.",
  },
  {
    code: "minor-version-differs",
    severity: "note",
    condition: members.minorVersionDiffers,
    means: "An update is not rolled through to the end.",
    todo: "Update PART, standbys first.",
  },
  {
    code: "manager-not-seen",
    severity: "note",
    condition: members.managerNotSeen,
    means: "Either the manager is down, or the environment is out of date.",
    todo: "Start the manager, or correct manager in the environment.",
  },
  {
    code: "transaction-long",
    severity: "note",
    condition: members.transactionLong,
    means: "It stops vacuum, and a flip would end it.",
    todo: "Look at pg_stat_activity on PART.",
  },
  {
    code: "restart-pending",
    severity: "note",
    condition: members.restartPending,
    means: "A restart, also after a crash, will bring other settings.",
    todo: "Restart PART at a quiet time, or take the change back.",
  },
  {
    code: "login-lacks-privilege",
    severity: "note",
    condition: members.loginLacksPrivilege,
    means: "An armed primary and data in memory would not be noticed.",
    todo: "GRANT EXECUTE ON FUNCTION pg_stat_file(text, boolean), pg_read_file(text, bigint, bigint, boolean) TO the login; GRANT pg_monitor, pg_read_server_files.",
  },
] as const satisfies readonly FindingRow[];
