/**
 * Thousands of nodes that poll a registry, each on a connection of its own, for bench/names-polls.ts:
 * HTTP by hand, so that one process can carry them. Whoever is told a change polls again from there.
 */
import { connect } from "node:net";
import { systemClock } from "../kit/clock.ts";
import { readChanges } from "../registry/client.ts";
import type { NodeRight } from "./names-rig.ts";

export interface PollersPlan {
  readonly host: string;
  readonly port: number;
  readonly nodes: readonly NodeRight[];
  /** The state that all of them have. */
  readonly epoch: string;
  readonly generation: number;
  readonly hash: string;
}

/** All of them were told once more; ms since 1970. */
export interface PollersTold {
  readonly firstAt: number;
  readonly lastAt: number;
  /** Answers that were no change. */
  readonly wrong: number;
}

const together = 100;
const headEnd = "\r\n\r\n";

class Pollers {
  readonly #plan: PollersPlan;
  #told = 0;
  #wrong = 0;
  #firstAt = 0;
  #state: { readonly generation: number; readonly hash: string };

  constructor(plan: PollersPlan) {
    this.#plan = plan;
    this.#state = { generation: plan.generation, hash: plan.hash };
  }

  async start(): Promise<void> {
    const { nodes } = this.#plan;
    for (let at = 0; at < nodes.length; at += together) {
      await Promise.all(nodes.slice(at, at + together).map((node) => this.#open(node)));
    }
  }

  async #open(node: NodeRight): Promise<void> {
    const { host, port } = this.#plan;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect({ host, port, noDelay: true }, resolve);
    socket.on("error", reject);
    socket.setEncoding("latin1");
    let held = "";
    socket.on("data", (text: string) => {
      held += text;
      const head = held.indexOf(headEnd);
      const length = Number(/content-length: (\d+)/i.exec(held)?.[1]);
      if (head < 0 || !(held.length >= head + headEnd.length + length)) return;
      const isGood = held.startsWith("HTTP/1.1 200 ");
      const body = held.slice(head + headEnd.length);
      held = "";
      this.#answered(isGood, body);
      this.#again.push(() => socket.write(this.#request(node)));
      this.#turn();
    });
    await promise;
    socket.write(this.#request(node));
  }

  /** What asks again, when all are told. */
  readonly #again: (() => void)[] = [];

  #answered(isGood: boolean, body: string): void {
    const now = systemClock.now();
    if (this.#told === 0) {
      this.#firstAt = now;
      const { generation, zone_hash: hash } = readChanges(Buffer.from(body, "latin1"));
      this.#wrong += Number(generation <= this.#state.generation);
      this.#state = { generation, hash: hash ?? "" };
    }
    this.#told += 1;
    this.#wrong += Number(!isGood || !body.includes(`"generation":${this.#state.generation},`));
  }

  #turn(): void {
    if (this.#told < this.#plan.nodes.length) return;
    const told: PollersTold = {
      firstAt: this.#firstAt,
      lastAt: systemClock.now(),
      wrong: this.#wrong,
    };
    process.send?.(told);
    this.#told = 0;
    this.#wrong = 0;
    for (const again of this.#again.splice(0)) again();
  }

  #request({ id, token }: NodeRight): string {
    const { generation, hash } = this.#state;
    const query = `since=${generation}&wait=55&epoch=${this.#plan.epoch}&hash=${hash}`;
    return [
      `GET /api/internal/nodes/${id}/dns/changes?${query} HTTP/1.1`,
      "Host: registry",
      `Authorization: Bearer ${token}`,
      "Accept: application/json",
      "",
      "",
    ].join("\r\n");
  }
}

process.once("message", (plan) => void new Pollers(plan as PollersPlan).start());
process.once("disconnect", () => process.exit());
