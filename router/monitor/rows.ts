/**
 * The one statement that asks a monitor of pg_auto_failover for its nodes (table
 * pgautofailover.node), and the reader of its rows.
 */
import { escapeLiteral } from "pg";
import type { MonitorKeys } from "../../config/schema.ts";
import { parseLsn } from "../../kit/lsn.ts";
import type { MonitorNode } from "./nodes.ts";

/** Which nodes: those of one group of a formation. */
export type MonitorGroup = Pick<MonitorKeys, "formation" | "group">;

/** What a monitor said, with what only those need who follow it. */
export interface MonitorReading {
  /** For how long the monitor's Postgres has run; Infinity where it did not say. */
  readonly upMs: number;
  readonly nodes: readonly {
    readonly node: MonitorNode;
    /** When the node was as far as it said, in ms since 1970 on the monitor's clock. */
    readonly lsnAtMs: number;
  }[];
}

/** Rows of the statement, whose values are text. */
type TextRows = readonly Readonly<Record<string, unknown>>[];

/**
 * The statement that readMonitor and readNodes read; its values have to come as text. There is a row
 * also where there is no node. The states are enums, and the timeline is a column that older versions
 * lack.
 */
export function nodesStatement({ formation, group }: MonitorGroup): string {
  return `
SELECT node.nodename AS name, node.reportedstate::text AS reported, node.goalstate::text AS goal,
  node.health::text AS health, node.reportedpgisrunning::text AS running,
  (extract(epoch FROM clock_timestamp() - node.reporttime) * 1000)::bigint::text AS report_age_ms,
  (extract(epoch FROM node.walreporttime) * 1000)::bigint::text AS at_ms,
  node.reportedlsn::text AS lsn, coalesce(to_jsonb(node) ->> 'reportedtli', '0') AS timeline,
  monitor.up_ms
FROM (SELECT (extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) * 1000)::bigint::text
    AS up_ms) AS monitor
  LEFT JOIN pgautofailover.node AS node
    ON node.formationid = ${escapeLiteral(formation)} AND node.groupid = ${group}
ORDER BY node.nodeid`;
}

/** Reads the rows of nodesStatement, by node id. */
export function readMonitor(rows: TextRows): MonitorReading {
  const upMs = Number(rows[0]?.["up_ms"] ?? Infinity);
  const nodes = rows.flatMap((row) => {
    const name = textIn(row, "name");
    if (name === undefined) return [];
    return [{ node: nodeIn(row, name), lsnAtMs: Number(row["at_ms"] ?? 0) }];
  });
  return { upMs, nodes };
}

/** The nodes alone. */
export function readNodes(rows: TextRows): MonitorNode[] {
  return readMonitor(rows).nodes.map(({ node }) => node);
}

function nodeIn(row: TextRows[number], name: string): MonitorNode {
  const lsn = parseLsn(textIn(row, "lsn") ?? "0/0");
  return {
    name,
    reported: textIn(row, "reported") ?? "unknown",
    goal: textIn(row, "goal") ?? "unknown",
    health: Number(row["health"] ?? -1),
    running: row["running"] === "true",
    reportAgeMs: Number(row["report_age_ms"] ?? Infinity),
    timeline: Number(row["timeline"] ?? 0),
    lsn: lsn === 0n ? null : lsn,
  };
}

function textIn(row: TextRows[number], column: string): string | undefined {
  const value = row[column];
  return typeof value === "string" ? value : undefined;
}
