/**
 * The physical slots that members keep for each other. Before a flip the standby reserves WAL for
 * the old primary, which is to follow it; a slot that stayed behind on a demoted member would keep
 * WAL for ever, and is made anew without a reservation. PostgreSQL manual, 27.2.6.
 */
import { escapeLiteral } from "pg";
import type { Member } from "../../config/schema.ts";
import type { AskPostgres } from "../../kit/pg-session.ts";
import type { Facts } from "../operation/step.ts";

/** Drops the physical slot `slot`, if it is there and nobody uses it. */
export const dropSlotStatement = (slot: string): string =>
  `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
   WHERE slot_name = ${escapeLiteral(slot)} AND slot_type = 'physical' AND NOT active`;

/** Makes it, unless one of that name is there; `reserves` WAL from now on, or none. */
export const createSlotStatement = (slot: string, reserves: boolean): string =>
  `SELECT pg_create_physical_replication_slot(${escapeLiteral(slot)}, ${reserves})
   WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = ${escapeLiteral(slot)})`;

/** A slot of `member` that reserves WAL from now on; one from earlier times is replaced. */
export async function createSlot(ask: AskPostgres, { slot }: Member): Promise<Facts | undefined> {
  if (slot === undefined) return undefined;
  await ask(dropSlotStatement(slot));
  await ask(createSlotStatement(slot, true));
  return { slot };
}

/** Takes the reservation back: the slot stays, as whoever is a standby one day will need it. */
export async function dropSlot(ask: AskPostgres, { slot }: Member): Promise<Facts | undefined> {
  if (slot === undefined) return undefined;
  await ask(dropSlotStatement(slot));
  await ask(createSlotStatement(slot, false));
  return { slot };
}

/** On a standby: no slot of a member that nobody uses reserves WAL. */
export async function resetSlots(ask: AskPostgres, members: readonly Member[]): Promise<void> {
  const [row] = await ask("SELECT pg_is_in_recovery() AS standby");
  if (row?.["standby"] !== "t") return;
  for (const { slot } of members) {
    if (slot === undefined) continue;
    const [kept] = await ask(
      `SELECT 1 FROM pg_replication_slots WHERE slot_name = ${escapeLiteral(slot)}
       AND restart_lsn IS NOT NULL AND NOT active`,
    );
    if (kept === undefined) continue;
    await ask(dropSlotStatement(slot));
    await ask(createSlotStatement(slot, false));
  }
}
