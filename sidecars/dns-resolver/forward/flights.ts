/**
 * The questions under way: at most one to the upstreams for each, however many clients ask it, and
 * no more than a bound of questions and of clients that wait. One tick drives them all, and there is
 * none while nothing is under way.
 */
import { every } from "../../../kit/clock.ts";
import { extendedErrors } from "../wire/numbers.ts";
import type { Question } from "./asked.ts";
import { Exchange } from "./exchange.ts";
import type { Ending, ExchangeWorld } from "./exchange.ts";
import type { Group } from "./groups.ts";
import { askingOrder } from "./health.ts";

interface Flight<Result> {
  readonly exchange: Exchange;
  readonly result: Promise<Result>;
  readonly settle: (ending: Ending) => void;
  waiters: number;
}

const tickMs = 10;

/** What the last ones are told when the forwarder is closed. */
const closed: Ending = { extendedError: extendedErrors.notReady };

export class Flights<Result> {
  readonly #world: ExchangeWorld;
  readonly #onEnd: (question: Question, ending: Ending) => Result;
  readonly #flights = new Map<string, Flight<Result>>();
  /** Exchanges under way, and those that only wait whether a late reply still comes. */
  #active: Exchange[] = [];
  #stopTicking: (() => void) | undefined;
  #waiters = 0;

  /** `onEnd` makes of an ending what those who wait are told; it runs once for each question. */
  constructor(world: ExchangeWorld, onEnd: (question: Question, ending: Ending) => Result) {
    this.#world = world;
    this.#onEnd = onEnd;
  }

  get size(): number {
    return this.#flights.size;
  }

  get waiters(): number {
    return this.#waiters;
  }

  /** True when this very question went out from here and is still under way. */
  hasSent(question: Question, id: number): boolean {
    return this.#flights.get(question.key)?.exchange.hasSent(id, question.bytes) === true;
  }

  /** The result of the same question, if it is under way and one more may wait. */
  join(question: Question): Promise<Result> | undefined {
    const flight = this.#flights.get(question.key);
    if (flight === undefined || this.#waiters >= this.#world.limits.waitersMax) return undefined;
    flight.waiters += 1;
    this.#waiters += 1;
    this.#world.counters.coalesced += 1;
    return flight.result;
  }

  /** Asks one of the group, or more. Undefined when too much is under way. */
  begin(question: Question, group: Group): Promise<Result> | undefined {
    const { limits, counters, chance } = this.#world;
    const isFull = this.#flights.size >= limits.questionsMax || this.#waiters >= limits.waitersMax;
    if (isFull || this.#flights.has(question.key)) return undefined;
    counters.misses += 1;
    const { promise, resolve } = Promise.withResolvers<Result>();
    const settle = (ending: Ending): void => {
      this.#flights.delete(question.key);
      this.#waiters -= flight.waiters;
      resolve(this.#onEnd(question, ending));
    };
    const { hidesPrivate } = group;
    const order = askingOrder(group.upstreams, chance.below);
    const exchange = new Exchange(question, { order, hidesPrivate }, this.#world, settle);
    const flight: Flight<Result> = { exchange, result: promise, settle, waiters: 1 };
    this.#flights.set(question.key, flight);
    this.#waiters += 1;
    this.#active.push(exchange);
    this.#stopTicking ??= every(tickMs, () => this.#tick());
    exchange.start();
    return promise;
  }

  /** Ends everything; those who wait are told so. */
  close(): void {
    this.#stopTicking?.();
    this.#stopTicking = undefined;
    for (const exchange of this.#active) exchange.cancel();
    this.#active = [];
    for (const flight of [...this.#flights.values()]) flight.settle(closed);
  }

  #tick(): void {
    const now = this.#world.clock.monotonic();
    const most = 2 * this.#world.limits.questionsMax;
    const isCrowded = this.#active.length > most;
    this.#active = this.#active.filter((exchange) => {
      const goesOn = exchange.tick(now) && !(isCrowded && exchange.isEnded);
      if (!goesOn) exchange.cancel();
      return goesOn;
    });
    if (this.#active.length > 0) return;
    this.#stopTicking?.();
    this.#stopTicking = undefined;
  }
}
