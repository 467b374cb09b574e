/** How a flip ended whose processes have left without a word: the journals know it better. */
import { access, constants, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Environment } from "../../../config/schema.ts";
import { systemClock } from "../../../kit/clock.ts";
import type { Ending, Order } from "../../../router/flip-db/carry-out.ts";
import type { FlipEvent } from "../../../router/flip-db/events.ts";
import { clusterRecords } from "../../../router/flip-db/history.ts";
import { lostReport } from "../../../router/flip-db/report/lost-report.ts";
import { readJournal } from "../../../router/operation/journal-file.ts";
import type { OperationFiles } from "../../../router/operation/store.ts";
import { FlipProcessError } from "./spawn.ts";
import type { FlipProcess } from "./spawn.ts";

interface Lost {
  readonly environment: Environment;
  readonly order: Order;
  readonly files: OperationFiles;
  readonly executor: FlipProcess;
  readonly signal: AbortSignal;
  readonly show: (event: FlipEvent) => void;
}

/** Less room than this, and an event or a record did not fit (bytes). */
const leastRoom = 64 * 1024;

/**
 * Reads the journals and shows the report that they give.
 * @throws FlipProcessError when neither this host's journal nor the cluster's can be read; the
 * signal's reason
 */
export async function lostEnding(lost: Lost): Promise<Ending> {
  const { environment, order, files, executor, signal, show } = lost;
  const { request } = order;
  const [local, cluster] = await Promise.all([
    readJournal(files.journal).catch(() => undefined),
    clusterRecords(environment, signal),
  ]);
  const there = "records" in cluster ? cluster.records : undefined;
  const cause = await causeOf(files, executor);
  if (local === undefined && there === undefined) {
    const help = `bin/recovery ${environment.name} topology`;
    throw new FlipProcessError(
      `flip ${request.operationId}: the executor ended without a word, and no journal can be read (${cause}); see ${help}`,
      executor.logFile,
    );
  }
  const all = [...(local ?? []), ...(there ?? [])];
  const records = all.filter((one) => one.operationId === request.operationId);
  const ending = lostReport(environment.name, request, records, { cause, now: systemClock.now() });
  if (ending.event === "failure") return ending;
  show({ event: "note", pids: { executor: executor.child.pid ?? 0, watcher: null }, words: cause });
  show(ending);
  return ending;
}

async function causeOf({ events }: OperationFiles, { logFile }: FlipProcess): Promise<string> {
  const folder = dirname(events);
  const says = "the executor ended without a word";
  try {
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize < leastRoom) return `${says}: the disk of ${folder} is full`;
    await access(folder, constants.W_OK);
  } catch (error) {
    return `${says}: ${error instanceof Error ? error.message : String(error)}`;
  }
  const hasLog = await stat(logFile).then(
    (found) => found.size > 0,
    () => false,
  );
  return hasLog ? `${says}; its log is ${logFile}` : `${says}: it was ended by force`;
}
