/** What the terminal hands to the executor, and the executor to the watcher: one line of JSON. */
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { Order } from "../../../router/flip-db/carry-out.ts";

/** The last line to a watcher: there is nothing left to watch. */
export const endedWord = "ended";

/** One order as a line. */
export function orderLine(order: Order): string {
  return `${JSON.stringify(order)}\n`;
}

/** Each line of an input until it ends, or whoever writes it dies. */
export function linesOf(input: Readable): AsyncIterator<string> {
  return createInterface({ input, terminal: false, crlfDelay: Infinity })[Symbol.asyncIterator]();
}

/** The next line as an order; undefined when the input has ended instead. */
export async function nextOrder(lines: AsyncIterator<string>): Promise<Order | undefined> {
  const { done, value } = await lines.next();
  return done === true ? undefined : (JSON.parse(value) as Order);
}
