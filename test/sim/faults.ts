/**
 * What goes wrong in one run, decided by chance beforehand: where the tool dies or freezes, what
 * happens to the cluster at which act, and how often acts and looks lie.
 */
import type { Chance } from "./random.ts";

/** Where a tool can be struck: around each act, and around each record that it appends. */
export type Moment = "before" | "during" | "after";

export interface Strike {
  /** The name of an act, "journal" for the next record, or a record such as "started stop". */
  readonly act: string;
  readonly moment: Moment;
  readonly what:
    | "die"
    | "freeze"
    | "kill old"
    | "kill standby"
    | "cut link"
    | "lose walsenders"
    | "graft"
    | "hide old"
    | "hide standby"
    | "hide router"
    | "lose lock"
    | "interrupt";
  /** How long it is hidden; by chance where not given. */
  readonly forMs?: number;
}

export interface Faults {
  readonly strikes: readonly Strike[];
  /** Chance that an act fails before it does anything, is done and fails, or hangs. */
  readonly lie: number;
  /** Chance that a look shows what was true up to 300 ms ago. */
  readonly stale: number;
  /** A member that this tool can never reach. */
  readonly unseen?: string;
}

export const noFaults: Faults = { strikes: [], lie: 0, stale: 0 };

const acts = [
  "journal",
  "recordIntent",
  "checkpoint",
  "createSlot",
  "warmChannels",
  "arm",
  "holdClients",
  "divertFrom",
  "stopOld",
  "promote",
  "verifyWrite",
  "reconnectPooler",
  "route",
  "releaseClients",
  "startMember",
  "recordOutcome",
] as const;

const backActs = ["stopStandby", "disarm", "removePromoteFile", "startMember", "undivert"] as const;

const hardships = [
  "kill old",
  "kill standby",
  "cut link",
  "lose walsenders",
  "graft",
  "hide old",
  "hide standby",
  "hide router",
  "lose lock",
  "interrupt",
] as const;

/** What one tool meets; `back` when it undoes. */
export function drawFaults(chance: Chance, back: boolean): Faults {
  const strikes: Strike[] = [];
  const where = (): Omit<Strike, "what"> => ({
    act: back
      ? chance.pick(backActs)
      : chance.hit(0.4)
        ? chance.pick(["stopOld", "promote"])
        : chance.pick(acts),
    moment: chance.pick(["before", "during", "after"]),
  });
  if (chance.hit(0.6)) strikes.push({ ...where(), what: chance.hit(0.7) ? "die" : "freeze" });
  if (chance.hit(0.4)) strikes.push({ ...where(), what: chance.pick(hardships) });
  const lies = chance.hit(0.4);
  return { strikes, lie: lies ? 0.06 : 0, stale: chance.hit(0.3) ? 0.1 : 0 };
}

/** Thrown by an act that does not end before its deadline. */
export const hang = new Error("hangs");
