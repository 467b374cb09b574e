/**
 * One connection to a Postgres or to a PgBouncer console: opened under a deadline, asked by simple
 * queries, left without ever waiting for a peer that is frozen. Every way to Postgres stands on it.
 */
import { Socket } from "node:net";
import type { Client, ClientConfig } from "pg";
import { formatAddress } from "./address.ts";
import { withDeadline } from "./clock.ts";
import { faultCode, faultWords } from "./fault-words.ts";

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
  readonly applicationName?: string;
  /** Server settings of the session; PgBouncer's console takes none. */
  readonly settings?: Readonly<Record<string, string>>;
  /** "text" leaves every value as the server wrote it; as JavaScript's types when not given. */
  readonly values?: "text" | "parsed";
  /** How long each query may take, in ms; its asker's business when not given. */
  readonly queryDeadlineMs?: number;
}

export interface PgOpenOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  /** Called once when an open connection ends without anybody here having ended it. */
  readonly onLost?: (error: PgConnectionError) => void;
}

/** A row by column names; values are text or null where the target asked for text. */
export type PgRow = Readonly<Record<string, unknown>>;

export interface PgConnection {
  /** The driver's own client, for queries with parameters. */
  readonly client: Client;
  /**
   * Runs one simple query (it may hold several statements); resolves with the last one's rows.
   * Rejects with PgConnectionError.
   */
  readonly query: (text: string) => Promise<readonly PgRow[]>;
  /** Says goodbye, or hangs up on a query under way; resolves when the peer is gone, in 1 s. */
  readonly close: () => Promise<void>;
  /** The same without waiting; what is left of it keeps no process alive. */
  readonly leave: () => void;
  /** Hangs up at once. */
  readonly cut: () => void;
}

/**
 * refused: nothing listens there, or the peer closed the connection; silent: no answer in time;
 * full: no slot is free (SQLSTATE 53300); denied: the server is there and says no; failed: the
 * statement failed and the connection lives.
 */
export type PgFault = "refused" | "silent" | "full" | "denied" | "failed";

/** A connection could not be opened or used; the message says what came back. */
export class PgConnectionError extends Error {
  override readonly name = "PgConnectionError";
  readonly code = "ERR_CONNECTION";
  readonly fault: PgFault;
  /** The SQLSTATE where the server answered with an error, such as 28P01. */
  readonly sqlState: string | undefined;
  constructor(what: string, fault: PgFault, cause: unknown) {
    super(`${what}: ${faultWords(cause)}`, { cause });
    this.fault = fault;
    this.sqlState = sqlStateOf(cause);
  }
}

/** How long a goodbye may take: a peer that was frozen meanwhile never answers it. */
const goodbyeMs = 1000;

/** What a system error or an SQLSTATE of a failed login means; any other SQLSTATE is "denied". */
const faultByCode: Readonly<Record<string, PgFault>> = {
  ECONNREFUSED: "refused",
  ECONNRESET: "refused",
  EPIPE: "refused",
  "53300": "full",
  ERR_DEADLINE: "silent",
};

/** The code of a server's error. EPIPE is five characters too, and no SQLSTATE begins so. */
function sqlStateOf(cause: unknown): string | undefined {
  const code = faultCode(cause);
  return /^[0-9A-Z]{5}$/.test(code) && !/^E[A-Z]{4}$/.test(code) ? code : undefined;
}

function faultOf(cause: unknown): PgFault {
  const known = faultByCode[faultCode(cause)];
  if (known !== undefined) return known;
  if (sqlStateOf(cause) !== undefined) return "denied";
  return cause instanceof Error && cause.message.includes("terminated") ? "refused" : "silent";
}

/** How a target is called in messages, such as "Postgres of dal-01 at 10.0.0.1:5432". */
export function describeTarget(target: Pick<PgTarget, "title" | "host" | "port">): string {
  return `${target.title} at ${formatAddress(target)}`;
}

/** Loads the driver now, for whoever is about to connect under a deadline of their own. */
export async function loadPgDriver(): Promise<void> {
  await import("pg");
}

/**
 * Opens a connection within `deadlineMs`; the caller ends it by close, leave or cut.
 * @throws PgConnectionError, or the signal's reason
 */
export async function openPgConnection(
  target: PgTarget,
  options: PgOpenOptions,
): Promise<PgConnection> {
  // Only who connects waits for the driver to load.
  const { Client } = await import("pg");
  const what = describeTarget(target);
  const socket = new Socket();
  const client = new Client(clientConfig(target, socket));
  let state: "opening" | "open" | "ended" = "opening";
  const lost = (cause: unknown): void => {
    if (state !== "open") return;
    state = "ended";
    socket.destroy();
    options.onLost?.(new PgConnectionError(what, "refused", cause));
  };
  // Other failures reach the caller through the pending call; without a listener they would end us.
  client.on("error", lost);
  client.on("end", () => lost(new Error("the connection was closed")));
  try {
    await withDeadline(what, options.deadlineMs, () => client.connect(), options.signal);
  } catch (cause) {
    state = "ended";
    socket.destroy();
    options.signal?.throwIfAborted();
    throw new PgConnectionError(what, faultOf(cause), cause);
  }
  state = "open";
  const close = async (): Promise<void> => {
    state = "ended";
    // A frozen peer would keep a half-closed socket for ever.
    socket.setTimeout(goodbyeMs, () => socket.destroy());
    await client.end().catch(() => undefined);
  };
  return {
    client,
    query: (text) => ask(client, what, text),
    close,
    leave: () => {
      void close();
      socket.unref();
    },
    cut: () => {
      state = "ended";
      socket.destroy();
    },
  };
}

async function ask(client: Client, what: string, text: string): Promise<readonly PgRow[]> {
  try {
    const result = await client.query<Record<string, unknown>>(text);
    return (Array.isArray(result) ? (result.at(-1) as typeof result) : result).rows;
  } catch (cause) {
    const { severity } = cause as { severity?: string };
    const lives = sqlStateOf(cause) !== undefined && severity !== "FATAL" && severity !== "PANIC";
    throw new PgConnectionError(what, lives ? "failed" : "refused", cause);
  }
}

function clientConfig(target: PgTarget, socket: Socket): ClientConfig {
  const { applicationName, queryDeadlineMs } = target;
  const settings = Object.entries(target.settings ?? {});
  return {
    host: target.host,
    port: target.port,
    user: target.user,
    password: target.password(),
    database: target.database,
    keepAlive: true,
    keepAliveInitialDelayMillis: 1000,
    ssl: tlsOptions(target.tls),
    stream: () => socket,
    ...(applicationName === undefined ? {} : { application_name: applicationName }),
    ...(queryDeadlineMs === undefined ? {} : { query_timeout: queryDeadlineMs }),
    ...(target.values === "text"
      ? { types: { getTypeParser: () => (value: string) => value } }
      : {}),
    ...(settings.length === 0
      ? {}
      : { options: settings.map(([name, value]) => `-c ${name}=${value}`).join(" ") }),
  };
}

// Whom verify-full expects is the target's host, a name or an address: pg hands it to TLS.
function tlsOptions(tls: PgTarget["tls"]): ClientConfig["ssl"] {
  if (tls.mode === "disable") return false;
  if (tls.mode === "require") return { rejectUnauthorized: false };
  return { rejectUnauthorized: true, ...(tls.ca === undefined ? {} : { ca: tls.ca }) };
}
