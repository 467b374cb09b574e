/**
 * A short session with a Postgres or with a PgBouncer console: open, ask by simple queries, leave.
 * It never outlives its deadline and never waits for a peer that is frozen to say goodbye.
 */
import { Socket } from "node:net";
import { formatAddress } from "./address.ts";
import { withDeadline } from "./clock.ts";

export interface PgTarget {
  /** What it is, for messages, such as "Postgres of dal-01". */
  readonly title: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Hands out the password for the one call that needs it. */
  readonly password: () => string;
  readonly database: string;
  readonly tls: {
    readonly mode: "disable" | "require" | "verify-full";
    /** PEM text of the authority that verify-full trusts; the system's when not given. */
    readonly ca?: string;
  };
  readonly applicationName: string;
}

/** Runs one simple query (it may hold several statements) and resolves with the last one's rows. */
export type AskPostgres = (text: string) => Promise<readonly Readonly<Record<string, unknown>>[]>;

/** A session could not be opened, or a statement failed; the message says what came back. */
export class PgSessionError extends Error {
  override readonly name = "PgSessionError";
  readonly code = "ERR_PG_SESSION";
  /** The SQLSTATE where the server answered with an error, such as 28P01. */
  readonly sqlState: string | undefined;
  constructor(what: string, cause: unknown) {
    super(`${what}: ${wordsOf(cause)}`, { cause });
    const code = codeOf(cause);
    this.sqlState = code !== undefined && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
  }
}

const systemWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  EPIPE: "connection closed",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to the network",
  ETIMEDOUT: "connection timed out",
  ENOTFOUND: "no such host name",
  EAI_AGAIN: "the host name could not be resolved",
};

function codeOf(cause: unknown): string | undefined {
  const code = (cause as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}

function wordsOf(cause: unknown): string {
  const known = systemWords[codeOf(cause) ?? ""];
  if (known !== undefined) return known;
  return cause instanceof Error && cause.message !== "" ? cause.message : "connection closed";
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
  const { Client } = await import("pg");
  const what = `${target.title} at ${formatAddress(target)}`;
  const socket = new Socket();
  const client = new Client({
    host: target.host,
    port: target.port,
    user: target.user,
    password: target.password(),
    database: target.database,
    application_name: target.applicationName,
    ssl: tlsOptions(target.tls),
    stream: () => socket,
  });
  // Failures reach the caller through the pending call; without a listener they would end us.
  client.on("error", () => undefined);
  const ask: AskPostgres = async (text) => {
    try {
      const result = await client.query<Record<string, unknown>>(text);
      return (Array.isArray(result) ? (result.at(-1) as typeof result) : result).rows;
    } catch (cause) {
      throw new PgSessionError(what, cause);
    }
  };
  const session = async (): Promise<T> => {
    await client.connect().catch((cause: unknown) => {
      throw new PgSessionError(what, cause);
    });
    return await work(ask);
  };
  try {
    const result = await withDeadline(what, options.deadlineMs, session, options.signal);
    client.end().catch(() => undefined);
    return result;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    // The goodbye is on its way; a frozen peer's silence must not keep this process alive.
    socket.unref();
  }
}

function tlsOptions(tls: PgTarget["tls"]): false | { rejectUnauthorized: boolean; ca?: string } {
  if (tls.mode === "disable") return false;
  if (tls.mode === "require") return { rejectUnauthorized: false };
  return { rejectUnauthorized: true, ...(tls.ca === undefined ? {} : { ca: tls.ca }) };
}
