/**
 * What a target has: its members, what was last told of them, and the failures since the last good
 * answer. Pure: times are milliseconds of one clock that never goes back.
 */
import type { FoundAddress } from "../lookup/outcome.ts";
import { areSameTargets } from "../target.ts";
import type { FailureKind, TargetSettings, WeightedTarget } from "../target.ts";
import { compareShares, splitWeight } from "./weights.ts";

/** So often, and since when. */
export interface Count {
  readonly times: number;
  readonly sinceMs: number;
}

export interface Member extends FoundAddress {
  /** In how many answers in a row it was not; undefined while it is there. */
  readonly missing: Count | undefined;
  /** When an answer had it last. */
  readonly seenAtMs: number;
}

export interface Membership {
  /** Sorted as answers are. */
  readonly members: readonly Member[];
  /** What was last told of them; undefined before the first time. */
  readonly targets: readonly WeightedTarget[] | undefined;
  /** How often the targets have changed. */
  readonly generation: number;
  readonly resolvedAtMs: number | undefined;
  /** Failures in a row, and how often each kind came among them. */
  readonly failures: number;
  readonly failingSinceMs: number | undefined;
  readonly byKind: Partial<Record<FailureKind, Count>>;
  /** The kind of the last of them. */
  readonly lastKind?: FailureKind | undefined;
  /** What stands is older than it should be: the last lookup failed, or it comes from a file. */
  readonly isStale: boolean;
}

export type BackendEventType =
  | "dns-resolved"
  | "dns-changed"
  | "dns-failed"
  | "dns-stale"
  | "dns-recovered";

/** What happened in one step, for those who subscribe. */
export interface Happening {
  readonly type: BackendEventType;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Step {
  readonly state: Membership;
  readonly targets: readonly WeightedTarget[];
  /** The targets are not those of the step before. */
  readonly changed: boolean;
  readonly events: readonly Happening[];
  /** When the same outcome would change the targets by the time alone; undefined: never. */
  readonly dueMs: number | undefined;
}

/** What a target has before anything is known of it. */
export const unknownYet: Membership = {
  members: [],
  targets: undefined,
  generation: 0,
  resolvedAtMs: undefined,
  failures: 0,
  failingSinceMs: undefined,
  byKind: {},
  isStale: false,
};

/** What a target has that starts with addresses of an earlier time. */
export function remembered(
  addresses: readonly FoundAddress[],
  resolvedAtMs: number,
  before: Membership,
): Membership {
  const members = addresses.map((one) => ({ ...one, missing: undefined, seenAtMs: resolvedAtMs }));
  return { ...unknownYet, generation: before.generation, members, resolvedAtMs, isStale: true };
}

/** Why addresses came or went though no answer says so. */
export type DropReason = FailureKind | "max-stale" | "last-known";

/** A step without what the outcome alone says. */
export type Telling = Pick<Step, "state" | "targets" | "changed" | "events">;

/** Makes targets of the members of `state`, and says whether they are others than were told last. */
export function told(state: Membership, settings: TargetSettings, reason?: DropReason): Telling {
  const targets = targetsOf(state.members, settings);
  const before = state.targets;
  if (before !== undefined && areSameTargets(before, targets)) {
    return { state, targets: before, changed: false, events: [] };
  }
  const [old, now] = [before ?? [], targets].map((all) => all.map(({ ip }) => ip)) as [
    string[],
    string[],
  ];
  const data = {
    old,
    new: now,
    added: now.filter((ip) => !old.includes(ip)),
    removed: old.filter((ip) => !now.includes(ip)),
    targets,
    generation: state.generation + 1,
    reason: reason ?? "answer",
  };
  const next = { ...state, targets, generation: state.generation + 1 };
  return { state: next, targets, changed: true, events: [{ type: "dns-changed", data }] };
}

function targetsOf(members: readonly Member[], settings: TargetSettings): WeightedTarget[] {
  const { healthCheck, weight: total } = settings;
  const shares = members.map(({ ip, port, share }) => ({
    ip,
    // Members of a name without SRV records have the port that the target was given.
    port: port ?? settings.port ?? 0,
    share,
  }));
  return splitWeight(total, shares).map(({ address: { ip, port }, weight }) => ({
    ip,
    port,
    weight,
    ...(healthCheck === undefined ? {} : { healthCheck }),
  }));
}

/** The order of members: by address, then port. */
export function compareMembers(left: Member, right: Member): number {
  return compareShares(
    { ip: left.ip, port: left.port ?? 0 },
    { ip: right.ip, port: right.port ?? 0 },
  );
}

/** The first of some times; undefined when there is none. */
export function earliest(times: readonly number[]): number | undefined {
  return times.length === 0 ? undefined : Math.min(...times);
}
