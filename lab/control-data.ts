/** What pg_controldata says about a data directory whose Postgres does not run. */
import { parseLsn } from "../kit/lsn.ts";
import type { Lsn } from "../kit/lsn.ts";

export interface ControlData {
  readonly systemIdentifier: string;
  /** Such as `shut down`, `in production`, `shut down in recovery`. */
  readonly state: string;
  /** Where the record of the latest checkpoint starts. */
  readonly checkpoint: Lsn;
  readonly timeline: number;
}

/** The output is not what pg_controldata prints (in the C locale). */
export class ControlDataError extends Error {
  override readonly name = "ControlDataError";
  readonly code = "ERR_CONTROL_DATA";
}

/**
 * Reads the output of pg_controldata, run with LC_ALL=C (its labels are translated otherwise).
 * @throws ControlDataError naming the line that is missing or wrong
 */
export function parseControlData(text: string): ControlData {
  const lines = text.split("\n").map((line) => line.split(/:\s+/, 2));
  const value = (label: string, pattern: RegExp): string => {
    const found = lines.find(([name]) => name === label)?.[1]?.trim() ?? "";
    if (pattern.test(found)) return found;
    throw new ControlDataError(`pg_controldata: ${label}: got ${JSON.stringify(found)}`);
  };
  return {
    systemIdentifier: value("Database system identifier", /^[0-9]{1,20}$/),
    state: value("Database cluster state", /^[a-z][a-z ]+$/),
    checkpoint: parseLsn(value("Latest checkpoint location", /^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/)),
    timeline: Number(value("Latest checkpoint's TimeLineID", /^[0-9]{1,10}$/)),
  };
}

/** What the standby that is to be promoted says about itself. */
export interface StandbyPosition {
  readonly systemIdentifier: string;
  readonly replayed: Lsn;
}

/**
 * Why `standby` must not be promoted yet, given the old primary's control data; undefined when the
 * old primary is shut down and the standby has replayed its last record. The checkpoint's location
 * is where that record starts, so to have replayed it is to be strictly past it.
 */
export function whyNotPromote(old: ControlData, standby: StandbyPosition): string | undefined {
  if (old.state !== "shut down") return `the old primary's control file says ${old.state}`;
  if (old.systemIdentifier !== standby.systemIdentifier) {
    return `the system identifiers differ: ${old.systemIdentifier} and ${standby.systemIdentifier}`;
  }
  return standby.replayed > old.checkpoint
    ? undefined
    : "the standby has not replayed the shutdown checkpoint";
}
