/**
 * Changing the zone: the one place that gives out generations. The row of the zone's state is locked
 * first, so generations have no gaps and come in the order of their commits; a transaction in which
 * nothing really changes leaves it as it is.
 */
import { nextTurn } from "../../kit/clock.ts";
import { formatHash, withoutRecord, withRecord } from "../../kit/zone-hash.ts";
import type { HashedRecord } from "../../kit/zone-hash.ts";
import type { Endpoint } from "../contract.ts";
import { canonicalDraft, checkDraft } from "../endpoints.ts";
import { chunks, placeholderList, placeholders } from "./database.ts";
import type { Database, Value, Writing } from "./database.ts";
import { refuseOldTerm } from "./lead-term.ts";
import { EndpointError } from "./store.ts";
import type { OwnedDrafts, RegistryStore, Written } from "./store.ts";
import { diffOf, isNothing, joined } from "./zone-diff.ts";
import type { ZoneDiff } from "./zone-diff.ts";
import { endpointColumns, headOf, readState, recordsOfOwner } from "./zone-read.ts";

/** As many tombstones stay, so that a resolver that was away for long still gets a diff. */
const tombstonesKept = 100_000;
/** How often, in generations, what is beyond that is forgotten. */
const compactEvery = 1000;
/** Hashes reckoned between two turns of the event loop. */
const hashesAtOnce = 2000;

/** The part of a store that changes the zone. */
export function zoneWriter(
  database: Database,
  zone: string,
): Pick<RegistryStore, "putEndpoints" | "compact"> {
  return {
    putEndpoints: async (owned, term) => {
      const canonical = owned.map((one) => checked(zone, one));
      refuseTwice(canonical);
      return await database.write("change the zone", async (statements) => {
        await refuseOldTerm(database, statements, term);
        return await putOwned(database, statements, canonical);
      });
    },
    compact: (keep) =>
      database.write("forget old tombstones", (statements) =>
        forgetTombstones(database, statements, keep),
      ),
  };
}

/**
 * Gives each owner the records that it wants, as part of a transaction.
 * @throws EndpointError for what cannot stand beside what is there
 */
export async function putOwned(
  database: Database,
  statements: Writing,
  owned: readonly OwnedDrafts[],
): Promise<Written> {
  const state = await readState(statements, database.dialect.forUpdate);
  const diffs: ZoneDiff[] = [];
  for (const { owner, drafts } of owned) {
    diffs.push(diffOf(owner, await recordsOfOwner(statements, owner.kind, owner.id), drafts));
  }
  const diff = joined(diffs);
  if (isNothing(diff)) return { head: headOf(state), changed: false };

  const generation = state.generation + 1;
  await refuseUnknownNodes(statements, diff);
  await applyDiff(statements, diff, generation);
  if (diff.come.length > 0) await refuseBesideCname(statements);
  const zoneHash = formatHash(await hashAfter(BigInt(`0x${state.zoneHash}`), diff));
  const recordCount = state.recordCount + diff.come.length - diff.go.length;
  await statements.run(
    "UPDATE dns_generation SET current = $1, zone_hash = $2, record_count = $3 WHERE id = 1",
    [generation, zoneHash, recordCount],
  );
  if (generation % compactEvery === 0) await forgetTombstones(database, statements, tombstonesKept);
  statements.tell("generation", String(generation));
  return { head: { epoch: state.epoch, generation, zoneHash, recordCount }, changed: true };
}

function checked(zone: string, { owner, drafts }: OwnedDrafts): OwnedDrafts {
  const canonical = drafts.map((draft) => canonicalDraft(draft));
  for (const draft of canonical) {
    const fault = checkDraft(zone, draft);
    if (fault !== undefined) throw new EndpointError(`record ${draft.fqdn}: ${fault}`);
  }
  return { owner, drafts: canonical };
}

function refuseTwice(owned: readonly OwnedDrafts[]): void {
  const seen = new Set<string>();
  for (const { owner } of owned) {
    const key = `${owner.kind} ${owner.id}`;
    if (seen.has(key)) throw new EndpointError(`owner ${key}: stands twice in one change`);
    seen.add(key);
  }
}

async function refuseUnknownNodes(statements: Writing, diff: ZoneDiff): Promise<void> {
  const touched = [...diff.come, ...diff.change.map(({ to }) => to)];
  const named = new Set(touched.flatMap(({ node_id: id }) => (id === null ? [] : [id])));
  if (named.size === 0) return;
  const rows = await statements.run<{ id: number }>("SELECT id FROM nodes");
  const known = new Set(rows.map(({ id }) => id));
  const missing = touched.find(({ node_id: id }) => id !== null && !known.has(id));
  if (missing !== undefined) {
    throw new EndpointError(`record ${missing.fqdn}: node_id ${missing.node_id} is no node`);
  }
}

/** A name with a CNAME has nothing else (RFC 1034, 3.6.2). */
async function refuseBesideCname(statements: Writing): Promise<void> {
  const [found] = await statements.run<{ fqdn: string }>(
    `SELECT alias.fqdn FROM service_endpoints alias
     JOIN service_endpoints other ON other.fqdn = alias.fqdn AND other.id <> alias.id
     WHERE alias.record_type = 'CNAME' LIMIT 1`,
  );
  if (found === undefined) return;
  throw new EndpointError(`record ${found.fqdn}: a name with a CNAME has no other record`);
}

async function applyDiff(statements: Writing, diff: ZoneDiff, generation: number): Promise<void> {
  for (const some of chunks(diff.go)) {
    const ids = some.map(({ id }) => id);
    const list = placeholderList(ids.length);
    await statements.run(`DELETE FROM service_endpoints WHERE id IN (${list})`, ids);
    await statements.run(
      `INSERT INTO dns_tombstones (record_id, generation) VALUES ${placeholders(ids.length, 2)}`,
      ids.flatMap((id) => [id, generation]),
    );
  }
  const all = endpointColumns;
  const [, ...withoutId] = all;
  const changed = diff.change.map(({ to }) => ({ ...to, generation }));
  for (const some of chunks(changed)) {
    await statements.run(
      `INSERT INTO service_endpoints (${all.join(", ")})
       VALUES ${placeholders(some.length, all.length)}
       ON CONFLICT (id) DO UPDATE SET target_port = excluded.target_port, ttl = excluded.ttl,
         node_id = excluded.node_id, generation = excluded.generation`,
      some.flatMap((record) => all.map((column): Value => record[column])),
    );
    if (some.length > 8) await nextTurn();
  }
  for (const some of chunks(diff.come)) {
    await statements.run(
      `INSERT INTO service_endpoints (${withoutId.join(", ")})
       VALUES ${placeholders(some.length, withoutId.length)}`,
      some.flatMap((record) => {
        const row: Omit<Endpoint, "id"> = { ...record, generation };
        return withoutId.map((column): Value => row[column]);
      }),
    );
    if (some.length > 8) await nextTurn();
  }
}

async function hashAfter(before: bigint, diff: ZoneDiff): Promise<bigint> {
  const gone: HashedRecord[] = [...diff.go, ...diff.change.map(({ from }) => from)];
  const come: HashedRecord[] = [...diff.come, ...diff.change.map(({ to }) => to)];
  let hash = before;
  let reckoned = 0;
  for (const [list, apply] of [
    [gone, withoutRecord],
    [come, withRecord],
  ] as const) {
    for (const record of list) {
      hash = apply(hash, record);
      reckoned += 1;
      if (reckoned % hashesAtOnce === 0) await nextTurn();
    }
  }
  return hash;
}

/** Whole generations go, so that what is left is exact from there on. */
async function forgetTombstones(
  database: Database,
  statements: Writing,
  keep: number,
): Promise<void> {
  await readState(statements, database.dialect.forUpdate);
  const [row] = await statements.run<{ generation: number }>(
    `SELECT generation FROM dns_tombstones ORDER BY generation DESC, record_id DESC
     LIMIT 1 OFFSET $1`,
    [keep],
  );
  if (row === undefined) return;
  await statements.run("DELETE FROM dns_tombstones WHERE generation <= $1", [row.generation]);
  await statements.run("UPDATE dns_generation SET compacted = $1 WHERE id = 1", [row.generation]);
}
