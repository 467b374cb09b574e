/** How the parts of a lab of processes are, as /proc and their own files tell. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readControlFile } from "../../router/postgres/control/control-file.ts";
import { isCleanStop } from "../../router/postgres/control/judge.ts";
import type { LabModel, Part, PartKind } from "../model.ts";
import type { LabState } from "../state.ts";
import type { PartState, PartStatus } from "./driver.ts";
import { isAutoctl } from "./process-words.ts";
import { mainOf, processesOf } from "./processes.ts";

/** Looks at every part of the lab. */
export function processStates(model: LabModel, state: LabState): PartStatus[] {
  const seen = processesOf(model.parts);
  return model.parts.map((part) => {
    const processes = seen.get(part.name) ?? [];
    const [address] = part.listens;
    if (address === undefined) throw new TypeError(`${part.name} listens nowhere`);
    const main = mainOf(processes);
    return {
      part: part.name,
      state: stateOf(part, processes, main?.pid, state, isAutoctl(model, part)),
      pid: main?.pid ?? null,
      address,
    };
  });
}

function stateOf(
  part: Part,
  processes: readonly { pid: number; stopped: boolean }[],
  main: number | undefined,
  state: LabState,
  isKept: boolean,
): PartState {
  if (processes.length === 0) {
    return state.stopped.includes(part.name) || wasShutDown(part) ? "stopped" : "crashed";
  }
  if (processes.every((one) => one.stopped)) return "frozen";
  // Children that outlive the process they came from do no work for anyone.
  const recorded = state.processes[part.name];
  const isMain = recorded === undefined || recorded.pid === main;
  // Nor does a Postgres that has lost its keeper.
  if (!isKept && pidInFile(part) === main) return "running";
  return isMain ? "running" : "crashed";
}

/** Where a program writes its own pid, as far as it does; the lab is not the only one to start it. */
const pidFiles: Readonly<Partial<Record<PartKind, string>>> = {
  postgres: "data/postmaster.pid",
  pooler: "pgbouncer.pid",
  edge: "pgbouncer.pid",
};

function pidInFile(part: Part): number | undefined {
  const file = pidFiles[part.kind];
  const text = file === undefined ? undefined : readNow(join(part.folder, file));
  return text === undefined ? undefined : Number.parseInt(text.toString("latin1"), 10);
}

/** A Postgres that was not stopped by the lab says itself whether it was stopped in good order. */
function wasShutDown(part: Part): boolean {
  if (part.kind !== "postgres" && part.kind !== "monitor") return false;
  const bytes = readNow(join(part.folder, "data/global/pg_control"));
  const read = bytes === undefined ? undefined : readControlFile(bytes);
  return read !== undefined && "control" in read && isCleanStop(read.control);
}

function readNow(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
