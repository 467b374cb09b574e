/**
 * The probe: one persistent connection, one question in flight however many ask, reconnecting by
 * itself. It reports what it learns and judges nothing.
 *
 * A question that is not answered in good time keeps its connection (a frozen Postgres answers
 * it on thawing, and the slot is not given away) while a second connection is tried beside it (a
 * healed network answers that one first). Whichever answers is kept.
 */
import { withDeadline } from "../../kit/clock.ts";
import type { Clock } from "../../kit/clock.ts";
import { PgConnectionError } from "../../kit/pg-connection.ts";
import { isDeadline, openConnection } from "./connection.ts";
import type { Connection, Row, Target } from "./connection.ts";
import { probeSql, promotionPrivilegeSql, promotionSql, readSample } from "./sample.ts";
import type { Link, Sample, TimedSample } from "./sample.ts";

export interface ProbeOptions {
  readonly target: Target;
  /** After this long without an answer a second connection is tried. */
  readonly doubtMs: number;
  readonly connectDeadlineMs: number;
  readonly clock: Clock;
  /** An answer has come: the link is up. */
  readonly onSample: (sample: TimedSample) => void;
  /** The connection was lost or could not be made. */
  readonly onFault: (link: Link) => void;
  /** When a primary's timeline began, told once for each start; null when it cannot be known. */
  readonly onPromotion: (sample: Sample, promotedAt: string | null) => void;
}

const backoffMs = [0, 50, 100, 200] as const;
const backoffMaxMs = 250;

const linkByFault = {
  refused: "down",
  failed: "down",
  silent: "silent",
  full: "full",
  denied: "denied",
} as const;

export class Probe {
  readonly #options: ProbeOptions;
  readonly #ended = new AbortController();
  #connection: Connection | undefined;
  #flight: { readonly done: Promise<void>; readonly since: number } | undefined;
  #failures = 0;
  #notBefore = 0;
  #promotionKey = "";

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  /** When the question in flight was put (monotonic ms); undefined when there is none. */
  get askedSince(): number | undefined {
    return this.#flight?.since;
  }

  /**
   * Puts the question unless it is in flight already; resolves (never rejects) when it has been
   * answered or has failed. While a reconnect is being put off, it resolves at once.
   */
  ask(): Promise<void> {
    if (this.#flight !== undefined) return this.#flight.done;
    const since = this.#options.clock.monotonic();
    if (since < this.#notBefore || this.#ended.signal.aborted) return Promise.resolve();
    const done = this.#round()
      .catch(() => undefined)
      .finally(() => {
        this.#flight = undefined;
      });
    this.#flight = { done, since };
    return done;
  }

  /** Ends the connection and all that is under way. */
  stop(): void {
    this.#ended.abort(new Error("pg-health is stopping"));
    this.#connection?.close();
    this.#connection = undefined;
  }

  async #round(): Promise<void> {
    // A connection that turns out lost is replaced in the same round: who waits for the round
    // then learns whether Postgres is gone or only the connection was.
    if (this.#connection !== undefined && (await this.#askOver(this.#connection, "lost"))) return;
    const connection = await this.#connect();
    if (connection === undefined) return;
    this.#connection = connection;
    if (!(await this.#askOver(connection, "down"))) this.#putOff();
  }

  async #connect(): Promise<Connection | undefined> {
    try {
      return await this.#open();
    } catch (error) {
      this.#putOff();
      this.#report(error, "down");
      return undefined;
    }
  }

  #putOff(): void {
    this.#notBefore = this.#options.clock.monotonic() + (backoffMs[this.#failures] ?? backoffMaxMs);
    this.#failures += 1;
  }

  async #open(signal: AbortSignal = this.#ended.signal): Promise<Connection> {
    const connection: Connection = await openConnection(this.#options.target, {
      deadlineMs: this.#options.connectDeadlineMs,
      signal,
      onLost: (error) => this.#lost(connection, error),
    });
    return connection;
  }

  #lost(connection: Connection, error: PgConnectionError): void {
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    this.#report(error, "lost");
    void this.ask();
  }

  /** `refused`: what a connection that was closed or refused means, which is "lost" while another is tried. */
  #report(error: unknown, refused: "lost" | "down"): void {
    if (this.#ended.signal.aborted) return;
    const known = error instanceof PgConnectionError ? linkByFault[error.fault] : "silent";
    const state = known === "down" ? refused : known;
    this.#options.onFault({ state, reason: (error as Error).message });
  }

  /** Puts the question over `connection`; false when the connection is lost, which then is `refused`. */
  async #askOver(connection: Connection, refused: "lost" | "down"): Promise<boolean> {
    const askedAt = this.#options.clock.monotonic();
    const asked = connection.query(probeSql);
    // Where the end is asked for at this very moment, nobody waits for it.
    asked.catch(() => undefined);
    try {
      const sample = this.#accept(await this.#inTimeOrElse(asked), askedAt);
      if (sample.role === "primary") await this.#learnPromotion(sample);
      return true;
    } catch (error) {
      // The server answered with an error (such as a statement timeout): the connection lives,
      // and the age of the last sample tells the rest.
      if (error instanceof PgConnectionError && error.fault === "failed") return true;
      if (this.#connection === connection) this.#connection = undefined;
      connection.close();
      this.#report(error, refused);
      return false;
    }
  }

  async #inTimeOrElse(asked: Promise<readonly Row[]>): Promise<readonly Row[]> {
    try {
      return await withDeadline("probe", this.#options.doubtMs, () => asked, this.#ended.signal);
    } catch (error) {
      if (!isDeadline(error)) throw error;
    }
    const settled = new AbortController();
    const signal = AbortSignal.any([settled.signal, this.#ended.signal]);
    try {
      return await Promise.race([asked, this.#secondConnection(signal)]);
    } finally {
      settled.abort(new Error("the probe was answered"));
    }
  }

  /** Opens connections until one answers, which then takes the place of the first. */
  async #secondConnection(signal: AbortSignal): Promise<readonly Row[]> {
    for (;;) {
      try {
        const connection = await this.#open(signal);
        const question = (): Promise<readonly Row[]> => connection.query(probeSql);
        const deadlineMs = this.#options.connectDeadlineMs;
        try {
          const rows = await withDeadline("probe", deadlineMs, question, signal);
          this.#connection?.close();
          this.#connection = connection;
          return rows;
        } catch (error) {
          connection.close();
          throw error;
        }
      } catch {
        await this.#options.clock.sleep(backoffMaxMs, signal);
      }
    }
  }

  #accept(rows: readonly Row[], askedAt: number): Sample {
    const sample = readSample(rows[0]);
    this.#failures = 0;
    this.#notBefore = 0;
    this.#options.onSample({ sample, askedAt, answeredAt: this.#options.clock.monotonic() });
    return sample;
  }

  async #learnPromotion(sample: Sample): Promise<void> {
    const connection = this.#connection;
    const key = `${sample.startedAt}/${sample.timeline}`;
    if (key === this.#promotionKey || connection === undefined) return;
    const promotedAt = await promotionOf(sample, connection);
    this.#promotionKey = key;
    this.#options.onPromotion(sample, promotedAt);
  }
}

async function promotionOf(sample: Sample, connection: Connection): Promise<string | null> {
  try {
    const [privilege] = await connection.query(promotionPrivilegeSql);
    if (privilege?.["granted"] !== "true") return null;
    const [row] = await connection.query(promotionSql(sample.timeline));
    return row?.["promoted_at"] ?? null;
  } catch (error) {
    if (error instanceof PgConnectionError && error.fault === "failed") return null;
    throw error;
  }
}
