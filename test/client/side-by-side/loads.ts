/** The rows of the table that ask for writes under load while the primary becomes another. */
import { eventually, systemClock } from "../../../kit/clock.ts";
import { superuser } from "../../support/real-postgres.ts";
import type { RealPostgres } from "../../support/real-postgres.ts";
import type { Column, Load } from "./column.ts";
import { changeRoles, demoteInPlace } from "./peers.ts";
import type { Pair } from "./peers.ts";
import type { Names } from "./scenarios.ts";
import type { Reply } from "./orders.ts";
import { loadCell } from "./words.ts";

export interface LoadScenario {
  /** The first cell of its row in docs/client.md. */
  readonly row: string;
  readonly host: string;
  /** Who takes writes before and after. */
  readonly from: (pair: Pair) => RealPostgres;
  readonly to: (pair: Pair) => RealPostgres;
  readonly names: (from: string, to: string) => readonly string[];
  /** Resolves when the new primary takes writes. */
  readonly change: (pair: Pair) => Promise<void>;
  readonly namesAfter: (from: string, to: string) => readonly string[];
}

/** In this order: the second begins with the roles that the first has left. */
export const loadScenarios: readonly LoadScenario[] = [
  {
    row: "under load, the primary comes back as a standby, then the name moves",
    host: "moved.example",
    from: ({ first }) => first,
    to: ({ second }) => second,
    names: (from) => [from],
    change: changeRoles,
    namesAfter: (_from, to) => [to],
  },
  {
    row: "under load, the primary turns read-only and keeps its sessions",
    host: "kept.example",
    from: ({ second }) => second,
    to: ({ first }) => first,
    names: (from, to) => [from, to],
    change: ({ first, second }) => demoteInPlace(second, first),
    namesAfter: (from, to) => [from, to],
  },
];

/** So many rows one after the other, all taken by the same server: there it stays. */
const steady = 10;
const soon = { deadlineMs: 40_000, intervalMs: 10 };

/** When the first of the last rows came that were all taken by `host`. */
const steadySince = ({ replies }: Load, host: string): number | undefined => {
  const last = replies.slice(-steady);
  return last.length === steady && last.every(({ where }) => where === host)
    ? last[0]?.at
    : undefined;
};

export interface Ridden {
  readonly column: Column;
  readonly cell: string;
  readonly last: Reply | undefined;
  /** Whether every statement came back. */
  readonly isQuiet: boolean;
  /** The rows that a server has acknowledged. */
  readonly acknowledged: readonly number[];
}

/** Puts every column under load, changes the primary, and sees who follows within `watchMs`. */
export async function rideThrough(
  scenario: LoadScenario,
  columns: readonly { readonly column: Column; readonly row: number }[],
  world: { readonly pair: Pair; readonly names: Names; readonly timeoutMs: number },
): Promise<Ridden[]> {
  const { pair, names, timeoutMs } = world;
  const [from, to] = [scenario.from(pair).host, scenario.to(pair).host];
  const { host } = scenario;
  names[host] = scenario.names(from, to);
  const loads = columns.map(({ column, row }) => {
    column.open(host, { host, ...superuser, timeoutMs });
    return { column, load: column.load(host, row) };
  });
  const steadyFirst = loads.map(({ load, column }) =>
    eventually(`${column.name} writes to ${from}`, soon, () => steadySince(load, from)),
  );
  await Promise.all(steadyFirst);
  await scenario.change(pair);
  const began = systemClock.monotonic();
  names[host] = scenario.namesAfter(from, to);
  return await Promise.all(
    loads.map(async ({ column, load }) => {
      const wait = { deadlineMs: 2 * timeoutMs, intervalMs: 10 };
      const since = await eventually("it follows", wait, () => steadySince(load, to)).catch(
        () => undefined,
      );
      const isQuiet = await load.stop(timeoutMs);
      const last = load.replies.at(-1);
      const ms = since === undefined ? undefined : since - began;
      const cell = loadCell(ms, last, timeoutMs);
      const taken = load.replies.filter(({ where }) => where !== undefined);
      return { column, cell, last, isQuiet, acknowledged: taken.map(({ row }) => row) };
    }),
  );
}
