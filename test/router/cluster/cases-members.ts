/** Cases for the findings about members. */
import type { PostgresFacts } from "../../../router/postgres/facts.ts";
import { facts, known, unreachable } from "../../support/cluster-world.ts";
import type { Loose } from "../../support/cluster-world.ts";
import type { FindingCases, Parts } from "./finding-case.ts";

const secondPrimary = (parts: Parts): Loose<PostgresFacts> => {
  const second = facts("primary") as Loose<PostgresFacts>;
  parts.member("chi-02").postgres = known(second);
  parts.health("chi-02").answer = "primary";
  return second;
};

export const memberCases = {
  "split-brain": [
    {
      part: "orders",
      says: /2 members take writes: dal-01, chi-02/,
      breaks: (parts) => void secondPrimary(parts),
      also: ["timeline-diverged"],
    },
    {
      part: "orders",
      says: /2 members take writes/,
      breaks: (parts) => {
        secondPrimary(parts).systemIdentifier = "7000000000000000002";
      },
      also: ["system-identifier-differs"],
    },
    {
      part: "orders",
      says: /2 members take writes/,
      breaks: (parts) => {
        const status = parts.health("chi-02");
        status.answer = "primary";
        if (status.postgres !== null) status.postgres.role = "primary";
        parts.member("chi-02").postgres = unreachable("sorry, too many clients already");
      },
      also: ["member-unreachable", "health-disagrees"],
    },
  ],
  "no-primary": [
    {
      part: "orders",
      says: /no member is known to take writes; nothing is known of dal-01/,
      breaks: (parts) => {
        parts.member("dal-01").postgres = unreachable("connection refused");
        parts.health("dal-01").answer = "unreachable";
        parts.health("dal-01").link = "down";
      },
      also: ["member-unreachable"],
    },
  ],
  "member-unreachable": [
    {
      part: "chi-02",
      says: /^Postgres at 10\.0\.0\.2:5432: connection refused$/,
      breaks: (parts) => {
        parts.member("chi-02").postgres = unreachable(
          "Postgres at 10.0.0.2:5432: connection refused",
        );
        parts.health("chi-02").answer = "unreachable";
      },
    },
  ],
  "login-refused": [
    {
      part: "chi-02",
      says: /password authentication failed/,
      breaks: (parts) => {
        parts.member("chi-02").postgres = {
          ...unreachable("Postgres at 10.0.0.2:5432: password authentication failed"),
          sqlState: "28P01",
        };
      },
    },
  ],
  "connections-exhausted": [
    {
      part: "chi-02",
      says: /too many clients/,
      breaks: (parts) => {
        parts.member("chi-02").postgres = {
          ...unreachable("Postgres at 10.0.0.2:5432: sorry, too many clients already"),
          sqlState: "53300",
        };
      },
    },
  ],
  "primary-armed": [
    {
      part: "dal-01",
      says: /standby\.signal/,
      breaks: (parts) => {
        parts.postgres("dal-01").armed = true;
      },
    },
  ],
  "primary-read-only": [
    {
      part: "dal-01",
      says: /default_transaction_read_only is on/,
      breaks: (parts) => {
        parts.postgres("dal-01").readOnly = true;
        parts.health("dal-01").answer = "read-only";
      },
      also: ["no-primary"],
    },
  ],
  "peer-fenced": [
    {
      part: "dal-01",
      says: /answers fenced: chi-02 is on timeline 3/,
      breaks: (parts) => {
        Object.assign(parts.health("dal-01"), {
          answer: "fenced",
          reason: "chi-02 is on timeline 3",
        });
      },
    },
    {
      part: "dal-01",
      says: /answers split-brain/,
      breaks: (parts) => {
        parts.health("dal-01").answer = "split-brain";
      },
    },
  ],
  "system-identifier-differs": [
    {
      part: "chi-02",
      says: /7000000000000000002, but dal-01 has 7000000000000000001/,
      breaks: (parts) => {
        parts.postgres("chi-02").systemIdentifier = "7000000000000000002";
      },
    },
  ],
  "server-version-differs": [
    {
      part: "chi-02",
      says: /PostgreSQL 16\.4, but dal-01 has 15\.18/,
      breaks: (parts) => {
        Object.assign(parts.postgres("chi-02"), { version: "16.4", versionNumber: 160_004 });
      },
    },
  ],
  "minor-version-differs": [
    {
      part: "chi-02",
      says: /PostgreSQL 15\.17/,
      breaks: (parts) => {
        Object.assign(parts.postgres("chi-02"), { version: "15.17", versionNumber: 150_017 });
      },
    },
  ],
  "archiver-failing": [
    {
      part: "dal-01",
      says: /000000020000000000000005 failed, 7 failures/,
      breaks: (parts) => {
        const { archiver, settings } = parts.postgres("dal-01");
        Object.assign(settings, { archive_mode: "on", archive_command: "(set)" });
        Object.assign(archiver, {
          failedCount: 7,
          lastFailedAt: "2026-11-21T02:59:00Z",
          lastFailedWal: "000000020000000000000005",
          lastArchivedAt: "2026-11-21T02:00:00Z",
        });
      },
    },
  ],
  "archive-command-empty": [
    {
      part: "dal-01",
      says: /WAL is kept for ever/,
      breaks: (parts) => {
        parts.postgres("dal-01").settings["archive_mode"] = "on";
      },
    },
  ],
  "checksum-failing": [
    {
      part: "chi-02",
      says: /3 pages/,
      breaks: (parts) => {
        parts.postgres("chi-02").checksumFailures = 3;
      },
    },
  ],
  "wraparound-near": [
    {
      part: "dal-01",
      says: /1600000000 transactions old/,
      breaks: (parts) => {
        parts.postgres("dal-01").xidAge = 1_600_000_000;
      },
    },
  ],
  "connections-nearly-exhausted": [
    {
      part: "dal-01",
      says: /90 of 97 connections/,
      breaks: (parts) => {
        parts.postgres("dal-01").sessions = 90;
      },
    },
  ],
  "prepared-transaction-old": [
    {
      part: "dal-01",
      says: /2 prepared, the oldest 20 min ago/,
      breaks: (parts) => {
        Object.assign(parts.postgres("dal-01"), { preparedTransactions: 2, oldestPreparedS: 1200 });
      },
    },
  ],
  "transaction-long": [
    {
      part: "dal-01",
      says: /open for 2 h/,
      breaks: (parts) => {
        parts.postgres("dal-01").oldestTransactionS = 7300;
      },
    },
  ],
  "foreign-manager": [
    {
      part: "dal-01",
      says: /patroni is at work here/,
      breaks: (parts) => {
        parts.postgres("dal-01").managers = ["patroni"];
      },
    },
  ],
  "manager-not-seen": [
    {
      part: "dal-01",
      says: /manager: repmgr, and it is not seen/,
      breaks: (_parts, world) => {
        for (const one of world.environment.members) one.manager = "repmgr";
      },
    },
  ],
  "restart-pending": [
    {
      part: "chi-02",
      says: /will change shared_buffers/,
      breaks: (parts) => {
        parts.postgres("chi-02").pendingRestart = ["shared_buffers"];
      },
    },
  ],
  "login-lacks-privilege": [
    {
      part: "dal-01",
      says: /may not look into the data directory/,
      breaks: (parts) => {
        parts.postgres("dal-01").armed = null;
      },
    },
  ],
  "health-unreachable": [
    {
      part: "dal-01",
      says: /connection refused/,
      breaks: (parts) => {
        parts.member("dal-01").health = unreachable(
          "GET http://10.0.0.1:8008/status: connection refused",
        );
      },
    },
  ],
  "health-disagrees": [
    {
      part: "dal-01",
      says: /Postgres is primary, but pg-health answers unreachable/,
      breaks: (parts) => {
        parts.health("dal-01").answer = "unreachable";
      },
    },
    {
      part: "chi-02",
      says: /belongs to dal-01/,
      breaks: (parts) => {
        parts.health("chi-02").member = "dal-01";
      },
    },
    {
      part: "chi-02",
      says: /Postgres is standby, but pg-health answers primary/,
      breaks: (parts) => {
        parts.health("chi-02").answer = "primary";
      },
    },
  ],
  "health-slow": [
    {
      part: "dal-01",
      says: /slow to answer/,
      breaks: (parts) => {
        parts.health("dal-01").slow = true;
      },
    },
  ],
} satisfies FindingCases;
