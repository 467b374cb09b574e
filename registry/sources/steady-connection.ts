/**
 * A connection of a role source that is kept: opened when it is needed, asked under a deadline, and
 * given up where it does not answer. The password is read anew for each connection, so that it can be
 * changed under a running registry.
 */
import { resolveSecret } from "../../config/secret-source.ts";
import { withDeadline } from "../../kit/clock.ts";
import { faultWords } from "../../kit/fault-words.ts";
import { openPgConnection, PgConnectionError } from "../../kit/pg-connection.ts";
import type { PgConnection, PgTarget } from "../../kit/pg-connection.ts";

export interface ConnectionKeys extends Pick<
  PgTarget,
  "title" | "host" | "port" | "user" | "database"
> {
  readonly tls: PgTarget["tls"]["mode"];
  readonly passwordFile: string;
  /** Opening, and each answer, in ms. */
  readonly openMs: number;
  readonly answerMs: number;
}

export interface ConnectionEvents {
  /** Runs over each new connection before it is used. */
  readonly onOpen?: (connection: PgConnection) => Promise<void>;
  /** An open connection ended by itself. */
  readonly onLost: () => void;
}

export type TextRow = Readonly<Record<string, string | null>>;

export class SteadyConnection {
  readonly #keys: ConnectionKeys;
  readonly #events: ConnectionEvents;
  readonly #ended = new AbortController();
  #open: PgConnection | undefined;
  #opening: Promise<PgConnection> | undefined;

  constructor(keys: ConnectionKeys, events: ConnectionEvents) {
    this.#keys = keys;
    this.#events = events;
  }

  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /**
   * Runs one statement and resolves with its rows, opening the connection first where there is none.
   * @throws PgConnectionError, DeadlineError, SecretError
   */
  async ask(text: string): Promise<readonly TextRow[]> {
    const connection = this.#open ?? (await this.open());
    const { title, answerMs } = this.#keys;
    try {
      return await withDeadline(
        title,
        answerMs,
        async () => (await connection.query(text)) as readonly TextRow[],
        this.#ended.signal,
      );
    } catch (error) {
      if (!(error instanceof PgConnectionError && error.fault === "failed")) this.#drop(connection);
      throw error;
    }
  }

  /**
   * Opens the connection where there is none; whoever asks meanwhile waits for the same one.
   * @throws PgConnectionError, SecretError, or what onOpen throws
   */
  open(): Promise<PgConnection> {
    if (this.#open !== undefined) return Promise.resolve(this.#open);
    this.#opening ??= this.#openNew().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  /** Cuts the connection, now and for good. */
  stop(): void {
    this.#ended.abort(new Error("the role source is stopping"));
    if (this.#open !== undefined) this.#drop(this.#open);
  }

  async #openNew(): Promise<PgConnection> {
    const { tls, passwordFile, openMs, answerMs, ...rest } = this.#keys;
    const password = await resolveSecret(`file:${passwordFile}`, {});
    const connection: PgConnection = await openPgConnection(
      {
        ...rest,
        tls: { mode: tls },
        password: () => password.reveal(),
        applicationName: "switchyard-registry",
        values: "text",
      },
      {
        deadlineMs: openMs,
        signal: this.#ended.signal,
        onLost: () => {
          if (this.#open !== connection) return;
          this.#open = undefined;
          this.#events.onLost();
        },
      },
    );
    try {
      const prepare = async (): Promise<void> => await this.#events.onOpen?.(connection);
      await withDeadline(this.#keys.title, answerMs, prepare, this.#ended.signal);
      // It may have been stopped in the very turn in which this was done, and nobody would end it.
      this.#ended.signal.throwIfAborted();
    } catch (error) {
      connection.cut();
      throw error;
    }
    this.#open = connection;
    return connection;
  }

  #drop(connection: PgConnection): void {
    if (this.#open === connection) this.#open = undefined;
    connection.cut();
  }
}

/** What came back instead of an answer, in a few words that do not name the peer. */
export function whyNoAnswer(error: unknown): string {
  return faultWords(error instanceof PgConnectionError ? error.cause : error);
}
