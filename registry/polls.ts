/**
 * Long polls that are held until there is news: thousands of them, so that each costs little (its
 * response and one small record), and all that have the same state are answered with the same bytes.
 */
import { randomInt } from "node:crypto";
import type { ServerResponse } from "node:http";
import { every, nextTurn } from "../kit/clock.ts";
import type { Clock } from "../kit/clock.ts";
import { answerKind } from "./answers.ts";
import { problemOf, RequestProblemError, sendProblem } from "./problem.ts";
import type { Head } from "./store/store.ts";
import { bodyOf } from "./zone-view.ts";
import type { ZoneView } from "./zone-view.ts";

interface Held {
  /** The state that the asker has. */
  readonly head: Head;
  readonly response: ServerResponse;
  readonly nodeId: number;
  /** When it is answered without news, on the clock. */
  readonly until: number;
}

/** More than these are told to come again. */
const heldMax = 16_384;
/** An agent holds one; of one node's that are more than these the oldest is answered. */
const heldOfNodeMax = 4;
/** So many are answered before others get their turn. */
const slice = 256;
const sweepMs = 250;
/** The end of a hold is moved by up to this part of it, so that agents do not come all at once. */
const jitter = 16;

/** Sends a body of JSON as it stands, unless the asker is gone. */
export function sendBody(response: ServerResponse, body: Buffer): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(200, [
    "Content-Type",
    "application/json; charset=utf-8",
    "Content-Length",
    String(body.length),
    "Cache-Control",
    "no-store",
  ]);
  response.end(body);
}

export class Polls {
  readonly #zone: ZoneView;
  readonly #clock: Clock;
  readonly #held = new Map<Head, Set<Held>>();
  /** By the node's id, oldest first. */
  readonly #heldOf = new Map<number, readonly Held[]>();
  readonly #ends: readonly (() => void)[];
  #size = 0;
  #isOver = false;

  constructor(zone: ZoneView, clock: Clock) {
    this.#zone = zone;
    this.#clock = clock;
    const wake = (head: Head): void => void this.#wake(head);
    this.#ends = [zone.onHead(wake), every(sweepMs, () => void this.#sweep())];
  }

  /** How many are held. */
  get size(): number {
    return this.#size;
  }

  /**
   * Holds an agent's request that has nothing to be told, for `waitS` seconds. A node's oldest is
   * answered when it holds too many, so that none takes the place of others.
   * @param head the state that the agent has; it has to be the zone's now
   * @throws RequestProblemError 503 when too many are held
   */
  hold(response: ServerResponse, head: Head, nodeId: number, waitS: number): void {
    // Who has hung up already is never heard of again.
    if (response.destroyed) return;
    if (this.#isOver) return sendBody(response, unchanged(head));
    this.#makeRoomFor(nodeId);
    if (this.#size >= heldMax) {
      throw new RequestProblemError(503, "Too Many Polls", `${heldMax} polls are held already`);
    }
    const ms = waitS * 1000;
    const until = this.#clock.monotonic() + ms + randomInt(Math.floor(ms / jitter) + 1);
    const held: Held = { head, response, nodeId, until };
    const group = this.#held.get(head) ?? new Set();
    this.#held.set(head, group.add(held));
    this.#heldOf.set(nodeId, [...this.#ofNode(nodeId), held]);
    this.#size += 1;
    response.once("close", () => this.#drop(held));
  }

  #ofNode(nodeId: number): readonly Held[] {
    return this.#heldOf.get(nodeId) ?? [];
  }

  #makeRoomFor(nodeId: number): void {
    const own = this.#ofNode(nodeId);
    const [oldest] = own;
    if (oldest === undefined || own.length < heldOfNodeMax) return;
    if (this.#drop(oldest)) sendBody(oldest.response, unchanged(oldest.head));
  }

  #drop(held: Held): boolean {
    const { head, nodeId } = held;
    const group = this.#held.get(head);
    if (group?.delete(held) !== true) return false;
    this.#size -= 1;
    if (group.size === 0) this.#held.delete(head);
    const others = this.#ofNode(nodeId).filter((one) => one !== held);
    if (others.length > 0) this.#heldOf.set(nodeId, others);
    else this.#heldOf.delete(nodeId);
    return true;
  }

  /** Answers all that have another state than this. */
  async #wake(head: Head): Promise<void> {
    const late = [...this.#held].filter(([at]) => at !== head);
    await Promise.all(late.map(([at, group]) => this.#tell(at, group, head)));
  }

  async #tell(at: Head, group: Set<Held>, head: Head): Promise<void> {
    const has = { since: at.generation, epoch: at.epoch, hash: at.zoneHash };
    // Who has what this store has no more asks again, and is told what holds for that.
    const isOther = at.generation > 0 && answerKind(has, head) === "full";
    const body = isOther ? unchanged(at) : this.#zone.reply(at.generation);
    const read = await Promise.resolve(body).catch((error: unknown) => problemOf(error).told);
    await this.#each(group, ({ response }) =>
      Buffer.isBuffer(read) ? sendBody(response, read) : sendProblem(response, read),
    );
  }

  async #each(group: ReadonlySet<Held>, answer: (held: Held) => void): Promise<void> {
    let told = 0;
    for (const held of group) {
      // Who hangs up meanwhile is not in the group any more.
      if (!this.#drop(held)) continue;
      answer(held);
      told += 1;
      if (told % slice === 0) await nextTurn();
    }
  }

  async #sweep(): Promise<void> {
    const now = this.#clock.monotonic();
    for (const [at, group] of this.#held) {
      const over = new Set([...group].filter((held) => held.until <= now));
      if (over.size === 0) continue;
      const body = unchanged(at);
      await this.#each(over, ({ response }) => sendBody(response, body));
    }
  }

  /** Ends the polls of a node that has lost its right. */
  revoke(nodeId: number): void {
    const told = { title: "Invalid Token", status: 401, detail: "this node was revoked" };
    for (const held of this.#ofNode(nodeId)) {
      if (this.#drop(held)) sendProblem(held.response, told);
    }
  }

  /** Answers all of them at once, as unchanged, on connections that end; holds no more. */
  end(): void {
    this.#isOver = true;
    for (const end of this.#ends) end();
    for (const [at, group] of this.#held) {
      const body = unchanged(at);
      for (const held of group) {
        held.response.shouldKeepAlive = false;
        if (this.#drop(held)) sendBody(held.response, body);
      }
    }
  }
}

/** The reply to an agent that has this state. */
export function unchanged(head: Head): Buffer {
  return bodyOf(head, [], []);
}
