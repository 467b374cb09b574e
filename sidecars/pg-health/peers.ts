/**
 * Asks the other members' pg-health again and again and keeps what they said. All peers are asked
 * side by side; one that is silent costs its deadline and holds nobody up.
 */
import type { Clock } from "../../kit/clock.ts";
import { fetchStatus } from "./client.ts";
import type { HealthStatus } from "./contract.ts";
import { newPeer, peerReplied, peerSilent } from "./defence.ts";
import type { PeerMemory, PeerReply } from "./defence.ts";
import type { Self } from "./self.ts";
import type { PeerAddress } from "./variables.ts";

export interface PeersOptions {
  readonly peers: readonly PeerAddress[];
  readonly intervalMs: number;
  readonly deadlineMs: number;
  readonly clock: Clock;
  /** This member as it is now; null before its first sample. */
  readonly self: () => Self | null;
  readonly onChange: () => void;
}

export class Peers {
  readonly #options: PeersOptions;
  readonly #ended = new AbortController();
  readonly #memories: PeerMemory[];
  #hurry = new AbortController();

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#memories = options.peers.map((peer) => newPeer(peer.url));
  }

  /** What is known of each peer now. */
  get memories(): readonly PeerMemory[] {
    return this.#memories;
  }

  /** Starts asking; ends with stop(). */
  start(): void {
    for (const [index, peer] of this.#options.peers.entries()) void this.#watch(index, peer);
  }

  /** Asks every peer again now instead of at its next turn. */
  askNow(): void {
    this.#hurry.abort();
    this.#hurry = new AbortController();
  }

  stop(): void {
    this.#ended.abort(new Error("pg-health is stopping"));
  }

  async #watch(index: number, peer: PeerAddress): Promise<void> {
    const { clock, intervalMs, self, onChange } = this.#options;
    const ended = this.#ended.signal;
    while (!ended.aborted) {
      // Taken before the question, so that askNow() during it leads to one more.
      const hurry = this.#hurry.signal;
      const askedAt = clock.monotonic();
      const reply = await this.#ask(peer, askedAt);
      if (ended.aborted) return;
      const memory = this.#memories[index] ?? newPeer(peer.url);
      this.#memories[index] =
        reply === undefined ? peerSilent(memory) : peerReplied(memory, reply, self());
      onChange();
      await clock.sleep(intervalMs, AbortSignal.any([ended, hurry])).catch(() => undefined);
    }
  }

  async #ask(peer: PeerAddress, askedAt: number): Promise<PeerReply | undefined> {
    try {
      const options = { deadlineMs: this.#options.deadlineMs, signal: this.#ended.signal };
      const status = await fetchStatus(peer, options);
      return { askedAt, link: linkOf(status), answer: status.answer, postgres: status.postgres };
    } catch {
      return undefined;
    }
  }
}

/** A peer that does not tell its link has one unless it calls its Postgres unreachable. */
function linkOf(status: HealthStatus): PeerReply["link"] {
  return status.link ?? (status.answer === "unreachable" ? "silent" : "up");
}
