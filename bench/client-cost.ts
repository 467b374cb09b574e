/** What the connector costs beside plain pg on one primary: connecting, and statements through a pool. */
import { Client as PgClient, Pool as PgPool } from "pg";
import { Client, Pool } from "../client/index.ts";
import { systemClock } from "../kit/clock.ts";
import { labDown } from "../lab/down.ts";
import { labPlace } from "../lab/place.ts";
import { labUp, upDefaults } from "../lab/up.ts";
import { median } from "./figures.ts";

export interface CostFigure {
  readonly what: string;
  readonly unit: string;
  readonly ours: number;
  readonly plain: number;
  readonly ratio: number;
}

const rounds = 9;
const connects = 40;
const statements = 8000;
const clients = 20;

interface Side {
  connect(): Promise<{ end(): Promise<void> }>;
  pool(): PgPool;
}

/** Brings up a lab, measures plain pg and ours in turns, and takes it down. */
export async function measureCost(signal: AbortSignal): Promise<CostFigure[]> {
  const place = await labPlace();
  const name = `bench-${process.pid}`;
  try {
    const lab = await labUp(place, { ...upDefaults, name }, { note: () => undefined, signal });
    const [primary] = lab.members;
    if (primary === undefined) throw new TypeError("a lab has members");
    const { user, password, database } = lab;
    const config = { ...primary.postgres, user, password, database };
    const readWrite = { ...config, targetSessionAttrs: "read-write" } as const;
    const plain: Side = {
      connect: () => connected(new PgClient(config)),
      pool: () => new PgPool({ ...config, max: clients }),
    };
    const any: Side = {
      connect: () => connected(new Client(config)),
      pool: () => new Pool({ ...config, max: clients }),
    };
    const ours: Side = {
      connect: () => connected(new Client(readWrite)),
      pool: () => new Pool({ ...readWrite, max: clients }),
    };
    return [
      await compare("one connect, any", "ms", any, plain, connectMs),
      await compare("one connect, read-write", "ms", ours, plain, connectMs),
      await compare("statements of a pool of 20, each", "ms", ours, plain, statementMs),
      await compare("rows of 100 kB through one client, each", "ms", ours, plain, largeRowMs),
    ];
  } finally {
    await labDown(place, name);
  }
}

async function connected<C extends PgClient>(client: C): Promise<C> {
  await client.connect();
  return client;
}

/** The two sides in turns, so that what else the machine does meets both. */
async function compare(
  what: string,
  unit: string,
  ours: Side,
  plain: Side,
  measure: (side: Side) => Promise<number>,
): Promise<CostFigure> {
  const mine: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const [one, other] = round % 2 === 0 ? [ours, plain] : [plain, ours];
    const [first, second] = [await measure(one), await measure(other)];
    // The first round warms both up.
    if (round === 0) continue;
    mine.push(one === ours ? first : second);
    theirs.push(one === ours ? second : first);
  }
  const ratios = mine.map((value, index) => value / (theirs[index] ?? Number.NaN));
  return { what, unit, ours: median(mine), plain: median(theirs), ratio: median(ratios) };
}

async function connectMs(side: Side): Promise<number> {
  const began = systemClock.monotonic();
  for (let count = 0; count < connects; count += 1) await (await side.connect()).end();
  return (systemClock.monotonic() - began) / connects;
}

async function statementMs(side: Side): Promise<number> {
  return await withPool(side, async (pool) => {
    const worker = async (): Promise<void> => {
      for (let count = 0; count < statements / clients; count += 1) {
        await pool.query("SELECT $1::int", [count]);
      }
    };
    await Promise.all(Array.from({ length: clients }, worker));
    return statements;
  });
}

async function largeRowMs(side: Side): Promise<number> {
  return await withPool(side, async (pool) => {
    const rows = 500;
    await pool.query(`SELECT repeat('x', 100000) FROM generate_series(1, ${rows})`);
    return rows;
  });
}

async function withPool(side: Side, work: (pool: PgPool) => Promise<number>): Promise<number> {
  const pool = side.pool();
  try {
    await Promise.all(Array.from({ length: clients }, () => pool.query("SELECT 1")));
    const began = systemClock.monotonic();
    const count = await work(pool);
    return (systemClock.monotonic() - began) / count;
  } finally {
    await pool.end();
  }
}
