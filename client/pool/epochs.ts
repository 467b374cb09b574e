/**
 * Which connections of a pool are still good. Each server that is left begins a new epoch: what was
 * connected to it, or was on its way there while that happened, is stale from then on and for ever. It
 * knows no sockets: connections are keys, and what is seen of them comes in by calls.
 */
import { Doubt } from "./doubt.ts";
import { codeOf, meaningOf } from "../session/staleness.ts";
import type { StaleReason } from "../session/staleness.ts";

/** Why the pool left a server. */
export interface Staleness<A> {
  /** The epoch that begins with it. */
  readonly epoch: number;
  readonly reason: StaleReason;
  /** SQLSTATE or errno, where an error told it. */
  readonly code: string | undefined;
  /** The server that is left; undefined where it is not known which. */
  readonly address: A | undefined;
}

/** The server that takes writes is another one now. */
export interface PrimaryChange<A> {
  readonly from: A;
  readonly to: A;
}

export interface EpochOptions<A> {
  /** True where one server at a time is the right one: for read-write and primary. */
  readonly single: boolean;
  isSame(one: A, other: A): boolean;
  /** Monotonic milliseconds. */
  now(): number;
}

export interface Met<A> {
  readonly staleness: Staleness<A> | undefined;
  readonly change: PrimaryChange<A> | undefined;
}

/** What an error of a connection is worth. */
export interface Failed<A> {
  /** The server was left for it. */
  readonly staleness: Staleness<A> | undefined;
  /** A session was lost, and the server has to be looked at. */
  readonly suspect: A | undefined;
}

interface Leaving<A> {
  readonly address: A;
  at: number;
}

interface Standing<A> {
  address: A | undefined;
  /** Servers that were left while it looked for one. */
  readonly left: Leaving<A>[];
  isStale: boolean;
}

/** Two sessions that a server loses within this time are no accident of one of them. */
const togetherMs = 1000;

const nothing = { staleness: undefined, suspect: undefined } as const;

export class Epochs<C extends object, A> {
  readonly #options: EpochOptions<A>;
  readonly #standings = new Map<C, Standing<A>>();
  #epoch = 0;
  #primary: A | undefined;
  /** A refused write can also be the app's own READ ONLY. */
  readonly #refusals: Doubt<A>;
  /** Sessions can be ended one by one: by hand, by a timeout of something on the way. */
  readonly #losses: Doubt<A>;
  #lastLoss: Leaving<A> | undefined;

  constructor(options: EpochOptions<A>) {
    this.#options = options;
    this.#refusals = new Doubt(options);
    this.#losses = new Doubt(options);
  }

  /** How many times a server was left. */
  get epoch(): number {
    return this.#epoch;
  }

  /** The last server that passed as the primary; undefined before the first, and where many may pass. */
  get primary(): A | undefined {
    return this.#primary;
  }

  /** A connection that begins to look for its server. */
  add(connection: C): void {
    this.#standings.set(connection, { address: undefined, left: [], isStale: false });
  }

  /** It has ended. */
  remove(connection: C): void {
    this.#standings.delete(connection);
  }

  /** True for one that must not be used for anything new, and for one that was never added. */
  isStale(connection: C): boolean {
    return this.#standings.get(connection)?.isStale ?? true;
  }

  /** Those that are connected to `address`. */
  at(address: A): C[] {
    return [...this.#standings].flatMap(([connection, standing]) =>
      standing.address !== undefined && this.#options.isSame(standing.address, address)
        ? [connection]
        : [],
    );
  }

  /** Those that have not found a server yet. */
  searching(): C[] {
    return [...this.#standings].flatMap(([connection, { address }]) =>
      address === undefined ? [connection] : [],
    );
  }

  /**
   * A connection found its server; to be called in the moment in which it did, since the last one to
   * do so knows who is the primary. Where that is another one than before, whatever is connected
   * elsewhere is stale from now on. What began at a server before that was left is stale itself.
   * @param since when it began at this address, by `now`
   */
  met(connection: C, address: A, since: number): Met<A> {
    const standing = this.#standings.get(connection);
    if (standing === undefined || standing.isStale)
      return { staleness: undefined, change: undefined };
    standing.address = address;
    if ((this.#leavingOf(standing, address)?.at ?? -Infinity) >= since) {
      standing.isStale = true;
      return { staleness: undefined, change: undefined };
    }
    this.#refusals.passed(address);
    this.#losses.passed(address);
    const from = this.#primary;
    if (!this.#options.single || (from !== undefined && this.#options.isSame(from, address))) {
      return { staleness: undefined, change: undefined };
    }
    this.#primary = address;
    if (from === undefined) return { staleness: undefined, change: undefined };
    const isElsewhere = (one: Standing<A>): boolean =>
      one.address !== undefined && !this.#options.isSame(one.address, address);
    const left = { reason: "moved", code: undefined, address: from } as const;
    return { staleness: this.#mark(isElsewhere, left), change: { from, to: address } };
  }

  /**
   * An error of a connection; what of it is news. One that is stale already has nothing to tell.
   * The end of one session is no sign that its server is not what it was; the end of two at once is.
   * @param isLost whether the connection broke, so that an error without a code counts as well
   */
  failed(connection: C, error: unknown, isLost = false): Failed<A> {
    const standing = this.#standings.get(connection);
    const meaning = meaningOf(error, isLost);
    if (standing === undefined || standing.isStale || meaning === undefined) return nothing;
    const { address } = standing;
    const isRefusal = meaning === "read-only";
    if (isRefusal && !this.#options.single) return nothing;
    standing.isStale = true;
    if (meaning === "session") return nothing;
    const isOne = isRefusal ? this.#refusals.isQuiet : this.#isLone(address);
    if (isOne) return { staleness: undefined, suspect: isRefusal ? undefined : address };
    (isRefusal ? this.#refusals : this.#losses).left(address);
    const left = { reason: meaning, code: codeOf(error), address };
    return { staleness: this.leave(left), suspect: undefined };
  }

  #isLone(address: A | undefined): boolean {
    const [last, at] = [this.#lastLoss, this.#options.now()];
    this.#lastLoss = address === undefined ? undefined : { address, at };
    const isSecond =
      last !== undefined &&
      address !== undefined &&
      this.#options.isSame(last.address, address) &&
      at - last.at <= togetherMs;
    return !isSecond || this.#losses.isQuiet;
  }

  /**
   * Leaves a server: whatever is connected to it is stale from now on, and what is on its way is if
   * it arrives there. Where it is not known which server it was, all are.
   */
  leave(left: Omit<Staleness<A>, "epoch">): Staleness<A> {
    const { address } = left;
    const isThere = (one: Standing<A>): boolean =>
      address === undefined ||
      (one.address !== undefined && this.#options.isSame(one.address, address));
    if (address !== undefined) this.#noteLeaving(address);
    return this.#mark(isThere, left) ?? this.#begin(left);
  }

  #leavingOf({ left }: Standing<A>, address: A): Leaving<A> | undefined {
    return left.find((one) => this.#options.isSame(one.address, address));
  }

  #noteLeaving(address: A): void {
    const at = this.#options.now();
    for (const standing of this.#standings.values()) {
      if (standing.address !== undefined) continue;
      const before = this.#leavingOf(standing, address);
      if (before === undefined) standing.left.push({ address, at });
      else before.at = at;
    }
  }

  #mark(
    which: (standing: Standing<A>) => boolean,
    left: Omit<Staleness<A>, "epoch">,
  ): Staleness<A> | undefined {
    const found = [...this.#standings.values()].filter((one) => !one.isStale && which(one));
    for (const one of found) one.isStale = true;
    return found.length === 0 ? undefined : this.#begin(left);
  }

  #begin(left: Omit<Staleness<A>, "epoch">): Staleness<A> {
    this.#epoch += 1;
    return { epoch: this.#epoch, ...left };
  }
}
