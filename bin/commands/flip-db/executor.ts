/**
 * The executor of a flip: starts its watcher, warms up, waits for the order and carries it out. The
 * end of the terminal before the order is the end of it; after the order it goes on alone.
 */
import { once } from "node:events";
import { withDeadline } from "../../../kit/clock.ts";
import { carryOutOrder } from "../../../router/flip-db/carry-out.ts";
import type { Order } from "../../../router/flip-db/carry-out.ts";
import { operationFiles } from "../../../router/operation/store.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { InterruptedError, takeInterrupts } from "../../cli/interrupts.ts";
import { environmentNamed } from "../environment.ts";
import { endedWord, linesOf, nextOrder, orderLine } from "./order.ts";
import { FlipProcessError, removeEmptyLog, startProcess } from "./spawn.ts";
import type { FlipProcess } from "./spawn.ts";

const watcherDeadlineMs = 15_000;

/** Carries out one order. 0 whatever became of it: that stands in the event file. */
export async function run(invocation: Invocation): Promise<number> {
  const [name = "", runName = "", folder = ""] = invocation.arguments;
  const wish = new AbortController();
  takeInterrupts((signal) => {
    if (signal !== "SIGHUP") wish.abort(new InterruptedError(signal));
  });
  const environment = await environmentNamed(name);
  const watcher = await startProcess(
    "watcher",
    { environment: name, run: runName, folder },
    "pipe",
  );
  try {
    const order = await nextOrder(linesOf(process.stdin));
    if (order === undefined) return exitCodes.aborted;
    // Nothing more is heard from the terminal; an open pipe would keep this process.
    process.stdin.destroy();
    await handOver(watcher, order);
    const pids = { executor: process.pid, watcher: watcher.child.pid ?? null };
    const files = operationFiles(folder, order.request.operationId);
    const onLost = lostWords(invocation);
    await carryOutOrder({ environment, order, files, pids, signal: wish.signal, onLost });
    return exitCodes.done;
  } finally {
    await dismiss(watcher);
    await removeEmptyLog(watcher.logFile);
  }
}

/** Says in the log of this process that an event is lost. */
export function lostWords({ output }: Pick<Invocation, "output">): (error: Error) => void {
  return ({ message }) =>
    output.note(`events cannot be written and are dropped, the flip goes on: ${message}`);
}

/** The flip does not begin before the watcher has the order. */
async function handOver(watcher: FlipProcess, order: Order): Promise<void> {
  const { child, logFile } = watcher;
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new TypeError("the watcher has no pipes");
  try {
    await withDeadline("start of the watcher", watcherDeadlineMs, async (signal) => {
      const ended = once(child, "exit", { signal }).then(() => {
        throw new FlipProcessError("the watcher ended as it began", logFile);
      });
      await Promise.race([once(stdout, "data", { signal }), ended]);
    });
  } catch (error) {
    if (error instanceof FlipProcessError) throw error;
    throw new FlipProcessError(`no watcher: ${(error as Error).message}`, logFile);
  }
  const { promise, resolve } = Promise.withResolvers<void>();
  stdin.write(orderLine(order), () => resolve());
  await promise;
}

async function dismiss({ child }: FlipProcess): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  child.stdin?.end(`${endedWord}\n`, () => resolve());
  child.once("exit", () => resolve());
  await promise;
  child.stdout?.destroy();
  child.unref();
}
