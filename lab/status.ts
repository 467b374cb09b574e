/** How the parts of a lab are. */
import type { Address } from "../kit/address.ts";
import { mainOf, processesOf } from "./driver/processes.ts";
import type { LabModel } from "./model.ts";
import type { LabState } from "./state.ts";

export type PartState = "running" | "stopped" | "frozen" | "crashed";

export interface PartStatus {
  readonly part: string;
  readonly state: PartState;
  /** Its main process; null when there is none. */
  readonly pid: number | null;
  readonly address: Address;
}

/** Looks at every part of the lab. */
export function partStates(model: LabModel, state: LabState): PartStatus[] {
  const seen = processesOf(model.parts);
  return model.parts.map((part) => {
    const processes = seen.get(part.name) ?? [];
    const [address] = part.listens;
    if (address === undefined) throw new TypeError(`${part.name} listens nowhere`);
    const main = mainOf(processes);
    return {
      part: part.name,
      state: stateOf(part.name, processes, main?.pid, state),
      pid: main?.pid ?? null,
      address,
    };
  });
}

function stateOf(
  part: string,
  processes: readonly { pid: number; stopped: boolean }[],
  main: number | undefined,
  state: LabState,
): PartState {
  if (processes.length === 0) return state.stopped.includes(part) ? "stopped" : "crashed";
  if (processes.every((one) => one.stopped)) return "frozen";
  // Children that outlive the process they came from do no work for anyone.
  const recorded = state.processes[part];
  return recorded === undefined || recorded.pid === main ? "running" : "crashed";
}
