/**
 * The terminal's side of a flip: it shows what the executor writes, hands Ctrl-C on, and can be
 * left at any time without the flip noticing.
 */
import type { ChildProcess } from "node:child_process";
import type { Ending } from "../../../router/flip-db/carry-out.ts";
import { followEvents } from "../../../router/flip-db/event-log.ts";
import type { FlipEvent, FlipPids } from "../../../router/flip-db/events.ts";
import { takeInterrupts } from "../../cli/interrupts.ts";
import type { InterruptName } from "../../cli/interrupts.ts";
import { isAlive } from "./spawn.ts";
import type { FlipProcess } from "./spawn.ts";

/** The operator left; the flip goes on. */
export class FlipLeftError extends Error {
  override readonly name = "FlipLeftError";
  readonly code = "ERR_FLIP_LEFT";
  readonly operationId: string;
  constructor(environment: string, operationId: string) {
    super(
      `flip ${operationId} goes on without this terminal; see bin/recovery ${environment} history ${operationId}`,
    );
    this.operationId = operationId;
  }
}

export interface Followed {
  readonly environment: string;
  readonly operationId: string;
  readonly executor: FlipProcess;
  readonly eventFile: string;
  /** Where this run's events begin. */
  readonly offset: number;
  readonly show: (event: FlipEvent) => void;
  /** For the operator, past the events. */
  readonly note: (line: string) => void;
}

/**
 * Shows events until the last one.
 * @returns the last one; undefined when both processes are gone and none has said how it ended
 * @throws FlipLeftError when the operator leaves
 */
export async function follow(followed: Followed): Promise<Ending | undefined> {
  const { environment, operationId, executor, eventFile, offset, show } = followed;
  const left = new AbortController();
  const known: { pids: FlipPids | undefined } = { pids: undefined };
  const leave = (): void => left.abort(new FlipLeftError(environment, operationId));
  const give = takeInterrupts(interruptHandler(followed, () => known.pids, leave));
  try {
    const over = (): boolean => hasEnded(executor.child) && !isWatched(known.pids);
    for await (const event of followEvents(eventFile, offset, over, left.signal)) {
      if ("pids" in event) known.pids = event.pids;
      show(event);
      if (event.event === "report" || event.event === "failure") return event;
    }
  } finally {
    give();
  }
  return undefined;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function isWatched(pids: FlipPids | undefined): boolean {
  if (pids === undefined) return false;
  // After the executor's death the watcher is the executor.
  return [pids.watcher, pids.executor].some((pid) => pid !== null && isAlive(pid));
}

/** The first Ctrl-C is handed on; the second one, and the end of the terminal, only leave. */
function interruptHandler(
  { executor, note, environment, operationId }: Followed,
  pids: () => FlipPids | undefined,
  leave: () => void,
): (name: InterruptName) => void {
  let asked = 0;
  return (name) => {
    asked += 1;
    if (name !== "SIGINT" || asked > 1) return leave();
    note("asked to abort; Ctrl-C again leaves, and the flip goes on");
    const pid = pids()?.executor ?? executor.child.pid;
    try {
      if (pid !== undefined) process.kill(pid, "SIGINT");
    } catch {
      note(`it has ended; see bin/recovery ${environment} history ${operationId}`);
    }
  };
}
