/**
 * Joins probe, door, pooler and peers, and holds what pg-health answers now. A request asks it and
 * never Postgres: it waits for a running probe at most for a short bound and then answers from
 * what is known.
 */
import { withDeadline } from "../../kit/clock.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Logger } from "../../kit/logger.ts";
import { formatLsn } from "../../kit/lsn.ts";
import { assess } from "./assess.ts";
import type { Assessment, Knowledge, Policy } from "./assess.ts";
import { lagNow, nextMemory, peerPrimary } from "./contact.ts";
import type { PeerPrimary, StandbyMemory } from "./contact.ts";
import { defend, stillToAnswer } from "./defence.ts";
import type { Verdict } from "./defence.ts";
import { watchDoor } from "./door.ts";
import { unknownLag } from "./lag.ts";
import type { Lag, LagMode } from "./lag.ts";
import { Peers } from "./peers.ts";
import { PoolerWatch } from "./pooler.ts";
import type { PoolerState } from "./pooler.ts";
import { Probe } from "./probe.ts";
import type { Link, Sample, TimedSample } from "./sample.ts";
import { nextSelf } from "./self.ts";
import type { Self } from "./self.ts";
import type { Settings } from "./settings.ts";

/** Times that are not for operators to set; each says why it is what it is. */
const times = {
  /** Design: no answer is older while Postgres answers. */
  freshMs: 250,
  /** A probe is put this early, so that requests need not wait for it when 250 ms are over. */
  refreshMs: 200,
  /** Well under HAProxy's check timeout. */
  waitMs: 100,
  /** A probe in flight for longer makes the answer "slow"; just under waitMs, which timers round. */
  slowAfterMs: 90,
  /** Without requests the state is still looked at twice a second. */
  tickMs: 500,
  /** A lost connection is tried again at least this often. */
  retryMs: 50,
  connectDeadlineMs: 1000,
  doorIntervalMs: 1000,
  poolerIntervalMs: 1000,
  poolerDeadlineMs: 1000,
  peerIntervalMs: 500,
  peerQuestionMs: 1000,
} as const;

const clear: Verdict = { word: "clear", reason: "" };

export class Monitor {
  readonly settings: Settings;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #policy: Policy;
  readonly #probe: Probe;
  readonly #peers: Peers;
  readonly #pooler: PoolerWatch | undefined;
  readonly #ended = new AbortController();
  readonly #onProbe: (ms: number) => void;
  #link: Link = { state: "connecting", reason: "not asked yet" };
  #sample: TimedSample | null = null;
  #self: Self | null = null;
  /** When the running postmaster was first seen (monotonic ms): peers are awaited from then on. */
  #firstSeenAt = 0;
  #doorSilentSince: number | null = null;
  /** Null while this is no standby. */
  #standby: StandbyMemory | null = null;
  #shown: Assessment = {
    answer: "unreachable",
    slow: false,
    reason: "not asked yet",
    link: "silent",
  };
  #since: number;
  #waiting: Promise<void> | undefined;

  constructor(
    settings: Settings,
    parts: { clock: Clock; logger: Logger; onProbe: (ms: number) => void },
  ) {
    const { clock, logger } = parts;
    this.settings = settings;
    this.#clock = clock;
    this.#logger = logger;
    this.#onProbe = parts.onProbe;
    this.#since = clock.now();
    this.#policy = { slowGraceMs: settings.slowGraceMs, slowAfterMs: times.slowAfterMs };
    this.#probe = new Probe({
      target: settings.postgres,
      // Half of it: a connection that was cut without a word is replaced before the grace is over.
      doubtMs: settings.slowGraceMs / 2,
      connectDeadlineMs: times.connectDeadlineMs,
      clock,
      onSample: (timed) => this.#onSample(timed),
      onFault: (link) => {
        this.#link = link;
        this.judge();
      },
      onPromotion: (sample, promotedAt) => this.#onPromotion(sample, promotedAt),
    });
    this.#peers = new Peers({
      peers: settings.peers,
      intervalMs: times.peerIntervalMs,
      deadlineMs: Math.min(times.peerQuestionMs, settings.peerDeadlineMs),
      clock,
      self: () => this.#self,
      onChange: () => void this.judge(),
    });
    this.#pooler =
      settings.pooler &&
      new PoolerWatch({
        ...settings.pooler,
        intervalMs: times.poolerIntervalMs,
        deadlineMs: times.poolerDeadlineMs,
        clock,
        onChange: () => void this.judge(),
      });
  }

  /** Starts watching; resolves when the first probe has been answered or has failed. */
  async start(): Promise<void> {
    this.#peers.start();
    void this.#pooler?.start();
    const { host, port } = this.settings.postgres;
    void watchDoor(
      {
        address: { host, port },
        intervalMs: times.doorIntervalMs,
        deadlineMs: times.connectDeadlineMs,
        clock: this.#clock,
      },
      this.#ended.signal,
      (silentSince) => {
        this.#doorSilentSince = silentSince;
      },
    );
    await this.#settled();
    void this.#tick();
  }

  stop(): void {
    this.#ended.abort(new Error("pg-health is stopping"));
    this.#probe.stop();
    this.#peers.stop();
    this.#pooler?.stop();
  }

  /**
   * Resolves when what is known is fresh enough to answer from: at once (undefined) when it is,
   * else when the probe in flight is settled or has taken 100 ms.
   */
  ready(): Promise<void> | undefined {
    const now = this.#clock.monotonic();
    const age = this.#sample === null ? Infinity : now - this.#sample.askedAt;
    if (this.#link.state === "up" && age < times.refreshMs) return undefined;
    void this.#probe.ask();
    if (this.#link.state === "up" && age < times.freshMs) return undefined;
    const since = this.#probe.askedSince;
    if (since === undefined || now - since >= times.waitMs) return undefined;
    return this.#settled();
  }

  /** Judges anew, remembers and logs a change, and returns the judgement. */
  judge(): Assessment {
    const now = this.#clock.monotonic();
    const next = assess(this.#knowledge(now), this.#policy, now);
    const before = this.#shown;
    this.#shown = next;
    if (next.answer !== before.answer || next.slow !== before.slow) this.#tell(next, before);
    return next;
  }

  /** When the answer's word last changed (milliseconds since the epoch). */
  get since(): number {
    return this.#since;
  }
  get sample(): TimedSample | null {
    return this.#sample;
  }
  get self(): Self | null {
    return this.#self;
  }
  get peers(): Peers["memories"] {
    return this.#peers.memories;
  }
  get pooler(): PoolerState {
    return this.#pooler?.state ?? { state: "none", detail: "no pooler is declared" };
  }
  /** Milliseconds since the last probe that was answered; null before the first. */
  get probeAgeMs(): number | null {
    return this.#sample === null ? null : this.#clock.monotonic() - this.#sample.answeredAt;
  }

  /** True while this is a standby whose stream is whole. */
  get streams(): boolean {
    return this.#standby?.contact.streams === true;
  }

  /** How far behind this standby is; null values where that cannot be known. */
  lag(mode: LagMode): Lag {
    const sample = this.#sample?.sample;
    if (sample === undefined || this.#standby === null) return unknownLag;
    const asked = { mode, peer: this.#peerPrimary(), now: this.#clock.monotonic() };
    return lagNow(this.#standby, sample, asked);
  }

  #knowledge(now: number): Knowledge {
    const pooler = this.#pooler?.state;
    const self = this.#self;
    const waits =
      self?.role === "primary" && now - this.#firstSeenAt < this.settings.peerDeadlineMs;
    return {
      link: this.#link,
      sample: this.#sample,
      askedSince: this.#probe.askedSince ?? null,
      doorSilentSince: this.#doorSilentSince,
      poolerDead: pooler?.state === "dead" ? pooler.detail : null,
      awaitedPeers: waits
        ? stillToAnswer(this.#peers.memories, this.#firstSeenAt).map((peer) => peer.url)
        : [],
      verdict: self === null ? clear : defend(self, this.#peers.memories),
    };
  }

  #onSample(timed: TimedSample): void {
    const { sample } = timed;
    this.#onProbe(timed.answeredAt - timed.askedAt);
    this.#sample = timed;
    this.#link = { state: "up", reason: "" };
    const before = this.#self;
    if (before?.startedAt !== sample.startedAt) {
      this.#firstSeenAt = timed.askedAt;
      this.#peers.askNow();
    }
    this.#self = nextSelf(before, timed, this.#clock.now());
    if (this.#self.primarySince !== before?.primarySince) this.#peers.askNow();
    this.#standby = nextMemory(this.#standby, timed, this.#peerPrimary());
    this.judge();
  }

  #onPromotion(sample: Sample, promotedAt: string | null): void {
    const self = this.#self;
    if (self === null || promotedAt === null || self.timeline !== sample.timeline) return;
    this.#self = { ...self, promotedAt };
    this.judge();
  }

  #peerPrimary(): PeerPrimary | null {
    return peerPrimary(this.#peers.memories, this.#self);
  }

  /** One wait for all who wait for the same probe. */
  #settled(): Promise<void> {
    this.#waiting ??= withDeadline("wait for the probe", times.waitMs, () => this.#probe.ask())
      .catch(() => undefined)
      .finally(() => {
        this.#waiting = undefined;
      });
    return this.#waiting;
  }

  async #tick(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await this.#settled();
      this.judge();
      const pause = this.#link.state === "up" ? times.tickMs : times.retryMs;
      await this.#clock.sleep(pause, signal).catch(() => undefined);
    }
  }

  #tell(next: Assessment, before: Assessment): void {
    if (next.answer !== before.answer) this.#since = this.#clock.now();
    const sample = this.#sample?.sample;
    const lsn = sample?.writeLsn ?? sample?.replayLsn ?? null;
    this.#logger.info(
      {
        node: this.settings.member,
        role: sample?.role ?? null,
        timeline: sample?.timeline ?? null,
        lsn: lsn === null ? null : formatLsn(lsn),
      },
      `answers ${next.answer}${next.slow ? " (slow)" : ""}: ${next.reason}`,
    );
  }
}
