/**
 * What a finder remembers between searches: which address passed last for one target, and which
 * addresses failed a moment ago. A penalty moves an address to the end of the order and no more.
 */
import type { AttemptReason } from "../errors.ts";

export interface Winner<A> {
  readonly address: A;
  /** Which pass it passed, 0 the first. */
  readonly pass: number;
  /** How long its attempt took, in milliseconds. */
  readonly ms: number;
  readonly at: number;
}

export interface Memory<A> {
  /** What passed last for this target. Two answers are the same object until something changes. */
  winner(target: string): Winner<A> | undefined;
  /** The address passed: it is the winner, which is returned, and bears no penalty. */
  remember(target: string, winner: Omit<Winner<A>, "at">): Winner<A>;
  /** What an attempt failed of, for this target. */
  failed(target: string, key: string, reason: AttemptReason): void;
  /** It is not the winner any more, of this target or, without one, of any. */
  forget(key: string, target?: string): void;
  /** It does not answer: 1 s of penalty, then twice as long each time, 30 s at most. */
  penalise(key: string): void;
  isPenalised(key: string): boolean;
}

export interface MemoryOptions<A> {
  readonly now: () => number;
  /** What tells two addresses apart. */
  readonly keyOf: (address: A) => string;
}

interface Consequence {
  /** It fails as a dead server does: it is tried last for a while, and is nobody's best guess. */
  readonly isDead: boolean;
  /** It is still who it was, and has no room or is not up yet. */
  readonly keepsPlace: boolean;
}

const dead: Consequence = { isDead: true, keepsPlace: false };
const other: Consequence = { isDead: false, keepsPlace: false };
const busy: Consequence = { isDead: false, keepsPlace: true };

const consequences: Readonly<Record<AttemptReason, Consequence>> = {
  dns: other,
  refused: dead,
  unreachable: dead,
  timeout: dead,
  tls: dead,
  closed: dead,
  protocol: dead,
  authentication: other,
  role: other,
  server: other,
  starting: busy,
  full: busy,
};

const firstPenaltyMs = 1000;
const longestPenaltyMs = 30_000;
/** Names may give new addresses for ever; what is forgotten first is what failed first. */
const mostPenalties = 1000;

interface Penalty {
  readonly ms: number;
  readonly until: number;
}

/** An empty memory; it holds no timer. */
export function createMemory<A>({ now, keyOf }: MemoryOptions<A>): Memory<A> {
  const winners = new Map<string, Winner<A>>();
  const penalties = new Map<string, Penalty>();

  const forget = (key: string, only?: string): void => {
    for (const [target, { address }] of winners) {
      if (keyOf(address) === key && (only ?? target) === target) winners.delete(target);
    }
  };
  const penalise = (key: string): void => {
    const before = penalties.get(key);
    if (before !== undefined && before.until > now()) return;
    // An old penalty that was never redeemed says that the address is still dead.
    const ms = before === undefined ? firstPenaltyMs : Math.min(before.ms * 2, longestPenaltyMs);
    penalties.delete(key);
    penalties.set(key, { ms, until: now() + ms });
    const [oldest] = penalties.keys();
    if (penalties.size > mostPenalties && oldest !== undefined) penalties.delete(oldest);
  };
  return {
    forget,
    penalise,
    winner: (target) => winners.get(target),
    remember: (target, winner) => {
      penalties.delete(keyOf(winner.address));
      const before = winners.get(target);
      const isSame =
        before !== undefined &&
        keyOf(before.address) === keyOf(winner.address) &&
        before.pass === winner.pass;
      if (isSame) return before;
      const after = { ...winner, at: now() };
      winners.set(target, after);
      return after;
    },
    failed: (target, key, reason) => {
      const { isDead, keepsPlace } = consequences[reason];
      if (isDead) penalise(key);
      else penalties.delete(key);
      if (!keepsPlace) forget(key, isDead ? undefined : target);
    },
    isPenalised: (key) => (penalties.get(key)?.until ?? -Infinity) > now(),
  };
}
