/**
 * What a failed lookup makes of a target: its addresses stand, unless the rules of the target for
 * this kind of failure, or their age, say otherwise. Pure.
 */
import { earliest, told } from "./membership-state.ts";
import type { Count, DropReason, Happening, Membership, Step } from "./membership-state.ts";
import type { Failed } from "../lookup/outcome.ts";
import type { FailureKind, FailurePolicy, TargetSettings } from "../target.ts";

/** What a failure at `nowMs` makes of what stands. */
export function afterFailed(
  state: Membership,
  failed: Failed,
  settings: TargetSettings,
  nowMs: number,
): Step {
  const { times, sinceMs } = state.byKind[failed.failure] ?? { times: 0, sinceMs: nowMs };
  const counted: Membership = {
    ...state,
    failures: state.failures + 1,
    failingSinceMs: state.failingSinceMs ?? nowMs,
    lastKind: failed.failure,
    byKind: { ...state.byKind, [failed.failure]: { times: times + 1, sinceMs } },
  };
  const due = dropReason(counted, failed.failure, settings, nowMs);
  const reason = state.members.length === 0 ? undefined : due;
  const members = reason === undefined ? state.members : [];
  // Of a name that never had an address nothing is told: whoever registers it decides that.
  const after =
    state.targets === undefined && members.length === 0
      ? { state: counted, targets: [], changed: false, events: [] }
      : told({ ...counted, members }, settings, reason);
  const isStale = members.length > 0;
  const ips = members.map(({ ip }) => ip);
  const { failure, code, message, authoritative } = failed;
  const facts = { failure, code, error: message, authoritative };
  const { failures } = counted;
  const before = state.lastKind;
  const isOther = before !== undefined && before !== failure;
  const fate = { usingLastKnown: isStale, ips, drops: due !== undefined };
  const asked = { ...facts, failures, ...fate, ...(isOther ? { before } : {}) };
  const stale: Happening[] =
    isStale && !state.isStale
      ? [{ type: "dns-stale", data: { ...facts, ips, ageMs: ageOf(state, nowMs) } }]
      : [];
  return {
    ...after,
    state: { ...after.state, isStale },
    events: [{ type: "dns-failed", data: asked }, ...stale, ...after.events],
    dueMs: isStale ? nextDrop(counted, failure, settings) : undefined,
  };
}

/** How old the last good answer is; undefined when there was none. */
function ageOf({ resolvedAtMs }: Membership, nowMs: number): number | undefined {
  return resolvedAtMs === undefined ? undefined : nowMs - resolvedAtMs;
}

function dropReason(
  state: Membership,
  kind: FailureKind,
  settings: TargetSettings,
  nowMs: number,
): DropReason | undefined {
  const age = ageOf(state, nowMs);
  if (settings.maxStaleMs > 0 && age !== undefined && age >= settings.maxStaleMs) {
    return "max-stale";
  }
  // A name that was said not to exist and is silent since is not said not to exist any longer.
  const count = state.byKind[kind];
  return count !== undefined && isDue(settings.policies[kind], count, nowMs) ? kind : undefined;
}

function isDue(policy: FailurePolicy, count: Count, nowMs: number): boolean {
  if (typeof policy === "string") return policy === "drop";
  const { times, seconds } = policy.dropAfter;
  return (
    (times !== undefined && count.times >= times) ||
    (seconds !== undefined && nowMs - count.sinceMs >= seconds * 1000)
  );
}

/** When the same failure once more would drop what stands, by the time alone. */
function nextDrop(
  { resolvedAtMs, byKind }: Membership,
  kind: FailureKind,
  { maxStaleMs, policies }: TargetSettings,
): number | undefined {
  const policy = policies[kind];
  const seconds = typeof policy === "string" ? undefined : policy.dropAfter.seconds;
  const since = byKind[kind]?.sinceMs;
  const ends: number[] = [];
  if (maxStaleMs > 0 && resolvedAtMs !== undefined) ends.push(resolvedAtMs + maxStaleMs);
  if (seconds !== undefined && since !== undefined) ends.push(since + seconds * 1000);
  return earliest(ends);
}
