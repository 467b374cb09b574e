/** A pool of 20 under load in a lab that is flipped there and back, and when each client was back. */
import { createPool } from "../client/index.ts";
import type { Pool } from "../client/index.ts";
import { formatAddress } from "../kit/address.ts";
import type { Address } from "../kit/address.ts";
import { inCheckout } from "../kit/checkout.ts";
import { runChild } from "../kit/child.ts";
import { eventually, systemClock } from "../kit/clock.ts";
import { labDown } from "../lab/down.ts";
import { labPlace } from "../lab/place.ts";
import type { LabSummary } from "../lab/summary.ts";
import { labUp, upDefaults } from "../lab/up.ts";
import { verifyWorkload } from "../lab/workload.ts";
import { firstWrite, PoolApp } from "../test/support/pool-app.ts";
import type { FirstAnswer } from "../test/support/pool-app.ts";

export interface FlipFigures {
  /** For each client: from the first moment of writing to its first answer, in ms. */
  readonly followMs: readonly number[];
  /** For each client: from the first moment of writing until it had a session, by a login or not. */
  readonly sessionMs: readonly number[];
  /** For each client: its first insert, from the statement to the answer. */
  readonly insertMs: readonly number[];
  /** How long nobody could write at all: the flip's share. */
  readonly outageMs: number;
  readonly acknowledged: number;
  readonly failed: number;
  readonly lost: number;
  readonly doubled: number;
}

const clients = 20;
const rate = 50;
const settleMs = 1500;
const soon = { deadlineMs: 30_000, intervalMs: 10 };

/** Brings up a lab, flips it `flips` times under a pool, and takes it down. */
export async function measureFlips(flips: number, signal: AbortSignal): Promise<FlipFigures[]> {
  const place = await labPlace();
  const name = `bench-${process.pid}`;
  try {
    const options = { note: () => undefined, signal };
    const lab = await labUp(place, { ...upDefaults, name, names: true }, options);
    const pool = createPool({
      connectionString: `postgresql://${lab.user}:${encodeURIComponent(lab.password)}@${name}.temps.local/${lab.database}?target_session_attrs=read-write`,
      max: clients,
      dns: { servers: lab.resolvers.map(({ dns }) => formatAddress(dns)) },
    });
    try {
      await pool.query("CREATE TABLE witness (id bigint NOT NULL)");
      const all: FlipFigures[] = [];
      while (all.length < flips) all.push(await flip(lab, pool, all.length, signal));
      return all;
    } finally {
      await pool.end();
    }
  } finally {
    await labDown(place, name);
  }
}

async function flip(
  lab: LabSummary,
  pool: Pool,
  index: number,
  signal: AbortSignal,
): Promise<FlipFigures> {
  const old = lab.members.find(({ postgres }) => postgres.host === pool.primary?.address);
  const next = lab.members.find((one) => one !== old);
  if (old === undefined || next === undefined) throw new TypeError("the pool has no primary");
  const table = `run_${index}`;
  await pool.query(`CREATE TABLE ${table} (id bigint NOT NULL)`);
  const app = new PoolApp({ pool, table, workers: clients, rate });
  const over = new AbortController();
  try {
    // At a random moment of every interval that the tools have.
    await systemClock.sleep(settleMs + Math.random() * 1000, signal);
    const stopping = AbortSignal.any([signal, over.signal]);
    const { since, firsts } = await flipUnder(app, lab, next.postgres, stopping);
    await systemClock.sleep(settleMs, signal);
    const report = await app.stop();
    const found = await verifyWorkload(next.postgres, loginOf(lab), table, report);
    return {
      followMs: firsts.map(({ answeredAt }) => answeredAt - since),
      sessionMs: firsts.map(({ clientAt }) => clientAt - since),
      insertMs: firsts.map(({ answeredAt, clientAt }) => answeredAt - clientAt),
      outageMs: since - (report.nodes[old.postgres.host]?.lastAt ?? Number.NaN),
      acknowledged: report.acknowledgedIds.length,
      failed: report.failedIds.length,
      lost: found.missing.length,
      doubled: found.doubled.length,
    };
  } finally {
    // A flip that failed leaves workers and a witness that would go on for ever.
    over.abort(new Error("the flip is over"));
    await app.stop();
  }
}

const loginOf = ({ user, password, database }: LabSummary) => ({ user, password, database });

/** Flips to `next`; when that took its first write, and what the app's workers had from it first. */
async function flipUnder(
  app: PoolApp,
  lab: LabSummary,
  next: Address,
  signal: AbortSignal,
): Promise<{ readonly since: number; readonly firsts: readonly FirstAnswer[] }> {
  const words = [lab.environment, "flip-db", "--yes", "--json", "--mode", "fast"];
  const [since] = await Promise.all([
    firstWrite(next, loginOf(lab), "witness", signal),
    runChild(inCheckout("bin/recovery"), words, { deadlineMs: 120_000, signal }),
  ]);
  const firsts = await eventually("every client writes again", soon, () => {
    const all = app.firstFrom(next.host);
    return all.every((one) => one !== undefined) ? all : undefined;
  });
  return { since, firsts };
}
