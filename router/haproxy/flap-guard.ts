/**
 * How quickly a router believes that a member changed: the presets, which one a member gets, and
 * what follows from the numbers for a change of primary. HAProxy configuration manual, 5.2 "inter",
 * "fall", "rise".
 */
import type { FlapGuard, Member, Router } from "../../config/schema.ts";

/** Times in milliseconds. */
export const flapGuardPresets = {
  /** Same site: a member is down 0.3 to 1.3 s after it says so. */
  local: { inter: 1000, fastinter: 300, downinter: 500, rise: 2, fall: 2, timeout: 1000 },
  /** Over a WAN: three checks a second apart must fail, so that a one-second blip cuts nothing. */
  remote: { inter: 1000, fastinter: 1000, downinter: 1000, rise: 3, fall: 3, timeout: 2000 },
} as const satisfies Readonly<Record<string, FlapGuard>>;

/**
 * The flap guard of `member` as `router` sees it: the member's own, or a preset. `auto` is local
 * where the member names no site or the router's, else remote.
 */
export function flapGuardOf(
  member: Pick<Member, "flapGuard" | "site">,
  router: Pick<Router, "site">,
): FlapGuard {
  if (typeof member.flapGuard === "object") return member.flapGuard;
  if (member.flapGuard !== "auto") return flapGuardPresets[member.flapGuard];
  const near = member.site === undefined || member.site === router.site;
  return near ? flapGuardPresets.local : flapGuardPresets.remote;
}

export interface GuardTimes {
  /** From "not primary" to DOWN, for a member that answers its checks. */
  readonly downMinMs: number;
  readonly downMaxMs: number;
  /** From the last answer to DOWN, for a member that says nothing (frozen), at the most. */
  readonly silentMaxMs: number;
  /** From "primary" to UP, for a member that was DOWN. */
  readonly upMinMs: number;
  readonly upMaxMs: number;
}

/**
 * What a guard's numbers mean. HAProxy waits `inter` between checks while a server is fully up,
 * `downinter` while it is fully down and `fastinter` in between; the wait starts when a check ends.
 * `answerMs` is how long a check takes that is answered. One that connects and gets no answer takes
 * the longer of `inter` and `timeout` (measured on 2.6, 3.0 and 3.2: a shorter timeout than inter
 * has no effect), and one that cannot connect at most `inter`.
 */
export function guardTimes(guard: FlapGuard, answerMs: number): GuardTimes {
  const falling = (guard.fall - 1) * guard.fastinter;
  const rising = (guard.rise - 1) * guard.fastinter;
  return {
    downMinMs: falling,
    downMaxMs: guard.inter + falling + (guard.fall + 1) * answerMs,
    silentMaxMs:
      guard.inter + answerMs + falling + guard.fall * Math.max(guard.inter, guard.timeout),
    upMinMs: rising,
    upMaxMs: guard.downinter + rising + (guard.rise + 1) * answerMs,
  };
}

/**
 * The longest time in milliseconds that a router can hold both members for primary, when
 * `promoted` says "primary" `lateMs` after `demoted` stopped saying it. While it lasts the
 * split-brain guard refuses new connections. 0 means that down is always quicker than up.
 */
export function overlapMs(demoted: GuardTimes, promoted: GuardTimes, lateMs: number): number {
  return Math.max(0, demoted.downMaxMs - (lateMs + promoted.upMinMs));
}

/** How long a check that is answered takes, for a warning: generous for a WAN. Milliseconds. */
const usualAnswerMs = 100;

/**
 * Warnings of members whose own flap guard makes the overlap at a change of primary, from one of
 * them to another, longer than `auto` would: a sentence each, naming the place in the environment.
 */
export function flapGuardWarnings(
  members: readonly Pick<Member, "flapGuard" | "site" | "name">[],
  router: Pick<Router, "site">,
): string[] {
  const times = (member: Pick<Member, "flapGuard" | "site">): GuardTimes =>
    guardTimes(flapGuardOf(member, router), usualAnswerMs);
  const preset = (member: Pick<Member, "site">): GuardTimes =>
    times({ ...member, flapGuard: "auto" });
  const isOwn = (member: Pick<Member, "flapGuard">): boolean =>
    typeof member.flapGuard === "object";
  return members.flatMap((from, index) =>
    members.flatMap((to, position) => {
      if (from === to || !(isOwn(from) || isOwn(to))) return [];
      const own = overlapMs(times(from), times(to), 0);
      const usual = overlapMs(preset(from), preset(to), 0);
      if (own <= usual) return [];
      const place = `members[${isOwn(from) ? index : position}].flapGuard`;
      return [
        `${place}: from ${from.name} to ${to.name}, down is not quicker than up: both may count as primary for ${own} ms, and new connections are refused that long (auto: ${usual} ms)`,
      ];
    }),
  );
}
