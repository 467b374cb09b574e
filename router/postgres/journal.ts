/**
 * The cluster's own journal: schema switchyard in database postgres. It is created on the primary
 * by the first real flip and reaches the standby by replication, so that a resume from another
 * host knows what was begun. Only intents and outcomes stand in it; the local file has the steps.
 */
import { escapeLiteral } from "pg";
import type { AskPostgres } from "../../kit/pg-session.ts";
import type { PreparedStatement } from "./session.ts";
import { phases } from "../operation/records.ts";
import type { JournalRecord } from "../operation/records.ts";
import type { Facts } from "../operation/step.ts";

/** A row of the journal cannot be understood. */
export class ClusterJournalError extends Error {
  override readonly name = "ClusterJournalError";
  readonly code = "ERR_CLUSTER_JOURNAL";
}

/**
 * What the primary needs once. Two that create it at the same moment are told apart by the lock of
 * the cluster; IF NOT EXISTS makes it safe to repeat.
 */
const createStatements = [
  "CREATE SCHEMA IF NOT EXISTS switchyard",
  `CREATE TABLE IF NOT EXISTS switchyard.operation_record (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operation_id text NOT NULL,
    step text NOT NULL,
    phase text NOT NULL,
    at_ms bigint NOT NULL,
    facts jsonb NOT NULL)`,
  `CREATE INDEX IF NOT EXISTS operation_record_by_operation
    ON switchyard.operation_record (operation_id, phase)`,
  `CREATE TABLE IF NOT EXISTS switchyard.heartbeat (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    operation_id text NOT NULL,
    at timestamptz NOT NULL)`,
  "REVOKE ALL ON SCHEMA switchyard FROM PUBLIC",
] as const;

const existsStatement =
  "SELECT to_regclass('switchyard.operation_record') IS NOT NULL AND to_regclass('switchyard.heartbeat') IS NOT NULL AS there";

/** As many operations are read back, newest first; a bound, not a promise. */
const operationsMax = 50;
const recordsMax = 1000;

/** True when this member has the journal. */
export async function hasJournal(ask: AskPostgres): Promise<boolean> {
  const [row] = await ask(existsStatement);
  return row?.["there"] === "t" || row?.["there"] === true;
}

/** Creates the journal on a primary unless it is there. @throws what `ask` throws */
export async function ensureJournal(ask: AskPostgres): Promise<void> {
  if (await hasJournal(ask)) return;
  for (const statement of createStatements) await ask(statement);
}

/** Adds one record; it is on this member's disk when this resolves. @throws what `ask` throws */
export async function appendRecord(ask: AskPostgres, record: JournalRecord): Promise<void> {
  const { operationId, step, phase, at, facts } = record;
  const words = [operationId, step, phase].map((one) => escapeLiteral(one)).join(", ");
  await ask(
    `INSERT INTO switchyard.operation_record (operation_id, step, phase, at_ms, facts)
     VALUES (${words}, ${Math.round(at)}, ${escapeLiteral(JSON.stringify(facts))}::jsonb)`,
  );
}

/** Commits a row that says which operation made this member the primary. */
export const heartbeatStatement: PreparedStatement = {
  name: "switchyard_heartbeat",
  text: `(text) AS INSERT INTO switchyard.heartbeat (operation_id, at) VALUES ($1, clock_timestamp())
    ON CONFLICT (one) DO UPDATE SET operation_id = excluded.operation_id, at = excluded.at`,
};

/**
 * The records of the last 50 operations in the order in which they were written; none where there
 * is no journal.
 * @throws ClusterJournalError for a row that is no record, or what `ask` throws
 */
export async function readRecords(ask: AskPostgres): Promise<JournalRecord[]> {
  if (!(await hasJournal(ask))) return [];
  const rows = await ask(
    `SELECT operation_id, step, phase, at_ms::text AS at, facts::text AS facts
     FROM switchyard.operation_record
     WHERE operation_id IN (SELECT operation_id FROM switchyard.operation_record
       GROUP BY operation_id ORDER BY max(id) DESC LIMIT ${operationsMax})
     ORDER BY id DESC LIMIT ${recordsMax}`,
  );
  return rows.map(readRecord).toReversed();
}

function readRecord(row: Readonly<Record<string, unknown>>): JournalRecord {
  const text = (name: string): string => String(row[name]);
  const phase = phases.find((one) => one === row["phase"]);
  const at = Number(row["at"]);
  if (phase === undefined || !Number.isFinite(at)) {
    throw new ClusterJournalError(
      `switchyard.operation_record: operation ${text("operation_id")} has a row that is no record`,
    );
  }
  const facts = JSON.parse(text("facts")) as Facts;
  return { operationId: text("operation_id"), step: text("step"), phase, at, facts };
}

/**
 * SQL for the id of the newest operation that has an intent and no final outcome, in a member that
 * has the journal; NULL when there is none.
 */
export const openOperationSql = `(SELECT i.operation_id FROM switchyard.operation_record i
    WHERE i.phase = 'intent' AND NOT EXISTS (SELECT FROM switchyard.operation_record o
      WHERE o.operation_id = i.operation_id AND o.phase = 'outcome'
        AND o.facts ->> 'result' IS DISTINCT FROM 'stuck')
    ORDER BY i.id DESC LIMIT 1)`;
