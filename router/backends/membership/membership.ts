/**
 * Which addresses a target has: what stands, and what a lookup's outcome makes of it. New addresses
 * are in at once; what goes, goes by the rules of the target. Pure: times are milliseconds of one
 * clock that never goes back.
 */
import { addressKey } from "../lookup/merge.ts";
import { afterFailed } from "./membership-failure.ts";
import { compareMembers, earliest, told } from "./membership-state.ts";
import type { Happening, Member, Membership, Step } from "./membership-state.ts";
import type { Found, FoundAddress, Outcome } from "../lookup/outcome.ts";
import type { TargetSettings } from "../target.ts";

/** What the outcome of a lookup at `nowMs` makes of what stands. */
export function step(
  state: Membership,
  outcome: Outcome,
  settings: TargetSettings,
  nowMs: number,
): Step {
  return outcome.kind === "found"
    ? afterFound(state, outcome, settings, nowMs)
    : afterFailed(state, outcome, settings, nowMs);
}

const keyOf = ({ ip, port }: FoundAddress): string => addressKey(ip, port);
const ipsOf = (members: readonly FoundAddress[]): string[] => members.map(({ ip }) => ip);

function afterFound(
  state: Membership,
  found: Found,
  settings: TargetSettings,
  nowMs: number,
): Step {
  const answered = new Set(found.addresses.map(keyOf));
  const absent = state.members
    .filter((member) => !answered.has(keyOf(member)))
    .map((member) => (found.unknown.includes(member.family) ? member : missed(member, nowMs)));
  // Of a family that is not answered its age alone is known.
  const isUnasked = (member: Member): boolean => found.unknown.includes(member.family);
  const old = absent.filter((one) => isUnasked(one) && isTooOld(one, settings, nowMs));
  const leaving = absent.filter((one) => !isUnasked(one) && isOver(one, settings, nowMs));
  const kept = absent.filter((member) => !leaving.includes(member) && !old.includes(member));
  const spared = spare(state, leaving, found.addresses.length + kept.length, settings);
  const present = found.addresses.map((one) => {
    return { ...one, missing: undefined, seenAtMs: nowMs };
  });
  const members = [...present, ...kept, ...spared].toSorted(compareMembers);
  const reason = old.length > 0 && leaving.length === spared.length ? "max-stale" : undefined;
  const after = told({ ...state, members }, settings, reason);
  const next: Membership = {
    ...after.state,
    resolvedAtMs: nowMs,
    failures: 0,
    failingSinceMs: undefined,
    byKind: {},
    lastKind: undefined,
    isStale: false,
  };
  const { ttlSeconds, source, unknown } = found;
  const facts = { ips: ipsOf(members), ttlSeconds, source, generation: next.generation };
  const held = ipsOf([...kept, ...spared]);
  const resolved = { ...facts, answered: ipsOf(found.addresses), held, unknown };
  return {
    ...after,
    state: next,
    events: [
      { type: "dns-resolved", data: { ...resolved, changed: after.changed } },
      ...recovery(state, nowMs),
      ...after.events.map(({ type, data }) => ({ type, data: { ...data, ttlSeconds, source } })),
    ],
    dueMs: earliest([
      ...holdDownEnds(kept, settings),
      ...(settings.maxStaleMs === 0 ? [] : kept.filter(isUnasked)).map(
        ({ seenAtMs }) => seenAtMs + settings.maxStaleMs,
      ),
    ]),
  };
}

function recovery(state: Membership, nowMs: number): Happening[] {
  if (state.failures === 0 && !state.isStale) return [];
  const downMs = nowMs - (state.failingSinceMs ?? nowMs);
  return [{ type: "dns-recovered", data: { failures: state.failures, downMs } }];
}

function missed(member: Member, nowMs: number): Member {
  const { times, sinceMs } = member.missing ?? { times: 0, sinceMs: nowMs };
  return { ...member, missing: { times: times + 1, sinceMs } };
}

/** Whether a missing address has been missing for long enough. */
function isOver({ missing }: Member, { holdDown }: TargetSettings, nowMs: number): boolean {
  if (missing === undefined) return false;
  const { times, ms } = holdDown;
  if (times === undefined && ms === undefined) return true;
  return (
    (times !== undefined && missing.times >= times) ||
    (ms !== undefined && nowMs - missing.sinceMs >= ms)
  );
}

function isTooOld({ seenAtMs }: Member, { maxStaleMs }: TargetSettings, nowMs: number): boolean {
  return maxStaleMs > 0 && nowMs - seenAtMs >= maxStaleMs;
}

function holdDownEnds(members: readonly Member[], { holdDown }: TargetSettings): number[] {
  const { ms } = holdDown;
  if (ms === undefined) return [];
  return members.flatMap(({ missing }) => missing?.sinceMs ?? []).map((at) => at + ms);
}

/** Of those that would leave, as many as the floor needs beside what stays: the latest to go missing. */
function spare(
  state: Membership,
  leaving: readonly Member[],
  staying: number,
  { minHealthy }: TargetSettings,
): readonly Member[] {
  const floor = Math.ceil(state.members.length * minHealthy);
  const since = ({ missing }: Member): number => missing?.sinceMs ?? 0;
  return leaving
    .toSorted((one, other) => since(other) - since(one) || compareMembers(one, other))
    .slice(0, Math.max(0, floor - staying));
}
