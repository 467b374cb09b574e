/**
 * The process driver: each part is a program on this machine, started in a session of its own with
 * its part's group id, its output in a file of its folder. It outlives the tool that started it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { DeadlineError, eventually } from "../../kit/clock.ts";
import type { Part, PartKind } from "../model.ts";
import { partAnswers } from "./answers.ts";
import { PartError, startDeadlineMs, stopDeadlineMs, stopOrder, tellingLine } from "./driver.ts";
import { ownerOf, plainEnvironment, renewRuntimeFolder } from "./part.ts";
import { isAutoctl, variablesOf, wordsOf } from "./process-words.ts";
import type { ProcessSetting } from "./process-words.ts";
import {
  mainOf,
  ownPrograms,
  processesOf,
  signalProcess,
  signalUntil,
  startOf,
} from "./processes.ts";
import type { ProcessSeen } from "./processes.ts";

export interface StartedPart {
  readonly part: string;
  readonly pid: number;
  readonly startedAt: string;
}

/** Where a part's output goes. */
function outputFile(part: Part): string {
  return join(part.folder, "output.log");
}

const pidFiles: Readonly<Record<PartKind, readonly string[]>> = {
  postgres: ["data/postmaster.pid", ".s.PGSQL.5432.lock"],
  pooler: ["pgbouncer.pid"],
  edge: ["pgbouncer.pid"],
  router: [],
  health: [],
  gate: [],
  monitor: ["data/postmaster.pid", ".s.PGSQL.5432.lock"],
  registry: [],
  resolver: [],
};

/** Two seconds in which a part is not seen: it has ended. */
const emptyLooksMost = 100;

/** A process that waits for its disk hears of a signal only afterwards. */
export const signalDeadlineMs = 60_000;

/**
 * Starts the program of a part that has no process; does not wait until it answers (`awaitPart` does).
 * @throws PartError when the program cannot be started
 */
export async function launchPart(driver: ProcessSetting, part: Part): Promise<StartedPart> {
  const [program, ...words] = wordsOf(driver, part);
  const variables = await variablesOf(driver.model, part);
  const owner = ownerOf(driver.place, part);
  // Whoever calls this knows that no process of the part is left. The pid in the file may still
  // exist: as another process by now, or as a zombie where nobody collects them (containers).
  for (const file of pidFiles[part.kind]) await rm(join(part.folder, file), { force: true });
  if (isAutoctl(driver.model, part)) await renewRuntimeFolder(driver.place, part);
  const output = await open(outputFile(part), "a", 0o600);
  try {
    if (owner !== undefined) await output.chown(owner.uid, owner.gid);
    const child = spawn(program, words, {
      cwd: part.folder,
      detached: true,
      env: { ...plainEnvironment, ...variables },
      stdio: ["ignore", output.fd, output.fd],
      ...(owner === undefined ? {} : { gid: owner.gid }),
      // Our sidecars read the checkout and the lab's secrets, so they stay the user that we are.
      ...(owner === undefined || part.kind in ownPrograms ? {} : { uid: owner.uid }),
    });
    await once(child, "spawn");
    child.unref();
    const pid = child.pid ?? -1;
    return { part: part.name, pid, startedAt: startOf(pid) ?? "" };
  } catch (cause) {
    throw new PartError(part.name, `cannot start ${program}: ${(cause as Error).message}`, cause);
  } finally {
    await output.close();
  }
}

/**
 * Waits until a started part answers where it listens.
 * @throws PartError when its processes end, with what it said last, or it does not answer in time
 */
export async function awaitPart(
  part: Part,
  options: { deadlineMs?: number; signal?: AbortSignal } = {},
): Promise<void> {
  const deadlineMs = options.deadlineMs ?? startDeadlineMs;
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const ended = { itself: false };
  let emptyLooks = 0;
  try {
    await eventually(part.name, { deadlineMs, intervalMs: 20, ...signal }, async () => {
      if (processesSeen(part).length > 0) {
        emptyLooks = 0;
        return (await partAnswers(part)) ? true : undefined;
      }
      // For a moment within its execve(2), which may wait for a disk, root alone may read a program.
      emptyLooks += 1;
      ended.itself = emptyLooks > emptyLooksMost;
      return ended.itself ? true : undefined;
    });
  } catch (cause) {
    if (!(cause instanceof DeadlineError)) throw cause;
    const said = await lastWords(part);
    throw new PartError(part.name, `runs, and does not answer in ${deadlineMs} ms: ${said}`, cause);
  }
  if (ended.itself) {
    throw new PartError(part.name, `ended by itself: ${await lastWords(part)}`);
  }
}

/** Stops a part in good order and waits until all its processes are gone. */
export async function stopPart(part: Part, signal?: AbortSignal): Promise<void> {
  const order = stopOrder(part.kind);
  const tell = (): true | undefined => {
    const main = mainOf(processesSeen(part));
    if (main !== undefined) signalProcess(main.pid, order.signal);
    return main === undefined ? true : undefined;
  };
  tell();
  await eventually(
    `stop of ${part.name}`,
    { deadlineMs: stopDeadlineMs, intervalMs: 20, ...(signal === undefined ? {} : { signal }) },
    () => (order.again ? tell() : processesSeen(part).length === 0 || undefined),
  );
}

/** Kills every process of the parts (SIGKILL) and waits until they are gone. */
export async function killParts(parts: readonly Part[]): Promise<void> {
  await signalUntil(`kill of ${namesOf(parts)}`, parts, {
    signal: "SIGKILL",
    needsIt: () => true,
    deadlineMs: signalDeadlineMs,
  });
}

/** Freezes every process of the parts (SIGSTOP). */
export async function freezeParts(parts: readonly Part[]): Promise<void> {
  await signalUntil(`freeze of ${namesOf(parts)}`, parts, {
    signal: "SIGSTOP",
    needsIt: (seen) => !seen.stopped,
    deadlineMs: signalDeadlineMs,
  });
}

/** Lets every process of the parts go on (SIGCONT). */
export async function thawParts(parts: readonly Part[]): Promise<void> {
  await signalUntil(`thaw of ${namesOf(parts)}`, parts, {
    signal: "SIGCONT",
    needsIt: (seen) => seen.stopped,
    deadlineMs: signalDeadlineMs,
  });
}

function processesSeen(part: Part): ProcessSeen[] {
  return processesOf([part]).get(part.name) ?? [];
}

function namesOf(parts: readonly Part[]): string {
  return parts.map((one) => one.name).join(", ");
}

/** The line of a part's output that says best why it ended. */
async function lastWords(part: Part): Promise<string> {
  const text = await readFile(outputFile(part), "utf8").catch(() => "");
  return `${tellingLine(text)} (see ${outputFile(part)})`;
}
