/**
 * One contract, both stores: SQLite in a folder, and a real Postgres. SWITCHYARD_TEST_FULL=1 takes a
 * zone of 100,000 records.
 */
import t from "tap";
import { keepingContract } from "./keeping-contract.ts";
import { newPostgresPlace, newSqlitePlace, startPostgres } from "./stores.ts";
import { zoneContract } from "./zone-contract.ts";

t.test("sqlite", async (t) => {
  zoneContract(t, newSqlitePlace);
  keepingContract(t, newSqlitePlace);
});

t.test("postgres", async (t) => {
  const postgres = await startPostgres(t, "127.53.0.1");
  const newPlace = newPostgresPlace(postgres);
  zoneContract(t, newPlace);
  keepingContract(t, newPlace);
});
