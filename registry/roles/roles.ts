/**
 * From what a role source saw to the roles of a cluster. A primary is published only where exactly one
 * member is known to take writes; while a source is silent everything stays, and the view says so.
 * Pure.
 */
import type { RolesView } from "../contract.ts";
import { monitorRoles } from "./monitor-roles.ts";
import type { Observation, RoleContext } from "./observation.ts";
import { probeRoles } from "./probe-roles.ts";

/** A view goes over a channel of 8,000 bytes, so that it has a bound. */
const reasonsMax = 16;
const reasonLengthMax = 240;

/** The roles of a cluster that nobody has looked at yet. */
export const unknownRoles: RolesView = {
  outcome: "unknown",
  reasons: ["not looked yet"],
  primary: null,
  standbys: [],
  seen_at: null,
};

/** The roles as they are to be published after this look. */
export function roles(seen: Observation, context: RoleContext): RolesView {
  if (seen.kind === "silent") return silentView(seen.reason, context);
  if (seen.kind === "none") {
    const reasons = ["no role source is set: members have their own names, and no role has one"];
    return { ...unknownRoles, reasons: bounded(reasons, context), seen_at: seen.at };
  }
  const judged = seen.kind === "probe" ? probeRoles(seen, context) : monitorRoles(seen, context);
  if ("silent" in judged) return silentView(judged.silent, context);
  return { ...judged, reasons: bounded(judged.reasons, context), seen_at: seen.at };
}

/** True where two views say the same, whenever that was seen. */
export function saysTheSame(one: RolesView, other: RolesView): boolean {
  return comparable(one) === comparable(other);
}

function comparable({ outcome, reasons, primary, standbys, writers, system }: RolesView): string {
  return JSON.stringify([outcome, reasons, primary, standbys, writers ?? [], system ?? null]);
}

function silentView(reason: string, context: RoleContext): RolesView {
  const { before, members } = context;
  return {
    ...before,
    outcome: "silent",
    reasons: bounded([reason], context),
    // Who is no member any more has no record to keep.
    primary: before.primary !== null && members.includes(before.primary) ? before.primary : null,
    standbys: before.standbys.filter((name) => members.includes(name)),
  };
}

function bounded(found: readonly string[], { leftOut }: RoleContext): string[] {
  const reasons = [...found, ...leftOut];
  const kept = reasons.length > reasonsMax ? reasons.slice(0, reasonsMax - 1) : [...reasons];
  const more = reasons.length - kept.length;
  const all = more > 0 ? [...kept, `and ${more} more`] : kept;
  return all.map((one) =>
    one.length > reasonLengthMax ? `${one.slice(0, reasonLengthMax - 1)}…` : one,
  );
}
