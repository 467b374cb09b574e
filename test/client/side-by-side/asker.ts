/**
 * A process that uses one library and does as it is told: orders on standard input, replies on
 * standard output. It runs where the names come from a name server of the test.
 */
import { createInterface } from "node:readline";
import { systemClock } from "../../../kit/clock.ts";
import { columns } from "./columns.ts";
import type { ColumnName, Opened } from "./columns.ts";
import { insert, stopMark } from "./orders.ts";
import type { Order, Reply } from "./orders.ts";

const writers = 4;
const restMs = 20;

const opened = new Map<string, Opened>();
const stopped = new Set<string>();
let column: ColumnName = "pg";

const clock = systemClock;

function poolNamed(as: string): Opened {
  const found = opened.get(as);
  if (found === undefined) throw new Error(`nothing is open as ${as}`);
  return found;
}

const words = (error: unknown): string => {
  const { code, message } = error as { code?: string; message?: string };
  return [code, message].filter(Boolean).join(" ") || String(error);
};

function tell(reply: Reply): void {
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

async function attempt(as: string, row: number, how: "ask" | "askAfresh"): Promise<void> {
  const began = clock.monotonic();
  const say = (what: Pick<Reply, "where" | "error">): void =>
    tell({ as, row, ...what, ms: clock.monotonic() - began });
  try {
    const { at } = await poolNamed(as)[how](insert, [row]);
    say({ where: String(at), error: undefined });
  } catch (error) {
    say({ where: undefined, error: words(error) });
  }
}

async function load(as: string, first: number): Promise<void> {
  let row = first;
  const write = async (): Promise<void> => {
    while (!stopped.has(as)) {
      row += 1;
      await attempt(as, row, "ask");
      await clock.sleep(restMs);
    }
  };
  await Promise.all(Array.from({ length: writers }, write));
  tell({ as, row: stopMark, where: undefined, error: undefined, ms: 0 });
}

function obey(order: Order): void {
  if (order.do === "use") column = order.column;
  else if (order.do === "open") opened.set(order.as, columns[column](order.access));
  else if (order.do === "write") void attempt(order.as, order.row, "askAfresh");
  else if (order.do === "load") void load(order.as, order.row);
  else stopped.add(order.as);
}

createInterface({ input: process.stdin }).on("line", (line) => obey(JSON.parse(line) as Order));
