/** Cases for the findings about replication. */
import { parseLsn } from "../../../kit/lsn.ts";
import { slot } from "../../support/cluster-world.ts";
import type { FindingCases, Parts } from "./finding-case.ts";

const gibibyte = 1024 ** 3;

export const replicationCases = {
  "standby-not-streaming": [
    {
      part: "chi-02",
      says: /no WAL receiver runs/,
      breaks: (parts) => {
        parts.postgres("chi-02").receiver = null;
      },
    },
    {
      part: "chi-02",
      says: /its WAL receiver is waiting/,
      breaks: (parts) => {
        const { receiver } = parts.postgres("chi-02");
        if (receiver !== null) receiver.status = "waiting";
      },
    },
  ],
  "standby-silent": [
    {
      part: "chi-02",
      says: /^dal-01 has heard nothing from it for 43 s$/,
      breaks: (parts) => {
        const [sender] = parts.postgres("dal-01").senders;
        if (sender !== undefined) sender.repliedAtMs = parts.postgres("chi-02").clockMs - 43_000;
      },
    },
  ],
  "standby-follows-another": [
    {
      part: "chi-02",
      says: /streams from chi-02, and the primary is dal-01/,
      breaks: (parts) => {
        const { receiver } = parts.postgres("chi-02");
        if (receiver !== null) receiver.senderHost = "10.0.0.2";
      },
    },
  ],
  "replay-paused": [
    {
      part: "chi-02",
      says: /replay is paused/,
      breaks: (parts) => {
        parts.postgres("chi-02").replayPaused = true;
      },
    },
  ],
  "replay-delayed": [
    {
      part: "chi-02",
      says: /3600000 ms/,
      breaks: (parts) => {
        parts.postgres("chi-02").settings["recovery_min_apply_delay"] = "3600000";
      },
    },
  ],
  "lag-high": [
    {
      part: "chi-02",
      says: /^32 MB behind; the limit is 16 MB$/,
      breaks: (parts) => {
        parts.postgres("chi-02").replayLsn = parseLsn("0/3000000");
      },
    },
  ],
  "timeline-diverged": [
    {
      part: "chi-02",
      says: /timeline 3, but dal-01 is on 2/,
      breaks: (parts) => {
        parts.postgres("chi-02").timeline = 3;
      },
    },
    {
      part: "chi-02",
      says: /timeline 1, but dal-01 is on 2 since 0\/4000000; it went on to 0\/5000000/,
      breaks: (parts) => {
        parts.postgres("chi-02").timeline = 1;
      },
    },
    {
      part: "chi-02",
      says: /which did not come from it/,
      breaks: (parts) => {
        parts.postgres("chi-02").timeline = 1;
        parts.postgres("dal-01").history = [];
      },
    },
  ],
  "slot-missing": [
    {
      part: "dal-01",
      says: /no slot chi_02 for chi-02/,
      breaks: (parts) => {
        parts.postgres("dal-01").slots = [];
      },
    },
  ],
  "slot-inactive": [
    {
      part: "dal-01",
      says: /nobody streams through slot chi_02; it keeps 0 B/,
      breaks: (parts) => {
        parts.postgres("dal-01").slots = [slot("chi_02", false)];
      },
    },
    {
      part: "dal-01",
      says: /slot debezium/,
      breaks: (parts) => {
        parts.postgres("dal-01").slots.push({ ...slot("debezium", false), type: "logical" });
      },
    },
  ],
  "slot-leftover": [
    {
      part: "chi-02",
      says: /slot dal_01 is left from an earlier role/,
      breaks: (parts) => {
        parts.postgres("chi-02").slots = [slot("dal_01", false)];
      },
    },
  ],
  "slot-lost": [
    {
      part: "dal-01",
      says: /slot old needs has been removed/,
      breaks: (parts) => {
        const lost = { ...slot("old", false), walStatus: "lost", restartLsn: null };
        parts.postgres("dal-01").slots.push({ ...lost, retainedBytes: null });
      },
    },
  ],
  "slot-retains-wal": [
    {
      part: "dal-01",
      says: /slot chi_02 keeps 2 GB/,
      breaks: (parts) => {
        parts.postgres("dal-01").slots = [{ ...slot("chi_02", true), retainedBytes: 2 * gibibyte }];
      },
    },
  ],
  "sync-standby-missing": [
    {
      part: "dal-01",
      says: /asks for 1, and 0 of them stream/,
      breaks: (parts) => {
        parts.postgres("dal-01").settings["synchronous_standby_names"] = 'FIRST 1 ("nyc-03")';
      },
    },
  ],
  "sync-after-promotion": [
    {
      part: "chi-02",
      says: /wait for dal-01 alone/,
      breaks: (parts) => {
        parts.postgres("chi-02").settings["synchronous_standby_names"] = '"dal-01"';
      },
    },
  ],
  "standby-settings-lower": [
    {
      part: "chi-02",
      says: /max_connections is 50, but 100 on the primary/,
      breaks: (parts) => {
        parts.postgres("chi-02").settings["max_connections"] = "50";
      },
    },
  ],
  "wal-level-low": [
    {
      part: "dal-01",
      says: /minimal/,
      breaks: (parts) => {
        parts.postgres("dal-01").settings["wal_level"] = "minimal";
      },
    },
  ],
  "backup-running": [
    {
      part: "dal-01",
      says: /pg_basebackup takes a base backup from 10\.0\.0\.9/,
      breaks: (parts) => {
        parts.postgres("dal-01").senders.push({
          name: "pg_basebackup",
          address: "10.0.0.9",
          state: "backup",
          syncState: "async",
          repliedAtMs: null,
        });
      },
    },
  ],
  "unsafe-setting": [
    ...["fsync", "full_page_writes", "data_checksums"].map((name) => ({
      part: "chi-02",
      says: new RegExp(`${name} is off, not on`),
      breaks: (parts: Parts) => {
        parts.postgres("chi-02").settings[name] = "off";
      },
    })),
    {
      part: "dal-01",
      says: /wal_segment_size is 1048576, not 16777216/,
      breaks: (parts) => {
        parts.postgres("dal-01").settings["wal_segment_size"] = "1048576";
      },
    },
    {
      part: "dal-01",
      says: /synchronous_commit is off$/,
      breaks: (parts) => {
        parts.postgres("dal-01").settings["synchronous_commit"] = "off";
      },
    },
    {
      part: "dal-01",
      says: /off for app in every database/,
      breaks: (parts) => {
        parts.postgres("dal-01").laxRoles = ["app in every database"];
      },
    },
    {
      part: "dal-01",
      says: /in memory \(tmpfs\)/,
      breaks: (parts) => {
        parts.postgres("dal-01").dataFileSystem = "tmpfs";
      },
    },
  ],
} satisfies FindingCases;
