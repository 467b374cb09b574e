/**
 * A short session with a Postgres or with a PgBouncer console: open, ask by simple queries, leave.
 * It never outlives its deadline and never waits for a peer that is frozen to say goodbye.
 */
import { withDeadline } from "./clock.ts";
import { describeTarget, openPgConnection, PgConnectionError } from "./pg-connection.ts";
import type { PgConnection, PgRow, PgTarget } from "./pg-connection.ts";

/** Runs one simple query (it may hold several statements) and resolves with the last one's rows. */
export type AskPostgres = (text: string) => Promise<readonly PgRow[]>;

/** A session could not be opened, or a statement failed; the message says what came back. */
export class PgSessionError extends Error {
  override readonly name = "PgSessionError";
  readonly code = "ERR_PG_SESSION";
  /** The SQLSTATE where the server answered with an error, such as 28P01. */
  readonly sqlState: string | undefined;
  constructor(cause: PgConnectionError) {
    super(cause.message, { cause });
    this.sqlState = cause.sqlState;
  }
}

/**
 * Opens a session, runs `work` with it, and leaves; all within `deadlineMs`.
 * @throws PgSessionError, DeadlineError, the signal's reason, or what `work` throws
 */
export async function withPgSession<T>(
  target: PgTarget,
  options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
  work: (ask: AskPostgres) => Promise<T>,
): Promise<T> {
  const { deadlineMs } = options;
  let connection: PgConnection | undefined;
  const session = async (signal: AbortSignal): Promise<T> => {
    const opened = await openPgConnection(target, { deadlineMs, signal }).catch(asSessionError);
    connection = opened;
    return await work((text) => opened.query(text).catch(asSessionError));
  };
  try {
    const result = await withDeadline(describeTarget(target), deadlineMs, session, options.signal);
    connection?.leave();
    return result;
  } catch (error) {
    connection?.cut();
    throw error;
  }
}

function asSessionError(error: unknown): never {
  throw error instanceof PgConnectionError ? new PgSessionError(error) : error;
}
