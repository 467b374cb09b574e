/**
 * The watcher of a flip: waits for the end of the executor, and if that one died in the middle goes
 * on once. Before the stop of the old primary nothing that holds clients up outlives the executor,
 * so there it only says so.
 */
import { once } from "node:events";
import { systemClock } from "../../../kit/clock.ts";
import { carryOutOrder } from "../../../router/flip-db/carry-out.ts";
import type { OrderTask } from "../../../router/flip-db/carry-out.ts";
import { deathReport, goalAfterDeath } from "../../../router/flip-db/report/death-report.ts";
import { EventLog } from "../../../router/flip-db/event-log.ts";
import { readJournal } from "../../../router/operation/journal-file.ts";
import { fold } from "../../../router/operation/records.ts";
import { operationFiles } from "../../../router/operation/store.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { InterruptedError, takeInterrupts } from "../../cli/interrupts.ts";
import { environmentNamed } from "../environment.ts";
import { lostWords } from "./executor.ts";
import { endedWord, linesOf, nextOrder } from "./order.ts";

/** By then the server has noticed that a dead executor is gone, and its lease has ended. */
const patienceMs = 20_000;

/** Watches over one order. 0 when it was carried out, or there was none. */
export async function run(invocation: Invocation): Promise<number> {
  const [name = "", , folder = ""] = invocation.arguments;
  const wish = new AbortController();
  takeInterrupts((signal) => {
    if (signal !== "SIGHUP") wish.abort(new InterruptedError(signal));
  });
  const environment = await environmentNamed(name);
  const lines = linesOf(process.stdin);
  process.stdout.write("ready\n");
  const ended = once(wish.signal, "abort").then(() => undefined);
  const order = await Promise.race([nextOrder(lines), ended]);
  // The executor needs no more of it; writing to a dead one would be an error.
  process.stdout.destroy();
  if (order === undefined) return exitCodes.done;
  const last = await Promise.race([lines.next(), ended]);
  if (last === undefined || (last.done !== true && last.value === endedWord)) return exitCodes.done;
  await goOn({ environment, folder, order, signal: wish.signal, onLost: lostWords(invocation) });
  return exitCodes.done;
}

interface Watched extends Pick<OrderTask, "environment" | "order" | "signal" | "onLost"> {
  readonly folder: string;
}

async function goOn({ environment, folder, order, signal, onLost }: Watched): Promise<void> {
  const { operationId } = order.request;
  const files = operationFiles(folder, operationId);
  const pids = { executor: process.pid, watcher: null };
  const records = await readJournal(files.journal);
  const state = fold(records).find((one) => one.operationId === operationId);
  const goal = goalAfterDeath(order.request, state);
  const log = await EventLog.open(files.events, onLost);
  log.append(
    goal === undefined
      ? deathReport(environment.name, order.request, records, systemClock.now())
      : { event: "note", pids, words: `the executor died; the watcher goes on: ${goal}` },
  );
  await log.close();
  if (goal === undefined) return;
  // The same run: what the dead executor has paused can then be released before its lease ends.
  const again = { ...order, request: { ...order.request, goal } };
  await carryOutOrder({ environment, order: again, files, pids, signal, patienceMs, onLost });
}
