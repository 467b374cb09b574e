/**
 * One search: it follows leads (the last one known, what another search found), and where those fail
 * explores all addresses in rounds, until a session passes, an attempt stops it, or its deadline is
 * over. All its attempts run in one race, so that a slow one may still win in a later round.
 */
import { keyOf } from "../target/address.ts";
import { targetSessionAttrs } from "../target/attributes.ts";
import type { Company, Lead } from "./company.ts";
import { asAttemptError } from "../errors.ts";
import type { ConnectError } from "../errors.ts";
import { Failures } from "./failures.ts";
import type { DialAddress, FinderParts, FindRequest, Found, Pass } from "./finder.ts";
import { Guess } from "./guess.ts";
import { limited } from "./limited.ts";
import { OpenRace } from "./race.ts";
import type { Win } from "./race.ts";
import { resolveEndpoints } from "./resolve.ts";
import type { Endpoint } from "../target/target.ts";
import { aborted, armed, unrefTiming } from "./timing.ts";
import { createTurns } from "./turns.ts";

interface Candidate {
  readonly address: DialAddress;
  readonly pass: number;
  /** It was known to be slow or dead when it entered: nothing waits for it. */
  readonly isDoubtful: boolean;
}

/** What failed this recently is not tried again by the first round after it. */
const justNowMs = 20;
const longestPatienceMs = 2000;
/** How long one of several searches explores. */
const turnMs = 1000;
/** A later pass waits this many staggers for what is slow in the one before. */
const passPatience = 4;

/** A search that has not begun; `run` may be called once. */
export class Search<T> {
  readonly #parts: FinderParts;
  readonly #company: Company;
  readonly #request: FindRequest<T>;
  readonly #key: string;
  readonly #passes: readonly Pass[];
  readonly #single: boolean;
  readonly #guess: Guess;
  readonly #race: OpenRace<Candidate, T>;
  readonly #halt = new AbortController();
  readonly #failures: Failures;
  readonly #failedAt = new Map<string, number>();
  /** Refused for their role since the pass began. */
  readonly #rejected = new Map<string, DialAddress>();
  readonly #followed = new Set<Lead>();
  readonly #asking = new Map<Endpoint, number>();
  readonly #startedAt: number;
  #mustAsk = false;

  /** @param key what tells its target from others */
  constructor(parts: FinderParts, company: Company, key: string, request: FindRequest<T>) {
    const { staggerMs, attemptTimeoutMs, parallelAuthentications: atOnce } = parts;
    const timing = request.isUnref === true ? unrefTiming(parts.timing) : parts.timing;
    this.#parts = { ...parts, timing };
    this.#company = company;
    this.#failures = new Failures(company);
    this.#key = key;
    this.#request = request;
    this.#startedAt = timing.now();
    const turns = createTurns({ atOnce, countedMs: 4 * staggerMs, timing });
    const { passes, single } = targetSessionAttrs[request.attributes];
    this.#passes = passes.map((pass) => ({ ...pass, turn: (signal) => turns.take(signal) }));
    this.#single = single;
    this.#guess = new Guess(parts, { key, single, loadBalance: request.loadBalance ?? false });
    this.#race = new OpenRace<Candidate, T>({
      staggerMs,
      timing,
      attempt: limited(
        ({ address, pass }: Candidate, signal: AbortSignal) => {
          const wanted = this.#passes[pass];
          if (wanted === undefined) throw new RangeError(`there is no pass ${pass}`);
          return request.attempt(address, wanted, signal);
        },
        { ms: attemptTimeoutMs, timing, onLate: (value) => request.discard(value) },
      ),
      onLost: (value) => request.discard(value),
      onFailed: (candidate, error, ms) => this.#onFailed(candidate, error, ms),
      onSlow: ({ address }) => this.#guess.slow(address),
    });
  }

  /** @throws as Finder.find */
  async run(): Promise<Found<T>> {
    const { signal, deadlineMs = this.#parts.deadlineMs } = this.#request;
    signal?.throwIfAborted();
    const halt = (): void => this.#halt.abort();
    const halted = aborted(this.#halt.signal);
    const disarm = armed(this.#parts.timing, deadlineMs, halt, signal);
    let isTaken = false;
    try {
      const sought = this.#seek().then(() => halted);
      const win = await Promise.race([this.#race.won, halted, sought]);
      signal?.throwIfAborted();
      if (win === undefined) throw this.#failure();
      isTaken = true;
      return this.#take(win);
    } finally {
      disarm();
      halt();
      this.#race.close(signal?.reason ?? new Error("the search is over"));
      // What is won in the very moment in which the search ends is nobody's.
      if (!isTaken) void this.#race.won.then(({ value }) => this.#request.discard(value));
    }
  }

  get #isOver(): boolean {
    return this.#halt.signal.aborted || this.#race.isOver;
  }

  #sleep(ms: number): Promise<void> {
    return this.#parts.timing.sleep(ms, this.#halt.signal);
  }

  async #seek(): Promise<void> {
    const over = aborted(this.#halt.signal);
    await this.#begin();
    while (!this.#isOver) {
      const leads = [this.#company.lead, this.#guess.known()];
      const lead = leads.find((one) => one !== undefined && !this.#followed.has(one));
      if (lead !== undefined) {
        await this.#follow(lead);
        continue;
      }
      const others = this.#company.exploring;
      if (others !== undefined) {
        await Promise.race([others, over]);
        continue;
      }
      await this.#company.explore(() => this.#explore());
      // Whoever waits goes first.
      await this.#sleep(0);
    }
  }

  /** Before all: who is no longer named is not known; where any server fits, the first is tried. */
  async #begin(): Promise<void> {
    const known = this.#guess.known();
    if (this.#single && known === undefined) return;
    const lists = await this.#lists(false);
    if (known !== undefined) {
      if (this.#isGone(known.address, lists)) {
        this.#guess.gone(known.address);
      }
      return;
    }
    const [first] = this.#guess.ordered(lists);
    if (first !== undefined) await this.#follow({ address: first, pass: 0, ms: 0 });
  }

  /** Its name has answered, without it. */
  #isGone(address: DialAddress, lists: readonly (readonly DialAddress[])[]): boolean {
    const isOpen = [...this.#asking.keys()].some(({ host }) => host === address.host);
    return !isOpen && !lists.flat().some((one) => keyOf(one) === keyOf(address));
  }

  /** Dials one address and gives it the time that it took last. */
  async #follow(lead: Lead): Promise<void> {
    this.#followed.add(lead);
    const { staggerMs } = this.#parts;
    const endTurn = await this.#turn(lead.address);
    if (endTurn === undefined) return;
    this.#enter([lead.address], lead.pass);
    await this.#race.quiet();
    endTurn();
    const patienceMs = Math.min(lead.ms * 2, longestPatienceMs) - staggerMs;
    if (patienceMs <= 0 || this.#isOver || !this.#isEntered(lead.address)) return;
    await this.#sleep(patienceMs);
  }

  /** Undefined where it is of no use any more: the search is over, or somebody else failed there. */
  async #turn(address: DialAddress): Promise<(() => void) | undefined> {
    const { failures } = this.#company;
    const before = failures.get(keyOf(address));
    const endTurn = await this.#company.turn(address, this.#halt.signal).catch(() => undefined);
    if (endTurn === undefined) return undefined;
    if (!this.#isOver && failures.get(keyOf(address)) === before) return endTurn;
    endTurn();
    return undefined;
  }

  /** Until the search is over, or for its turn where others wait: they may have better luck. */
  async #explore(): Promise<void> {
    const { timing, random } = this.#parts;
    const end = timing.now() + turnMs;
    for (let isFirst = true; !this.#isOver; isFirst = false) {
      if (timing.now() > end && this.#company.searches > 1) return;
      const isFresh = this.#company.rounds > 0 || this.#mustAsk;
      this.#company.rounds += 1;
      this.#rejected.clear();
      // No round waits for a name whose addresses are known: what is new enters when it comes.
      const ordered = this.#guess.ordered(await this.#lists(isFresh, isFresh));
      this.#enter(isFirst ? ordered.filter((one) => !this.#failedJustNow(one)) : ordered, 0);
      await this.#race.quiet();
      await this.#laterPasses();
      await this.#sleep(this.#company.backoffMs(random()));
    }
  }

  /** What no server passed is asked of those again that answered, by the next pass's measure. */
  async #laterPasses(): Promise<void> {
    for (let pass = 1; pass < this.#passes.length && !this.#isOver; pass += 1) {
      if (this.#rejected.size === 0) return;
      const { staggerMs } = this.#parts;
      const slow = this.#race.running().filter(({ candidate }) => !candidate.isDoubtful);
      const leftMs = Math.max(0, ...slow.map(({ ms }) => passPatience * staggerMs - ms));
      if (leftMs > 0) await this.#sleep(leftMs);
      const again = [...this.#rejected.values()];
      this.#rejected.clear();
      this.#enter(again, pass);
      await this.#race.quiet();
    }
  }

  #isEntered(address: DialAddress): boolean {
    return this.#race.entered().some((one) => keyOf(one.address) === keyOf(address));
  }

  #failedJustNow(address: DialAddress): boolean {
    const at = this.#failedAt.get(keyOf(address)) ?? -Infinity;
    return this.#parts.timing.now() - at < justNowMs;
  }

  #enter(addresses: readonly DialAddress[], pass: number): void {
    const byKey = new Map(addresses.map((address) => [keyOf(address), address]));
    const fresh = [...byKey.values()].filter((address) => !this.#isEntered(address));
    this.#race.enter(
      fresh.map((address) => ({ address, pass, isDoubtful: this.#guess.isDoubtful(address) })),
    );
  }

  #lists(fresh: boolean, isHurried = false): Promise<readonly (readonly DialAddress[])[]> {
    const { names, timing } = this.#parts;
    return resolveEndpoints(this.#request.endpoints, {
      names,
      timing,
      fresh,
      isHurried,
      signal: this.#halt.signal,
      open: this.#asking,
      onLate: (list) => this.#enter(list, 0),
      onFailed: (failure) => this.#failures.note(failure.host, failure),
    });
  }

  #onFailed({ address, pass }: Candidate, thrown: unknown, ms: number): void {
    const { memory, timing } = this.#parts;
    const key = keyOf(address);
    const fault = asAttemptError(thrown);
    const { reason, code, message, stops, cause = fault } = fault;
    const { host, port } = address;
    const failure = { host, address: address.address, port, reason, code, message, ms, cause };
    this.#failures.note(key, failure);
    this.#failedAt.set(key, timing.now());
    memory.failed(this.#key, key, reason);
    this.#company.failed(key);
    if (reason === "role") {
      this.#mustAsk = true;
      this.#rejected.set(key, address);
    }
    if (!stops) return;
    // Others that wait for this search would fail there too, or know better: each asks itself.
    this.#company.lead = { address, pass, ms };
    this.#failures.stoppedBy = failure;
    this.#halt.abort();
  }

  #take({ winner, value, ms }: Win<Candidate, T>): Found<T> {
    const { address, pass } = winner;
    this.#company.passed(this.#parts.memory.remember(this.#key, { address, pass, ms }));
    return { value, address };
  }

  #failure(): ConnectError {
    const { attributes, endpoints, wanted = attributes } = this.#request;
    const now = this.#parts.timing.now();
    return this.#failures.error({
      wanted,
      endpoints,
      ms: now - this.#startedAt,
      youngMs: this.#parts.staggerMs,
      running: this.#race.running().map(({ candidate, ms }) => ({ ...candidate, ms })),
      isFailing: (host) => this.#parts.names.isFailing(host),
      asking: [...this.#asking].map(([endpoint, since]) => ({ endpoint, ms: now - since })),
    });
  }
}
