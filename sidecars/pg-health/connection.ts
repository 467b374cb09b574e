/** The connection of pg-health to its Postgres or to a PgBouncer console. Values come back as text. */
// The driver is loaded before anything listens: the first probe must not wait for it.
import "pg";
import type { Secret } from "../../config/secret.ts";
import { DeadlineError } from "../../kit/clock.ts";
import { openPgConnection } from "../../kit/pg-connection.ts";
import type { PgConnection, PgConnectionError, PgTarget } from "../../kit/pg-connection.ts";

export interface Target extends Pick<PgTarget, "host" | "port" | "user" | "database" | "tls"> {
  /** What is there, for messages. */
  readonly kind: "Postgres" | "PgBouncer";
  readonly password: Secret;
  /** Server settings of the session; PgBouncer's console takes none. */
  readonly settings: Readonly<Record<string, string>>;
}

export type Row = Readonly<Record<string, string | null>>;

export interface Connection {
  /** Runs one statement and resolves with its rows; rejects with PgConnectionError. */
  readonly query: (text: string) => Promise<readonly Row[]>;
  /** Ends the session politely, or cuts it when a query is still running; waits for nothing. */
  readonly close: () => void;
}

/**
 * Opens a connection; `onLost` is called once when an open one ends without close() being called.
 * @throws PgConnectionError, or the signal's reason
 */
export async function openConnection(
  target: Target,
  options: { deadlineMs: number; signal: AbortSignal; onLost: (error: PgConnectionError) => void },
): Promise<Connection> {
  const { kind, password, ...rest } = target;
  const connection: PgConnection = await openPgConnection(
    {
      ...rest,
      title: kind,
      password: () => password.reveal(),
      applicationName: "switchyard-pg-health",
      values: "text",
    },
    options,
  );
  return {
    query: async (text) => (await connection.query(text)) as readonly Row[],
    close: connection.leave,
  };
}

/** True when an error says that a deadline was over. */
export function isDeadline(error: unknown): boolean {
  return error instanceof DeadlineError;
}
