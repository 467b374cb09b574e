/** Reading the zone: its state, all of it, and what changed since a generation; of one moment each. */
import { nextTurn } from "../../kit/clock.ts";
import type { Endpoint } from "../contract.ts";
import type { Database, Statements } from "./database.ts";
import type { Head, RegistryStore } from "./store.ts";

/** What a record is made of, in the order of the columns. */
export const endpointColumns = [
  "id",
  "fqdn",
  "record_type",
  "target_ip",
  "target_port",
  "ttl",
  "owner_kind",
  "owner_id",
  "node_id",
  "generation",
] as const satisfies readonly (keyof Endpoint)[];

const columns = endpointColumns.join(", ");
/** Rows read at a time; between two reads other requests have their turn. */
const page = 4000;

/** The zone's state with what only the store needs. */
export interface State extends Head {
  /** Tombstones up to this generation are gone. */
  readonly compacted: number;
}

interface StateRow {
  readonly epoch: string;
  readonly current: number;
  readonly zone_hash: string;
  readonly record_count: number;
  readonly compacted: number;
}

/** Reads the zone's state; `ending` is empty, or keeps other writers away (Dialect.forUpdate). */
export async function readState(statements: Statements, ending = ""): Promise<State> {
  const [row] = await statements.run<StateRow>(
    `SELECT epoch, current, zone_hash, record_count, compacted FROM dns_generation ${ending}`,
  );
  if (row === undefined) throw new Error("the row of the zone's state is gone");
  const { epoch, current, zone_hash: zoneHash, record_count: recordCount, compacted } = row;
  return { epoch, generation: current, zoneHash, recordCount, compacted };
}

/** What of the state others are told. */
export function headOf({ epoch, generation, zoneHash, recordCount }: State): Head {
  return { epoch, generation, zoneHash, recordCount };
}

/** Reads all records of one owner. */
export function recordsOfOwner(
  statements: Statements,
  kind: string,
  id: number,
): Promise<readonly Endpoint[]> {
  return statements.run<Endpoint>(
    `SELECT ${columns} FROM service_endpoints WHERE owner_kind = $1 AND owner_id = $2 ORDER BY id`,
    [kind, id],
  );
}

/** The part of a store that reads the zone. */
export function zoneReader(
  database: Database,
): Pick<RegistryStore, "head" | "snapshot" | "recordsOf" | "changesSince"> {
  return {
    head: () =>
      database.read("read the zone's state", async (statements) =>
        headOf(await readState(statements)),
      ),
    snapshot: () =>
      database.read("read the zone", async (statements) => ({
        head: headOf(await readState(statements)),
        records: await allRecords(statements),
      })),
    recordsOf: (owners) =>
      database.read("read records of owners", async (statements) => {
        const head = headOf(await readState(statements));
        const records: Endpoint[] = [];
        for (const { kind, id } of owners) {
          records.push(...(await recordsOfOwner(statements, kind, id)));
        }
        return { head, records };
      }),
    changesSince: (since) =>
      database.read("read the zone's changes", async (statements) => {
        const state = await readState(statements);
        if (since > state.generation || since < state.compacted) return undefined;
        const head = headOf(state);
        if (since === state.generation) return { head, upserts: [], removedIds: [] };
        return { head, ...(await changes(statements, since)) };
      }),
  };
}

async function changes(
  statements: Statements,
  since: number,
): Promise<{ upserts: readonly Endpoint[]; removedIds: readonly number[] }> {
  const upserts = await statements.run<Endpoint>(
    `SELECT ${columns} FROM service_endpoints WHERE generation > $1 ORDER BY generation, id`,
    [since],
  );
  const removed = await statements.run<{ record_id: number }>(
    `SELECT record_id FROM dns_tombstones WHERE generation > $1 ORDER BY generation, record_id`,
    [since],
  );
  return { upserts, removedIds: removed.map(({ record_id: id }) => id) };
}

async function allRecords(statements: Statements): Promise<readonly Endpoint[]> {
  const pages: (readonly Endpoint[])[] = [];
  let after: Pick<Endpoint, "fqdn" | "record_type" | "id"> | undefined = {
    fqdn: "",
    record_type: "A",
    id: 0,
  };
  while (after !== undefined) {
    const rows: readonly Endpoint[] = await statements.run<Endpoint>(
      `SELECT ${columns} FROM service_endpoints WHERE (fqdn, record_type, id) > ($1, $2, $3)
       ORDER BY fqdn, record_type, id LIMIT ${page}`,
      [after.fqdn, after.record_type, after.id],
    );
    pages.push(rows);
    after = rows.length < page ? undefined : rows.at(-1);
    if (after !== undefined) await nextTurn();
  }
  return pages.flat();
}
