/**
 * Brings a store to the schema of this program: the steps that are missing, in one transaction that
 * nobody else migrates in, each of them recorded. A schema that is newer is left alone.
 */
import { randomUUID } from "node:crypto";
import { formatHash } from "../../kit/zone-hash.ts";
import type { Database, Writing } from "./database.ts";
import { migrations } from "./migrations.ts";
import type { Migration } from "./migrations.ts";
import { StoreSchemaError } from "./store.ts";

export interface Migrated {
  readonly epoch: string;
  /** Numbers of the steps that were done now. */
  readonly done: readonly number[];
}

/**
 * Migrates, and makes the zone's state with an epoch of its own where there is none yet. `at` is the
 * time that is recorded (ISO 8601).
 * @throws StoreSchemaError for a newer schema and for a store of another zone; StoreError
 */
export function migrate(
  database: Database,
  facts: { readonly zone: string; readonly at: string; readonly steps?: readonly Migration[] },
): Promise<Migrated> {
  const steps = facts.steps ?? migrations;
  return database.write("migrate", async (statements) => {
    for (const text of database.dialect.lockMigrations) await statements.run(text);
    const done = await applyMissing(database, statements, steps, facts.at);
    return { epoch: await stateOf(database, statements, facts.zone), done };
  });
}

async function applyMissing(
  { title, dialect }: Database,
  statements: Writing,
  steps: readonly Migration[],
  at: string,
): Promise<readonly number[]> {
  await statements.run(
    `CREATE TABLE IF NOT EXISTS registry_migrations (
      number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL
    )`,
  );
  const rows = await statements.run<{ newest: number | null }>(
    "SELECT max(number) AS newest FROM registry_migrations",
  );
  const has = rows[0]?.newest ?? 0;
  const knows = Math.max(0, ...steps.map(({ number }) => number));
  if (has > knows) {
    throw new StoreSchemaError(
      `${title}: its schema is at step ${has}, and this program knows ${knows}: run the newer one`,
    );
  }
  const missing = steps.filter(({ number }) => number > has);
  for (const { number, name, statements: texts } of missing) {
    for (const text of texts) {
      await statements.run(
        text.replaceAll("{key}", dialect.key).replaceAll("{text}", dialect.text),
      );
    }
    await statements.run("INSERT INTO registry_migrations VALUES ($1, $2, $3)", [number, name, at]);
  }
  return missing.map(({ number }) => number);
}

async function stateOf(database: Database, statements: Writing, zone: string): Promise<string> {
  const text = "SELECT epoch, zone FROM dns_generation";
  const [state] = await statements.run<{ epoch: string; zone: string }>(text);
  if (state === undefined) {
    const epoch = randomUUID();
    await statements.run("INSERT INTO dns_generation VALUES (1, $1, $2, 0, $3, 0, 0)", [
      epoch,
      zone,
      formatHash(0n),
    ]);
    return epoch;
  }
  if (state.zone === zone) return state.epoch;
  throw new StoreSchemaError(`${database.title}: it keeps the zone ${state.zone}, not ${zone}`);
}
