/**
 * One question and the upstreams that are asked for it: the next one when the last is late or fails,
 * over TCP what does not fit, without EDNS where that is not understood. It ends within the total
 * time, with an answer or with the reason why there is none.
 */
import { write16 } from "../wire/message.ts";
import { extendedErrors, rcodes } from "../wire/numbers.ts";
import { nameKeyOf, writeQuery } from "./asked.ts";
import type { Question } from "./asked.ts";
import { lettersOf } from "./chance.ts";
import { hedgeDelay, isOut } from "./health.ts";
import { readReply } from "./reply.ts";
import { keepReply } from "./stored.ts";
import type { AskedFor, Stored } from "./stored.ts";
import { askOverTcp } from "./tcp-ask.ts";
import type { Upstream, UpstreamWorld } from "./upstream.ts";

/** How a question ended. */
export type Ending = { readonly stored: Stored } | { readonly extendedError: number };

/** What the exchanges of a forwarder have in common. */
export interface ExchangeWorld extends UpstreamWorld {
  /** TCP connections that are open now. */
  tcpOpen: number;
}

/** Response codes that answer a question, YXDOMAIN (RFC 6672) too; others are failures. */
const answering = new Set<number>([rcodes.NOERROR, rcodes.NXDOMAIN, 6]);

/** With so many letters, nobody asks in a case that we drew by chance. */
const tellingLetters = 12;

interface Attempt {
  readonly upstream: Upstream;
  readonly question: Uint8Array;
  readonly withEdns: boolean;
  readonly startedAt: number;
  readonly isTcp: boolean;
  id: number;
  forget: () => void;
  isOver: boolean;
  /** Counted as a failure already, since the next one was asked. */
  isLate: boolean;
}

export class Exchange {
  readonly #question: Question;
  readonly #asked: AskedFor;
  readonly #order: readonly Upstream[];
  readonly #world: ExchangeWorld;
  readonly #onEnd: (ending: Ending) => void;
  readonly #endAt: number;
  /** When its asker is told at the latest; late replies are waited for until the end. */
  #tellAt: number;
  readonly #attempts: Attempt[] = [];
  /** Upstreams that cannot answer this question. */
  readonly #refused = new Set<Upstream>();
  readonly #hedgeMostMs: number;
  #hedgeAt = 0;
  #datagrams = 0;
  #isEnded = false;
  #why: number = extendedErrors.noReachableAuthority;

  /** The order holds at least one upstream; `onEnd` is called once, not before `start`. */
  constructor(
    question: Question,
    group: { readonly order: readonly Upstream[]; readonly hidesPrivate: boolean },
    world: ExchangeWorld,
    onEnd: (ending: Ending) => void,
  ) {
    this.#question = question;
    this.#order = group.order;
    this.#world = world;
    this.#onEnd = onEnd;
    const { allOutMs, totalMs } = world.limits;
    const isHopeless = group.order.every(({ health }) => isOut(health));
    const began = world.clock.monotonic();
    this.#endAt = began + totalMs;
    const patienceMs = isHopeless ? Math.min(allOutMs, totalMs) : totalMs;
    this.#tellAt = began + patienceMs;
    this.#hedgeMostMs = patienceMs / 3;
    const { type, class: questionClass, wantsProof } = question;
    const { hidesPrivate } = group;
    const key = nameKeyOf(question);
    this.#asked = { key, type, class: questionClass, wantsProof, hidesPrivate };
  }

  /** True when its asker has been told; late replies may still be waited for. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  start(): void {
    for (const upstream of this.#order.slice(1)) upstream.rested();
    this.#askNext();
  }

  /** Looks at the time. False when nothing is waited for any more. */
  tick(now: number): boolean {
    if (now >= this.#endAt) this.#giveUp(now);
    else if (now >= this.#tellAt) this.#end({ extendedError: this.#why });
    else if (!this.#isEnded && now >= this.#hedgeAt) this.#hedge(now);
    return !this.#isEnded || this.#attempts.some(({ isOver }) => !isOver);
  }

  /** True when a query that came in is one that went out from here: it has gone in a circle. */
  hasSent(id: number, question: Uint8Array): boolean {
    const isTelling = lettersOf(question) >= tellingLetters;
    return this.#attempts.some(
      (attempt) =>
        (isTelling || attempt.id === id) && Buffer.compare(attempt.question, question) === 0,
    );
  }

  /** Gives up at once, telling nobody. */
  cancel(): void {
    this.#isEnded = true;
    for (const attempt of this.#attempts) this.#close(attempt);
  }

  #end(ending: Ending): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    // Datagrams stay: whether the late one comes at all says how its upstream does.
    for (const attempt of this.#attempts) if (attempt.isTcp) this.#close(attempt);
    this.#onEnd(ending);
  }

  #giveUp(now: number): void {
    for (const attempt of this.#attempts) {
      if (attempt.isOver) continue;
      this.#close(attempt);
      if (!attempt.isLate) attempt.upstream.failed(now - attempt.startedAt);
    }
    this.#end({ extendedError: this.#why });
  }

  #hedge(now: number): void {
    const last = this.#attempts.at(-1);
    if (last !== undefined && !last.isOver && !last.isLate) {
      last.isLate = true;
      last.upstream.failed(now - last.startedAt);
    }
    this.#world.counters.hedged += 1;
    this.#askNext();
  }

  /** Of those that have not refused the one asked least, in the order of asking. */
  #leastAsked(): Upstream | undefined {
    const timesAsked = (upstream: Upstream): number =>
      this.#attempts.filter((attempt) => attempt.upstream === upstream).length;
    return this.#order
      .filter((upstream) => !this.#refused.has(upstream))
      .map((upstream) => ({ upstream, times: timesAsked(upstream) }))
      .sort((one, other) => one.times - other.times)[0]?.upstream;
  }

  #askNext(): void {
    const { clock, limits } = this.#world;
    const upstream = this.#leastAsked();
    if (upstream === undefined || this.#datagrams >= limits.attemptsMax) {
      this.#hedgeAt = this.#endAt;
      return;
    }
    const delay = hedgeDelay(upstream.health, limits.hedgeMinMs, this.#hedgeMostMs);
    this.#hedgeAt = clock.monotonic() + delay;
    this.#sendDatagram(upstream, upstream.knowsEdns());
  }

  #begin(upstream: Upstream, withEdns: boolean, isTcp: boolean): Attempt {
    const { clock, chance, counters } = this.#world;
    counters.sent += 1;
    const attempt: Attempt = {
      upstream,
      question: chance.mixCase(this.#question.bytes),
      withEdns,
      startedAt: clock.monotonic(),
      isTcp,
      id: -1,
      forget: () => undefined,
      isOver: false,
      isLate: false,
    };
    this.#attempts.push(attempt);
    return attempt;
  }

  #queryOf(attempt: Attempt): Uint8Array {
    return writeQuery({ ...this.#question, bytes: attempt.question }, attempt.withEdns);
  }

  #sendDatagram(upstream: Upstream, withEdns: boolean): void {
    const attempt = this.#begin(upstream, withEdns, false);
    this.#datagrams += 1;
    const sent = upstream.send(this.#queryOf(attempt), {
      question: attempt.question,
      onReply: (message) => this.#take(attempt, message),
      onError: () => this.#lose(attempt),
      onOtherCase: () => this.#askOverTcp(attempt),
    });
    attempt.id = sent.id;
    attempt.forget = sent.forget;
  }

  #askOverTcp(first: Attempt): boolean {
    const { limits, chance, counters } = this.#world;
    const isAsked = this.#attempts.some(
      ({ isTcp, upstream }) => isTcp && upstream === first.upstream,
    );
    if (this.#isEnded || isAsked || this.#world.tcpOpen >= limits.tcpConnectionsMax) return false;
    const attempt = this.#begin(first.upstream, first.withEdns, true);
    attempt.id = chance.id();
    const query = this.#queryOf(attempt);
    write16(query, 0, attempt.id);
    counters.overTcp += 1;
    this.#world.tcpOpen += 1;
    attempt.forget = askOverTcp(first.upstream.address, query, {
      question: attempt.question,
      onReply: (message) => this.#take(attempt, message),
      onError: () => this.#lose(attempt),
    });
    return true;
  }

  #close(attempt: Attempt): void {
    if (attempt.isOver) return;
    attempt.isOver = true;
    if (attempt.isTcp) this.#world.tcpOpen -= 1;
    attempt.forget();
  }

  #take(attempt: Attempt, message: Uint8Array): void {
    const { clock } = this.#world;
    this.#close(attempt);
    if (!attempt.isTcp) attempt.upstream.answered(clock.monotonic() - attempt.startedAt);
    // There is one to ask again.
    this.#tellAt = this.#endAt;
    if (this.#isEnded) return;
    const isTruncated = ((message[2] ?? 0) & 0x02) !== 0;
    if (isTruncated && !attempt.isTcp && this.#askOverTcp(attempt)) return;
    const rcode = (message[3] ?? 0) & 0x0f;
    if (rcode === rcodes.FORMERR && attempt.withEdns) this.#repeatWithoutEdns(attempt);
    else this.#read(attempt, message, isTruncated);
  }

  #repeatWithoutEdns(attempt: Attempt): void {
    this.#world.counters.withoutEdns += 1;
    this.#sendDatagram(attempt.upstream, false);
  }

  #read(attempt: Attempt, message: Uint8Array, isTruncated: boolean): void {
    const { limits, counters } = this.#world;
    const reply = isTruncated ? undefined : readReply(message, this.#asked.key);
    const isAnswer = reply !== undefined && answering.has(reply.rcode);
    const stored = isAnswer ? keepReply(message, reply, this.#asked, limits) : undefined;
    if (stored === undefined) {
      if (reply === undefined) counters.badReplies += 1;
      this.#why = extendedErrors.noReachableAuthority;
      this.#refused.add(attempt.upstream);
      this.#goOn();
      return;
    }
    const wasRepeated = !attempt.withEdns && attempt.upstream.knowsEdns();
    if (wasRepeated && !attempt.isTcp) attempt.upstream.leaveOutEdns();
    this.#end({ stored });
  }

  /** The attempt can bring no answer any more. */
  #lose(attempt: Attempt): void {
    const { limits } = this.#world;
    this.#close(attempt);
    if (!attempt.isTcp && !attempt.isLate) attempt.upstream.failed(limits.hedgeMinMs);
    if (this.#isEnded) return;
    this.#why = extendedErrors.networkError;
    this.#refused.add(attempt.upstream);
    this.#goOn();
  }

  /** Asks one that is left, waits for those under way, or ends. */
  #goOn(): void {
    const isWaiting = this.#attempts.some(({ isOver }) => !isOver);
    const untried = this.#order.some(
      (upstream) => !this.#attempts.some((attempt) => attempt.upstream === upstream),
    );
    if (untried && this.#datagrams < this.#world.limits.attemptsMax) this.#askNext();
    else if (!isWaiting) this.#end({ extendedError: this.#why });
  }
}
