/**
 * The UDP sockets of one upstream: many, connected to it, drawn by chance for each query and
 * replaced after a while, so that neither the port nor the id of a query can be guessed
 * (RFC 5452, 4.5). The kernel drops what does not come from the upstream's own address and port.
 */
import { createSocket } from "node:dgram";
import type { Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { Address } from "../../../kit/address.ts";
import type { Clock } from "../../../kit/clock.ts";
import { read16, write16 } from "../wire/message.ts";
import type { Chance } from "./chance.ts";
import type { ForwardCounters } from "./counters.ts";
import { matchReply } from "./match.ts";
import type { ForwardLimits } from "./settings.ts";

/** A query under way, and who wants to know what becomes of it. At most one of the first two is called. */
export interface Sending {
  /** The question in the case in which it is sent. */
  readonly question: Uint8Array;
  onReply(message: Uint8Array): void;
  onError(error: Error): void;
  /** A reply with the question in another case was dropped. */
  onOtherCase(): void;
}

export interface Sent {
  readonly id: number;
  /** Nothing is told any more; what still comes is unsolicited. */
  readonly forget: () => void;
}

export interface SocketPool {
  /** Sends a query, into which it writes the id. */
  send(query: Uint8Array, sending: Sending): Sent;
  /** Closes what is too old and idle. */
  sweep(): void;
  open(): number;
  close(): void;
}

type PoolLimits = Pick<ForwardLimits, "socketsPerUpstream" | "socketUses" | "socketAgeMs">;

export interface PoolWorld {
  readonly clock: Clock;
  readonly chance: Chance;
  readonly counters: ForwardCounters;
  readonly limits: PoolLimits;
}

interface Pending {
  readonly id: number;
  readonly sending: Sending;
}

/** One socket with the queries that are under way on it. */
class PoolSocket {
  readonly #socket: Socket;
  /** An array, since a map in which all comes and goes costs the collector more than a search. */
  readonly #pending: Pending[] = [];
  readonly #world: PoolWorld;
  readonly #openedAt: number;
  #backlog: Uint8Array[] | undefined = [];
  #uses = 0;
  #isLeaving = false;
  #isClosed = false;
  readonly #onClosed: (socket: PoolSocket) => void;

  constructor(address: Address, world: PoolWorld, onClosed: (socket: PoolSocket) => void) {
    this.#world = world;
    this.#openedAt = world.clock.monotonic();
    this.#onClosed = onClosed;
    const family = isIPv6(address.host) ? 6 : 4;
    this.#socket = createSocket({
      type: family === 6 ? "udp6" : "udp4",
      lookup: (host, _options, done) => done(null, host, family),
    });
    world.counters.socketsOpened += 1;
    this.#socket.on("message", (message) => this.#take(message));
    this.#socket.on("error", (error) => this.#fail(error));
    this.#socket.once("connect", () => this.#flush());
    this.#socket.connect(address.port, address.host);
  }

  isWorn(now: number): boolean {
    const { socketUses, socketAgeMs } = this.#world.limits;
    return this.#isLeaving || this.#uses >= socketUses || now - this.#openedAt >= socketAgeMs;
  }

  send(query: Uint8Array, sending: Sending): Sent {
    const { chance } = this.#world;
    let id = chance.id();
    while (this.#indexOf(id) >= 0) id = chance.id();
    write16(query, 0, id);
    this.#uses += 1;
    const pending = { id, sending };
    this.#pending.push(pending);
    if (this.#backlog === undefined) this.#write(query);
    else this.#backlog.push(query);
    const forget = (): void => {
      const index = this.#pending.indexOf(pending);
      if (index >= 0) this.#remove(index);
      this.#leaveIfDone();
    };
    return { id, forget };
  }

  /** Takes no more queries, and closes once those under way have ended. */
  leave(): void {
    this.#isLeaving = true;
    this.#leaveIfDone();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#pending.length = 0;
    this.#backlog = undefined;
    this.#socket.close();
    this.#onClosed(this);
  }

  #indexOf(id: number): number {
    return this.#pending.findIndex((one) => one.id === id);
  }

  #remove(index: number): void {
    const last = this.#pending.pop();
    if (last !== undefined && index < this.#pending.length) this.#pending[index] = last;
  }

  #write(query: Uint8Array): void {
    this.#socket.send(query, (error) => {
      if (error !== null) this.#fail(error);
    });
  }

  #flush(): void {
    const backlog = this.#backlog ?? [];
    this.#backlog = undefined;
    if (!this.#isClosed) for (const query of backlog) this.#write(query);
  }

  #leaveIfDone(): void {
    if (this.#isLeaving && this.#pending.length === 0) this.close();
  }

  #take(message: Uint8Array): void {
    const { counters } = this.#world;
    const id = message.length < 2 ? -1 : read16(message, 0);
    const index = this.#indexOf(id);
    const sending = this.#pending[index]?.sending;
    if (sending === undefined) {
      counters.unsolicited += 1;
      return;
    }
    const match = matchReply(message, sending.question);
    if (match === "same" || match === "bare") {
      this.#remove(index);
      sending.onReply(message);
      this.#leaveIfDone();
      return;
    }
    counters.forged += 1;
    if (match === "other-case") sending.onOtherCase();
  }

  /** An error of the socket, such as a port that nobody listens on, is that of every query on it. */
  #fail(error: Error): void {
    if (this.#isClosed) return;
    const pending = [...this.#pending];
    this.close();
    for (const { sending } of pending) sending.onError(error);
  }
}

/** The sockets of the upstream at `address`; each is opened when it is first drawn. */
export function createSocketPool(address: Address, world: PoolWorld): SocketPool {
  const { clock, chance, limits } = world;
  const slots: (PoolSocket | undefined)[] = Array.from({ length: limits.socketsPerUpstream });
  const all = new Set<PoolSocket>();
  const forgetSocket = (socket: PoolSocket): void => {
    all.delete(socket);
    const slot = slots.indexOf(socket);
    if (slot >= 0) slots[slot] = undefined;
  };
  const draw = (): PoolSocket => {
    const slot = chance.below(slots.length);
    const known = slots[slot];
    if (known !== undefined && !known.isWorn(clock.monotonic())) return known;
    slots[slot] = undefined;
    known?.leave();
    const fresh = new PoolSocket(address, world, forgetSocket);
    all.add(fresh);
    slots[slot] = fresh;
    return fresh;
  };
  let isClosed = false;
  const sendNowhere = (sending: Sending): Sent => {
    queueMicrotask(() => sending.onError(new Error("the upstream is no longer asked")));
    return { id: -1, forget: () => undefined };
  };
  return {
    send: (query, sending) => (isClosed ? sendNowhere(sending) : draw().send(query, sending)),
    sweep: () => {
      const now = clock.monotonic();
      for (const [slot, socket] of slots.entries()) {
        if (socket?.isWorn(now) !== true) continue;
        slots[slot] = undefined;
        socket.leave();
      }
    },
    open: () => all.size,
    close: () => {
      isClosed = true;
      for (const socket of all) socket.close();
    },
  };
}
