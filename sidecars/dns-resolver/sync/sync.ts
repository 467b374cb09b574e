/**
 * Keeps the zone as the registry has it: a long poll, the reply judged, the zone built aside and
 * handed over whole, then written to disk, then acknowledged. While the registry is away, or says
 * what cannot be, the zone stays as it is.
 */
import type { Clock } from "../../../kit/clock.ts";
import { faultWords } from "../../../kit/fault-words.ts";
import type { Logger } from "../../../kit/logger.ts";
import { formatHash } from "../../../kit/zone-hash.ts";
import { fetchChangesBody, readChanges } from "../../../registry/client.ts";
import type { RegistryTarget } from "../../../registry/client.ts";
import type { ChangesReply } from "../../../registry/contract.ts";
import { askAfter, backoff, pauseBefore, quickAnswerMs } from "./pace.ts";
import type { Ask } from "./pace.ts";
import type { ZoneSettings } from "../parts.ts";
import { broughtNothing, Ledger, syncFaultWords } from "./sync-ledger.ts";
import type { SyncState } from "./sync-ledger.ts";
import { readSnapshot, snapshotBytes, writeSnapshot } from "./snapshot.ts";
import { ackLines, startAcks } from "./sync-acks.ts";
import type { Acks } from "./sync-acks.ts";
import { heldOf, judge } from "./sync-merge.ts";
import type { Held, Verdict } from "./sync-merge.ts";
import { buildZoneAside } from "../zone/build.ts";
import type { Served } from "../zone/served.ts";

/** A zone that is ready to be served. */
export interface Offer {
  readonly served: Served;
  /** 64 hexadecimal digits. */
  readonly zoneHash: string;
  readonly from: "registry" | "snapshot";
  /** Records that cannot be served, and why. */
  readonly skipped: readonly string[];
}

export interface SyncOptions {
  readonly registry: RegistryTarget;
  readonly node: number;
  readonly zone: ZoneSettings;
  /** The folder of the snapshot. */
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Pick<Logger, "debug" | "info" | "warn" | "error">;
  /** Serves the zone from now on. @returns what is wrong with that, one sentence each */
  readonly serve: (offer: Offer) => Promise<readonly string[]>;
  readonly tell: (state: SyncState) => void;
  /** How often the registry is told that this one lives; 15 s when not given. */
  readonly lifeSignMs?: number;
  /** What is larger is not for this thread; `outgrown` is called then, and it has stopped. */
  readonly bounds?: {
    readonly bytes: number;
    readonly records: number;
    readonly outgrown: () => void;
  };
}

/** What the registry sent cannot be used. */
export class SyncError extends Error {
  override readonly name = "SyncError";
  readonly code = "ERR_DNS_SYNC";
}

/** How long the registry may hold an answer. */
const holdSeconds = 30;

export class Sync {
  readonly #options: SyncOptions;
  readonly #stopped = new AbortController();
  readonly #acks: Acks;
  readonly #ledger: Ledger;
  #held: Held | undefined;
  /** The zone that contradicted its own hash, when it was the last that came. */
  #doubted: Held | undefined;
  /** What is acknowledged, and sent until it is heard: what is held, or a fault besides. */
  #said: "nothing" | "held" | "fault" = "nothing";
  #poll = new AbortController();
  #pause: AbortController | undefined;
  /** What failed last was the way to the registry, so that a heard acknowledgement is news. */
  #isCutOff = false;
  #run: Promise<void> | undefined;

  constructor(options: SyncOptions) {
    this.#options = options;
    const { clock, logger, node, registry, tell } = options;
    this.#ledger = new Ledger(tell, logger);
    const heard = (generation: number, at: number, fits: boolean): void => {
      const isTwice = this.#ledger.state.acknowledged === generation;
      this.#ledger.heard(generation, fits ? at : undefined);
      if (this.#isCutOff) this.#pause?.abort(new SyncError("the registry hears again"));
      if (isTwice && !fits) this.#cutPoll("the registry has moved on without the poll");
    };
    const unheard = (words: string): void => {
      this.#ledger.unheard(words);
      this.#cutPoll("the registry did not hear an acknowledgement");
    };
    const lifeSignMs = options.lifeSignMs ?? 15_000;
    const said = { clock, node, registry, lifeSignMs, heard, unheard };
    this.#acks = startAcks(said, this.#stopped.signal);
  }

  /** Serves the snapshot where there is one. What cannot be used is told, and no more. */
  async load(): Promise<void> {
    const { folder, logger, zone } = this.#options;
    const alarm = (sentence: string): void => {
      logger.error({ step: "snapshot" }, sentence);
      this.#ledger.serves([...this.#ledger.state.wrong, sentence]);
    };
    try {
      if (this.#isTooLarge(await snapshotBytes(folder), 0)) return;
      const snapshot = await readSnapshot(folder, zone.zone, alarm);
      if (snapshot === undefined) return;
      const held = heldOf(snapshot);
      const wrong = await this.#serve(await this.#build(held, "snapshot"));
      this.#held = held;
      this.#ledger.serves([...this.#ledger.state.wrong, ...wrong]);
      this.#ledger.confirmed(snapshot.writtenAt);
      logger.info({ generation: held.generation }, "the zone comes from the snapshot");
    } catch (error) {
      alarm(faultWords(error));
    }
  }

  /** Begins to ask the registry, and to acknowledge. */
  follow(): void {
    this.#run ??= this.#follow();
  }

  /** These sentences that `serve` said of what is served hold no longer; the registry is told so. */
  mended(gone: readonly string[]): void {
    if (this.#ledger.mended(gone) && this.#said === "held") this.#say();
  }

  /** Ends every wait. */
  async stop(): Promise<void> {
    this.#stopped.abort(new Error("the resolver stops"));
    this.#poll.abort(this.#stopped.signal.reason);
    this.#pause?.abort(this.#stopped.signal.reason);
    await Promise.all([this.#run, this.#acks.ended]);
  }

  async #follow(): Promise<void> {
    const { clock } = this.#options;
    const stopped = this.#stopped.signal;
    // The first answer is not held, so that the registry is known to agree at once.
    let next: Ask = { whole: this.#held === undefined, isHeld: false, quick: 0, resyncs: 0 };
    while (!stopped.aborted) {
      let pause: number;
      try {
        const began = clock.monotonic();
        const verdict = this.#settled(await this.#look(next));
        if (stopped.aborted) return;
        if (verdict.kind === "resync") this.#ledger.resync(verdict.why, this.#held?.generation);
        else await this.#take(verdict);
        const isQuick = next.isHeld && clock.monotonic() - began < quickAnswerMs;
        next = askAfter(verdict, next, isQuick);
        pause = pauseBefore(next);
      } catch (error) {
        if (stopped.aborted) return;
        pause = this.#poll.signal.aborted ? 0 : this.#failed(error);
        next = { ...next, isHeld: false };
      }
      if (pause > 0) await this.#rest(pause);
    }
  }

  async #rest(ms: number): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    const pause = new AbortController();
    this.#pause = pause;
    await this.#options.clock.sleep(ms, pause.signal).catch(() => undefined);
    this.#pause = undefined;
  }

  async #look({ whole, isHeld }: Ask): Promise<Verdict> {
    const { bounds, node, registry } = this.#options;
    this.#poll = new AbortController();
    const held = whole ? undefined : this.#held;
    const query = {
      since: held?.generation ?? 0,
      epoch: held?.epoch === "" ? undefined : held?.epoch,
      hash: held?.told === "" ? undefined : held?.told,
      // Nobody holds the whole zone back; with a hold, the call has the time that a large one takes.
      waitS: whole || isHeld ? holdSeconds : 0,
    };
    const { signal } = this.#poll;
    const body = await fetchChangesBody(registry, node, query, signal, bounds?.bytes);
    if (this.#isTooLarge(body.length, this.#held?.records.size ?? 0)) return { kind: "same" };
    return judge(this.#held, readReply(body), whole);
  }

  /** True when the zone is for another thread, which is told; nothing more happens in this one. */
  #isTooLarge(bytes: number, records: number): boolean {
    const { bounds } = this.#options;
    if (bounds === undefined || (bytes <= bounds.bytes && records <= bounds.records)) return false;
    this.#stopped.abort(new SyncError("the zone has outgrown this thread"));
    bounds.outgrown();
    return true;
  }

  /** A whole zone that comes twice alike is taken, though its hash is not what the registry says. */
  #settled(verdict: Verdict): Exclude<Verdict, { kind: "wrong" }> {
    const before = this.#doubted;
    this.#doubted = verdict.kind === "wrong" ? verdict.candidate : undefined;
    if (verdict.kind !== "wrong") return verdict;
    const { candidate, why } = verdict;
    const isAlike =
      candidate !== undefined &&
      before?.hash === candidate.hash &&
      before.generation === candidate.generation &&
      before.epoch === candidate.epoch;
    if (!isAlike) throw new SyncError(`what the registry sent is not taken: ${why}`);
    this.#options.logger.error({ generation: candidate.generation }, `taken all the same: ${why}`);
    return { kind: "new", held: candidate };
  }

  async #take(verdict: { kind: "same" } | { kind: "new"; held: Held }): Promise<void> {
    const at = this.#options.clock.now();
    if (verdict.kind === "new") {
      const { held } = verdict;
      // Built first: what cannot be built is neither served nor written.
      const offer = await this.#build(held, "registry");
      const both = [this.#serve(offer), this.#write(held, at)] as const;
      // Also where one fails: the next try must not write beside this one.
      await Promise.allSettled(both);
      const [wrong, unwritten] = await Promise.all(both);
      this.#held = held;
      this.#ledger.serves([...wrong, ...unwritten]);
      const facts = { generation: held.generation, records: held.records.size };
      this.#options.logger.info(facts, "a new state of the zone is served");
      this.#say();
    } else if (this.#said !== "held") {
      this.#say();
    }
    this.#ledger.confirmed(at);
  }

  #say(more: readonly string[] = []): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#said = more.length === 0 ? "held" : "fault";
    this.#acks.say({
      applied_generation: held.generation,
      ...(held.epoch === "" ? {} : { epoch: held.epoch }),
      zone_hash: formatHash(held.hash),
      record_count: held.records.size,
      errors: ackLines([...more, ...this.#ledger.state.wrong]),
    });
  }

  async #build({ epoch, generation, hash, records }: Held, from: Offer["from"]): Promise<Offer> {
    const { clock, zone } = this.#options;
    const content = { epoch, generation, records: [...records.values()] };
    const built = await buildZoneAside(zone, content, clock);
    return { ...built, zoneHash: formatHash(hash), from };
  }

  async #serve(offer: Offer): Promise<readonly string[]> {
    return [...offer.skipped, ...(await this.#options.serve(offer))];
  }

  async #write({ epoch, generation, told, records }: Held, at: number): Promise<readonly string[]> {
    const { folder, logger, zone } = this.#options;
    const content = { epoch, generation, zoneHash: told, records: [...records.values()] };
    try {
      await writeSnapshot(folder, { zone: zone.zone, writtenAt: at, ...content });
      return [];
    } catch (error) {
      logger.error({ generation, reason: faultWords(error) }, "the snapshot was not written");
      return [faultWords(error)];
    }
  }

  /** Counts a failure. @returns how long to wait, in milliseconds */
  #failed(error: unknown): number {
    const words = syncFaultWords(error, this.#options.node);
    this.#ledger.failed(words);
    // What came and could not be taken is told to the registry, beside what is served still.
    const isAnswered = !broughtNothing(error);
    this.#isCutOff = !isAnswered;
    if (isAnswered && this.#said !== "nothing") this.#say([words]);
    return backoff(this.#ledger.state.failures);
  }

  #cutPoll(why: string): void {
    this.#poll.abort(new SyncError(why));
  }
}

/** @throws SyncError */
function readReply(body: Uint8Array): ChangesReply {
  try {
    return readChanges(body);
  } catch (cause) {
    const [said = ""] = JSON.stringify((cause as Error).message).match(/.{1,200}/u) ?? [];
    throw new SyncError(`what the registry sent is no reply of a registry: ${said}`, { cause });
  }
}
