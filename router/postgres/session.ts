/**
 * A session with one member's Postgres that is kept: for the lock, and for the looks of a long
 * operation. It knows when it was last answered, and a question that is not answered in time does
 * not hold up whoever asked.
 */
import { readFile } from "node:fs/promises";
import type { Environment, Member } from "../../config/schema.ts";
import { systemClock } from "../../kit/clock.ts";
import { openPgConnection, PgConnectionError } from "../../kit/pg-connection.ts";
import type { PgConnection, PgRow, PgTarget } from "../../kit/pg-connection.ts";
import type { AskPostgres } from "../../kit/pg-session.ts";

/** A statement that is planned once a session. */
export interface PreparedStatement {
  /** A plain SQL name of its own. */
  readonly name: string;
  /** Such as `(int) AS SELECT $1`; what stands behind PREPARE and the name. */
  readonly text: string;
}

export interface SessionOptions {
  /** Shown in pg_stat_activity; at most 63 bytes of it. */
  readonly applicationName: string;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

/** The session is gone, or did not answer in time. */
export class SessionLostError extends Error {
  override readonly name = "SessionLostError";
  readonly code = "ERR_SESSION_LOST";
  readonly member: string;
  constructor(member: string, came: string, cause?: unknown) {
    super(`session with Postgres of ${member}: ${came}`, { cause });
    this.member = member;
  }
}

/**
 * Settings of a session, those of them that this version has. A host that dies takes its sessions,
 * and their locks, along within seconds. What we write need not wait for a standby: the act itself
 * looks for it there. PostgreSQL manual, 20.3.2 and 20.11.
 */
const sessionSettings: Readonly<Record<string, string>> = {
  tcp_keepalives_idle: "2",
  tcp_keepalives_interval: "1",
  tcp_keepalives_count: "3",
  tcp_user_timeout: "5000",
  client_connection_check_interval: "1000",
  idle_session_timeout: "0",
  idle_in_transaction_session_timeout: "60000",
  lock_timeout: "5000",
  statement_timeout: "30000",
  synchronous_commit: "local",
};

const settingsStatement = `SELECT set_config(name, wanted, false) FROM (VALUES ${Object.entries(
  sessionSettings,
)
  .map(([name, value]) => `('${name}', '${value}')`)
  .join(", ")}) AS list (name, wanted) JOIN pg_settings USING (name)`;

/** SQLSTATE duplicate_prepared_statement. */
const duplicatePrepared = "42P05";

let opened = 0;

/** One open session; close it after use. */
export class MemberSession {
  readonly member: string;
  /** Names it among the sessions of this process. */
  readonly id: string;
  readonly #connection: PgConnection;
  readonly #prepared = new Set<string>();
  #last: Promise<unknown> = Promise.resolve();
  #open = true;
  #answeredAt = 0;

  private constructor(member: string, connection: PgConnection) {
    opened += 1;
    this.member = member;
    this.id = `${member}#${opened}`;
    this.#connection = connection;
  }

  /**
   * Opens a session in database postgres of `member`.
   * @throws PgConnectionError, or the signal's reason
   */
  static async open(
    environment: Environment,
    member: Member,
    options: SessionOptions,
  ): Promise<MemberSession> {
    const { deadlineMs, signal, applicationName } = options;
    const target = await memberTarget(environment, member, applicationName);
    const made: { session?: MemberSession } = {};
    const connection = await openPgConnection(target, {
      deadlineMs,
      ...(signal === undefined ? {} : { signal }),
      onLost: () => {
        if (made.session !== undefined) made.session.#open = false;
      },
    });
    const session = new MemberSession(member.name, connection);
    made.session = session;
    try {
      await session.ask(settingsStatement, signal);
      return session;
    } catch (error) {
      session.cut();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /**
   * Runs one simple query; resolves with the last statement's rows, values as text. One question is
   * under way at a time; what is still in the queue when its signal aborts is never sent, while the
   * answer to what was sent is dropped.
   * @throws SessionLostError, PgConnectionError, or the signal's reason
   */
  async ask(text: string, signal?: AbortSignal): Promise<readonly PgRow[]> {
    const answer = this.#last.then(async () => {
      signal?.throwIfAborted();
      if (!this.#open) throw new SessionLostError(this.member, "it is gone");
      const rows = await this.#connection.query(text).catch((error: unknown) => {
        // The end of the connection itself is heard of a moment later.
        if (error instanceof PgConnectionError && error.fault === "refused") this.#open = false;
        throw error;
      });
      this.#answeredAt = systemClock.monotonic();
      return rows;
    });
    // A failure that nobody waits for any more must not end the process.
    this.#last = answer.catch(() => undefined);
    return signal === undefined ? await answer : await orAborted(answer, signal);
  }

  /** Plans a statement unless it is planned. @throws as ask */
  async prepare({ name, text }: PreparedStatement, signal?: AbortSignal): Promise<void> {
    if (this.#prepared.has(name)) return;
    try {
      await this.ask(`PREPARE ${name} ${text}`, signal);
    } catch (error) {
      // An earlier question was given up after it was sent.
      if ((error as { sqlState?: unknown }).sqlState !== duplicatePrepared) throw error;
    }
    this.#prepared.add(name);
  }

  /** Runs a prepared statement; `values` are SQL literals. @throws as ask */
  async execute(
    statement: PreparedStatement,
    values: readonly string[],
    signal?: AbortSignal,
  ): Promise<readonly PgRow[]> {
    await this.prepare(statement, signal);
    const list = values.length === 0 ? "" : `(${values.join(", ")})`;
    return await this.ask(`EXECUTE ${statement.name}${list}`, signal);
  }

  /** Drops every plan: what they were made for has changed. @throws as ask */
  async forgetPlans(signal?: AbortSignal): Promise<void> {
    this.#prepared.clear();
    await this.ask("DEALLOCATE ALL", signal);
  }

  /** True once the statement is planned here. */
  isPrepared({ name }: PreparedStatement): boolean {
    return this.#prepared.has(name);
  }

  /** True when it has answered, to whatever question, within the last `ms`. */
  answeredWithin(ms: number): boolean {
    return this.#open && systemClock.monotonic() - this.#answeredAt <= ms;
  }

  /** Resolves when the server has let go of it, or has had a second to do so. */
  async close(): Promise<void> {
    this.#open = false;
    await this.#connection.close();
  }

  /** Hangs up at once. */
  cut(): void {
    this.#open = false;
    this.#connection.cut();
  }
}

async function orAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([answer, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/**
 * How `member` is reached: its database postgres, with every value as text, unless `other` says
 * otherwise.
 * @throws the file system's error for login.tlsCa
 */
export async function memberTarget(
  { login }: Pick<Environment, "login">,
  member: Member,
  applicationName: string,
  other: Partial<Pick<PgTarget, "title" | "database" | "values">> = {},
): Promise<PgTarget> {
  const ca = login.tlsCa === undefined ? undefined : await readFile(login.tlsCa, "utf8");
  return {
    title: `Postgres of ${member.name}`,
    ...member.postgres,
    user: login.user,
    password: () => login.password.reveal(),
    database: "postgres",
    tls: { mode: login.tls, ...(ca === undefined ? {} : { ca }) },
    applicationName,
    values: "text",
    ...other,
  };
}

/** `session` as a plain question, such as the journal takes it. */
export function askOf(session: MemberSession, signal?: AbortSignal): AskPostgres {
  return (text) => session.ask(text, signal);
}
