/**
 * Carries orders out over the Runtime API of one router: many in a line, since a reload takes all
 * servers away at once; first what lets clients in, then what takes servers away. Every order is read
 * back before it is told as done.
 */
import { eventually } from "../../../kit/clock.ts";
import { shutdownSessions } from "../../haproxy/runtime/change.ts";
import { send, showRouter, unproven } from "../../haproxy/runtime/client.ts";
import type { Runtime, RuntimeView } from "../../haproxy/runtime/client.ts";
import type { Command } from "../../haproxy/runtime/commands.ts";
import { serversByName } from "../../haproxy/runtime/servers.ts";
import type { ServerView } from "../../haproxy/runtime/servers.ts";
import { HaproxyError } from "../../haproxy/runtime/transport.ts";
import { orderKey, sayOnce, tell } from "./keeping.ts";
import type { Keeping } from "./keeping.ts";
import type { Order } from "./server-orders.ts";

/** HAProxy takes 8192 characters in a line. */
const longestLine = 8000;

/** So many servers have their sessions ended side by side. */
const closingAtOnce = 8;

/** An order that was sent, and whether HAProxy took every word of its line. */
interface Sent {
  readonly order: Order;
  readonly isTaken: boolean;
}

const wordsOf = ({ acts }: Order): readonly Command[] =>
  acts.flatMap((act) => (act === "close-sessions" ? [] : act));

/**
 * Carries them out. @returns what the router shows then; undefined when nothing was sent
 * @throws HaproxyError where it does not answer
 */
export async function carryOut(
  keeping: Keeping,
  runtime: Runtime,
  orders: readonly Order[],
): Promise<RuntimeView | undefined> {
  if (orders.length === 0) return undefined;
  const goes = (order: Order): boolean => order.deed === "remove";
  const isSlow = (order: Order): boolean => order.acts.includes("close-sessions");
  const comes = await sendMany(
    keeping,
    runtime,
    orders.filter((one) => !goes(one)),
  );
  const removed = await sendMany(
    keeping,
    runtime,
    orders.filter((one) => goes(one) && !isSlow(one)),
  );
  const closed = await closeMany(keeping, runtime, orders.filter(isSlow));
  const sent = [...comes, ...removed, ...closed];
  keeping.isOneByOne = sent.some(({ isTaken }) => !isTaken);
  const view = await readBack(keeping, runtime, sent);
  report(keeping, sent, view);
  return view;
}

/** Lines of as many orders as fit. */
async function sendMany(
  keeping: Keeping,
  runtime: Runtime,
  orders: readonly Order[],
): Promise<Sent[]> {
  const sent: Sent[] = [];
  for (const line of linesOf(orders, keeping.isOneByOne)) {
    keeping.signal.throwIfAborted();
    const [first] = line;
    if (first !== undefined && line.length === 1) {
      if (await obey(keeping, runtime, first)) sent.push({ order: first, isTaken: true });
      continue;
    }
    const isTaken = await isAccepted(keeping, () => send(runtime, line.flatMap(wordsOf)));
    sent.push(...line.map((order) => ({ order, isTaken })));
  }
  return sent;
}

function linesOf(orders: readonly Order[], isOneByOne: boolean): Order[][] {
  const lines: Order[][] = [];
  let length = Infinity;
  for (const order of orders) {
    const own = wordsOf(order).reduce((sum, { line }) => sum + line.length + 1, 0);
    if (isOneByOne || length + own > longestLine) {
      lines.push([]);
      length = 0;
    }
    lines.at(-1)?.push(order);
    length += own;
  }
  return lines;
}

/** Removals that end sessions. What has changed meanwhile comes first: the next look plans the rest. */
async function closeMany(
  keeping: Keeping,
  runtime: Runtime,
  orders: readonly Order[],
): Promise<Sent[]> {
  const sent: Sent[] = [];
  for (let at = 0; at < orders.length; at += closingAtOnce) {
    keeping.signal.throwIfAborted();
    // Some go in every round, or names that never rest would keep them for ever.
    if (at > 0 && keeping.isWanted) break;
    const some = orders.slice(at, at + closingAtOnce);
    const done = await Promise.all(some.map((order) => obey(keeping, runtime, order)));
    sent.push(...some.filter((_, index) => done[index]).map((order) => ({ order, isTaken: true })));
  }
  return sent;
}

const silent: ReadonlySet<string> = new Set(["ERR_HAPROXY_UNREACHABLE", "ERR_HAPROXY_TIMEOUT"]);

/** Carries one order out. What HAProxy refuses is said, and left to the next look. */
async function obey(keeping: Keeping, runtime: Runtime, order: Order): Promise<boolean> {
  const { of, deed, acts } = order;
  const refused = (error: HaproxyError): void =>
    sayOnce(keeping, orderKey(of), { event: "failed", ...of, says: `${deed}: ${error.message}` });
  const work = async (): Promise<void> => {
    for (const act of acts) {
      if (act === "close-sessions") await shutdownSessions(runtime, of);
      else if (act.length > 0) await send(runtime, act);
    }
  };
  return await isAccepted(keeping, work, refused);
}

/** False when HAProxy refuses. One that does not answer would cost the deadline again for each order. */
async function isAccepted(
  keeping: Keeping,
  work: () => Promise<unknown>,
  refused?: (error: HaproxyError) => void,
): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    keeping.signal.throwIfAborted();
    if (!(error instanceof HaproxyError) || silent.has(error.code)) throw error;
    refused?.(error);
    return false;
  }
}

/** A change may show a moment after the answer. */
const settleMs = 500;

async function readBack(
  keeping: Keeping,
  runtime: Runtime,
  sent: readonly Sent[],
): Promise<RuntimeView> {
  const last = { view: await showRouter(runtime) };
  const taken = sent.filter(({ isTaken }) => isTaken);
  const isProven = (): boolean => {
    const servers = serversByName(last.view.servers);
    return taken.every(({ order }) => shortOf(order, servers) === undefined);
  };
  if (isProven()) return last.view;
  const options = { deadlineMs: settleMs, intervalMs: 50, signal: keeping.signal };
  await eventually("readback", options, async () => {
    last.view = await showRouter(runtime);
    return isProven() || undefined;
  }).catch(() => undefined);
  keeping.signal.throwIfAborted();
  return last.view;
}

/** What of an order does not show; checks may have spoken since the order set a server's health. */
function shortOf(
  order: Order,
  servers: ReadonlyMap<string, ServerView>,
): readonly [tried: string, shown: string] | undefined {
  const commands = wordsOf(order).filter(({ proof }) => proof?.about !== "health");
  return unproven(commands, servers);
}

/** Tells of each order that was sent what the router shows of it. */
function report(keeping: Keeping, sent: readonly Sent[], view: RuntimeView): void {
  const servers = serversByName(view.servers);
  for (const { order, isTaken } of sent) {
    const { of, deed, says } = order;
    const short = shortOf(order, servers);
    if (short === undefined) {
      keeping.said.delete(orderKey(of));
      tell(keeping, { event: deed, ...of, says });
    } else if (isTaken) {
      const [tried, shown] = short;
      const what = `${deed}: ${tried}: HAProxy took it, but reads ${shown}`;
      sayOnce(keeping, orderKey(of), { event: "failed", ...of, says: what });
    }
    // Else one of its line was refused: it goes alone next time, and is told of then.
  }
}
