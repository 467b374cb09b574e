/**
 * What a reply of the registry means for the zone that is held: the same, a new state, or that the
 * whole zone is needed. A reply that does not fit is never applied in part. Pure.
 */
import { formatHash, hashOf, withoutRecord, withRecord } from "../../../kit/zone-hash.ts";
import type { ChangesReply } from "../../../registry/contract.ts";
import type { ZoneRecord } from "../parts.ts";

/** One whole state of the zone, as it is held for the next change. */
export interface Held {
  /** "" where the registry tells none. */
  readonly epoch: string;
  readonly generation: number;
  readonly hash: bigint;
  /** The hash as the registry told it, and is told again; "" where it tells none. */
  readonly told: string;
  readonly records: ReadonlyMap<number, ZoneRecord>;
}

/**
 * same: it is what is held; new: apply this; resync: ask for the whole zone, `why` says the reason;
 * wrong: the reply contradicts itself, `candidate` is what it would make.
 */
export type Verdict =
  | { readonly kind: "same" }
  | { readonly kind: "new"; readonly held: Held }
  | { readonly kind: "resync"; readonly why: string }
  | { readonly kind: "wrong"; readonly why: string; readonly candidate: Held | undefined };

/**
 * Judges a reply. `whole` is true when the whole zone was asked for (`since=0`).
 */
export function judge(held: Held | undefined, reply: ChangesReply, whole: boolean): Verdict {
  if (reply.full_snapshot) return judgeWhole(held, reply, whole);
  if (held === undefined || whole) {
    return { kind: "wrong", why: "it sent changes and not the whole zone", candidate: undefined };
  }
  if ((reply.epoch ?? "") !== held.epoch) return resync("its epoch is another one");
  if (reply.generation < held.generation) return resync(behind(held, reply));
  const isNews = reply.records.length > 0 || reply.removed_ids.length > 0;
  if (reply.generation === held.generation) {
    if (isNews) return resync("it sent changes without a generation of their own");
    const differs = reply.zone_hash !== undefined && reply.zone_hash !== held.told;
    return differs ? resync("its zone has another hash") : { kind: "same" };
  }
  const next = merged(held, reply);
  if (reply.zone_hash !== undefined && reply.zone_hash !== formatHash(next.hash)) {
    return resync("with its changes the zone has another hash than it says");
  }
  return { kind: "new", held: next };
}

function judgeWhole(held: Held | undefined, reply: ChangesReply, whole: boolean): Verdict {
  const records = new Map(reply.records.map((one) => [one.id, zoneRecord(one)]));
  const next: Held = {
    epoch: reply.epoch ?? "",
    generation: reply.generation,
    hash: hashOf(records.values()),
    told: reply.zone_hash ?? "",
    records,
  };
  const wrong = (why: string, candidate?: Held): Verdict => ({ kind: "wrong", why, candidate });
  if (records.size !== reply.records.length) return wrong("an id stands twice in the zone it sent");
  if (next.told !== "" && next.told !== formatHash(next.hash)) {
    return wrong("the zone it sent has another hash than it says", next);
  }
  if (held === undefined || held.epoch !== next.epoch) return { kind: "new", held: next };
  // Of the same epoch, less than what is held is a registry that was restored from a backup, or one
  // that lags: only who is asked for the whole zone and says so again is the former.
  if (next.generation < held.generation && !whole) return resync(behind(held, reply));
  const isSame = next.generation === held.generation && next.hash === held.hash;
  return isSame && next.told === held.told ? { kind: "same" } : { kind: "new", held: next };
}

const resync = (why: string): Verdict => ({ kind: "resync", why });

const behind = (held: Held, reply: ChangesReply): string =>
  `it is at generation ${reply.generation}, before ${held.generation}, which is held`;

function merged(held: Held, reply: ChangesReply): Held {
  const records = new Map(held.records);
  let { hash } = held;
  const remove = (id: number): void => {
    const old = records.get(id);
    if (old === undefined) return;
    hash = withoutRecord(hash, old);
    records.delete(id);
  };
  for (const id of reply.removed_ids) remove(id);
  for (const record of reply.records) {
    remove(record.id);
    records.set(record.id, zoneRecord(record));
    hash = withRecord(hash, record);
  }
  const { epoch } = held;
  return { epoch, generation: reply.generation, hash, told: reply.zone_hash ?? "", records };
}

/** Without what an answer is not made of, so that a large zone is held in little memory. */
function zoneRecord(record: ChangesReply["records"][number]): ZoneRecord {
  const { id, fqdn, record_type, target_ip, target_port, ttl } = record;
  return { id, fqdn, record_type, target_ip, target_port, ttl };
}

/** The zone of a snapshot as it is held. */
export function heldOf(snapshot: {
  readonly epoch: string;
  readonly generation: number;
  readonly zoneHash: string;
  readonly records: readonly ZoneRecord[];
}): Held {
  const { epoch, generation, zoneHash: told, records } = snapshot;
  const byId = new Map(records.map((one) => [one.id, one]));
  return { epoch, generation, hash: hashOf(byId.values()), told, records: byId };
}
