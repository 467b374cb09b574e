/**
 * One upstream: its sockets, how it does, and whether it knows EDNS. While it is out it is asked for
 * the root's name servers now and then, and any answer brings it back.
 */
import { formatAddress } from "../../../kit/address.ts";
import type { Address } from "../../../kit/address.ts";
import { every } from "../../../kit/clock.ts";
import type { Clock } from "../../../kit/clock.ts";
import { questionOf, writeQuery } from "./asked.ts";
import type { Chance } from "./chance.ts";
import type { ForwardCounters } from "./counters.ts";
import { afterAnswer, afterFailure, afterRest, isOut, unknownHealth } from "./health.ts";
import type { Health } from "./health.ts";
import type { ForwardLimits } from "./settings.ts";
import { createSocketPool } from "./sockets.ts";
import type { Sending, Sent, SocketPool } from "./sockets.ts";

/** What all upstreams of a forwarder have in common. */
export interface UpstreamWorld {
  readonly clock: Clock;
  readonly chance: Chance;
  readonly counters: ForwardCounters;
  readonly limits: ForwardLimits;
}

/** How long an upstream that did not understand EDNS is asked without it. */
const withoutEdnsMs = 60_000;

/** The name servers of the root: every resolver has them at hand. */
const rootQuestion = questionOf(Uint8Array.of(0, 0, 2, 0, 1), {
  wantsProof: false,
  isCheckingOff: false,
});

export class Upstream {
  readonly address: Address;
  readonly #world: UpstreamWorld;
  readonly #pool: SocketPool;
  #health: Health = unknownHealth;
  #ednsFrom = 0;
  #stopProbing: (() => void) | undefined;
  #probe: Sent | undefined;

  constructor(address: Address, world: UpstreamWorld) {
    this.address = address;
    this.#world = world;
    this.#pool = createSocketPool(address, world);
  }

  get health(): Health {
    return this.#health;
  }

  /** `host:port`, the same for the same upstream. */
  get name(): string {
    return formatAddress(this.address);
  }

  send(query: Uint8Array, sending: Sending): Sent {
    return this.#pool.send(query, sending);
  }

  /** An answer came after `tookMs`, whatever it says. */
  answered(tookMs: number): void {
    this.#health = afterAnswer(this.#health, tookMs);
    this.#endProbing();
  }

  /** No answer came for `waitedMs`. */
  failed(waitedMs: number): void {
    this.#health = afterFailure(this.#health, waitedMs);
    if (!isOut(this.#health) || this.#stopProbing !== undefined) return;
    this.#world.counters.upstreamOut += 1;
    this.#stopProbing = every(this.#world.limits.probeMs, () => this.#sendProbe());
  }

  /** Another one was asked. */
  rested(): void {
    this.#health = afterRest(this.#health);
  }

  knowsEdns(): boolean {
    return this.#world.clock.monotonic() >= this.#ednsFrom;
  }

  /** It answered only once it was asked without EDNS. */
  leaveOutEdns(): void {
    this.#ednsFrom = this.#world.clock.monotonic() + withoutEdnsMs;
  }

  sweep(): void {
    this.#pool.sweep();
  }

  openSockets(): number {
    return this.#pool.open();
  }

  close(): void {
    this.#endProbing();
    this.#pool.close();
  }

  #endProbing(): void {
    this.#stopProbing?.();
    this.#stopProbing = undefined;
    this.#probe?.forget();
    this.#probe = undefined;
  }

  #sendProbe(): void {
    const { clock, counters } = this.#world;
    this.#probe?.forget();
    counters.probes += 1;
    const sentAt = clock.monotonic();
    this.#probe = this.#pool.send(writeQuery(rootQuestion, false), {
      question: rootQuestion.bytes,
      onReply: () => this.answered(clock.monotonic() - sentAt),
      onError: () => undefined,
      onOtherCase: () => undefined,
    });
  }
}
