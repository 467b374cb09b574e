/** How the standbys follow, and what the members promise to keep. Rows of the findings table, the most urgent first. */
import * as replication from "../conditions/replication.ts";
import { rebuildIt } from "./row.ts";
import type { FindingRow } from "./row.ts";

export const replicationFindings = [
  {
    code: "timeline-diverged",
    severity: "degraded",
    condition: replication.timelineDiverged,
    means:
      "Its data went another way than the primary's: it cannot follow, and rows on it are missing on the primary.",
    todo: `Save what is only there, if it matters; then ${rebuildIt}.`,
  },
  {
    code: "standby-not-streaming",
    severity: "degraded",
    condition: replication.standbyNotStreaming,
    means: "New commits do not reach it: it must not be promoted, and falls further behind.",
    todo: `Read its Postgres log; check primary_conninfo, the slot, and that it reaches the primary. If WAL is gone: ${rebuildIt}.`,
    underMonitor: `Read its Postgres log and what its keeper says; check that both reach the primary and the monitor. Then ${rebuildIt}.`,
  },
  {
    code: "standby-silent",
    severity: "degraded",
    condition: replication.standbySilent,
    means:
      "Replication looks connected, and nothing comes through: new commits may not reach it, and its lag is not known.",
    todo: "Look at the network between the primary and PART; until it is mended, do not promote PART. Postgres gives the connection up after wal_sender_timeout.",
  },
  {
    code: "standby-follows-another",
    severity: "degraded",
    condition: replication.standbyFollowsAnother,
    means: "It gets its data from a member that is not the primary.",
    todo: "Point primary_conninfo on PART at the primary, then SELECT pg_reload_conf().",
  },
  {
    code: "replay-paused",
    severity: "degraded",
    condition: replication.replayPaused,
    means: "What arrives is kept but not applied; a promotion would have to catch up first.",
    todo: "SELECT pg_wal_replay_resume() on PART.",
  },
  {
    code: "lag-high",
    severity: "degraded",
    condition: replication.lagHigh,
    means: "A flip would take long; reads on it are old; after a failover this much could be lost.",
    todo: "Look for long queries on PART that stop replay, a slow disk or a slow network. It recovers by itself if the cause goes.",
  },
  {
    code: "sync-standby-missing",
    severity: "degraded",
    condition: replication.syncStandbyMissing,
    means: "Commits on the primary hang until the standby is back.",
    todo: "Bring the standby back, or take it out of synchronous_standby_names on PART and reload.",
  },
  {
    code: "slot-missing",
    severity: "degraded",
    condition: replication.slotMissing,
    means: "The primary may remove WAL that the standby still needs.",
    todo: "SELECT pg_create_physical_replication_slot('NAME', true) on PART.",
    underMonitor:
      "Keepers make their slots. A node that was joined anew has another number: correct members[].slot in the environment by pg_replication_slots on PART.",
  },
  {
    code: "slot-inactive",
    severity: "degraded",
    condition: replication.slotInactive,
    means: "WAL piles up on the primary until the disk is full.",
    todo: "Bring its standby back. If it will not come back: SELECT pg_drop_replication_slot('NAME') on PART.",
  },
  {
    code: "slot-lost",
    severity: "degraded",
    condition: replication.slotLost,
    means: "Whoever used this slot cannot go on from it.",
    todo: "SELECT pg_drop_replication_slot('NAME') on PART; a standby that used it is rebuilt (see Rebuild a standby in docs/runbooks/topology.md).",
  },
  {
    code: "slot-retains-wal",
    severity: "degraded",
    condition: replication.slotRetainsWal,
    means: "The disk of this member fills up.",
    todo: "Find who should read the slot and why it does not. If nobody: SELECT pg_drop_replication_slot('NAME') on PART.",
    underMonitor:
      "Bring the standby back. If it will not come back: pg_autoctl drop node, and its keepers drop its slot. Any other slot that nobody reads: SELECT pg_drop_replication_slot('NAME') on PART.",
  },
  {
    code: "standby-settings-lower",
    severity: "degraded",
    condition: replication.standbySettingsLower,
    means:
      "The standby stops replay, or does not start, as soon as the primary uses what it has more.",
    todo: "Raise the setting on PART to the primary's value and restart it.",
  },
  {
    code: "wal-level-low",
    severity: "degraded",
    condition: replication.walLevelLow,
    means: "No standby can follow this primary.",
    todo: "Set wal_level = replica on PART and restart it.",
  },
  {
    code: "unsafe-setting",
    severity: "degraded",
    condition: replication.unsafeSetting,
    means: "A crash or a failing disk can lose acknowledged commits, or damage goes unseen.",
    todo: "Change it on PART; fsync and full_page_writes need a reload, checksums pg_checksums on a stopped server.",
  },
  {
    code: "replay-delayed",
    severity: "note",
    condition: replication.replayDelayed,
    means: "The standby is late on purpose.",
    todo: "Set recovery_min_apply_delay = 0 on PART before a flip to it.",
  },
  {
    code: "slot-leftover",
    severity: "note",
    condition: replication.slotLeftover,
    means: "It keeps WAL on a standby for nobody.",
    todo: "SELECT pg_drop_replication_slot('NAME') on PART, if nobody streams from it.",
  },
  {
    code: "sync-after-promotion",
    severity: "note",
    condition: replication.syncAfterPromotion,
    means: "Right after a promotion its commits would hang.",
    todo: "Set synchronous_standby_names on PART to a member that will be there, or empty.",
  },
  {
    code: "backup-running",
    severity: "note",
    condition: replication.backupRunning,
    means: "A flip or a stop of this member would break it off.",
    todo: "Wait for its end before a flip.",
  },
] as const satisfies readonly FindingRow[];
