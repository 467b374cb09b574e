/**
 * One connection to Postgres or to a PgBouncer console: opened under a deadline, asked by simple
 * queries, and telling at once when it is lost. Values come back as text.
 */
import { Socket } from "node:net";
import { checkServerIdentity } from "node:tls";
import { Client } from "pg";
import type { ClientConfig } from "pg";
import { DeadlineError, withDeadline } from "../../kit/clock.ts";
import type { Secret } from "../../config/secret.ts";

export interface Target {
  /** What is there, for messages. */
  readonly kind: "Postgres" | "PgBouncer";
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: Secret;
  readonly database: string;
  /** What TLS to ask for; `ca` is the PEM text that verify-full trusts besides the system's. */
  readonly tls: { readonly mode: "disable" | "require" | "verify-full"; readonly ca?: string };
  /** Server settings of the session; PgBouncer's console takes none. */
  readonly settings: Readonly<Record<string, string>>;
}

export type Row = Readonly<Record<string, string | null>>;

export interface Connection {
  /** Runs one statement and resolves with its rows; rejects with ConnectionError. */
  readonly query: (text: string) => Promise<readonly Row[]>;
  /** Ends the session politely, or cuts it when a query is still running. */
  readonly close: () => void;
}

/**
 * refused: nothing listens there, or the peer closed the connection; silent: no answer in time;
 * full: no slot is free (SQLSTATE 53300); denied: the server is there and says no; failed: the
 * statement failed and the connection lives.
 */
export type ConnectionFault = "refused" | "silent" | "full" | "denied" | "failed";

/** A connection could not be opened or used. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  readonly code = "ERR_CONNECTION";
  readonly fault: ConnectionFault;
  readonly sqlState: string | undefined;
  constructor(what: string, fault: ConnectionFault, cause: unknown) {
    const { message, code } = cause as { message?: string; code?: string };
    super(`${what}: ${message === undefined || message === "" ? (code ?? "closed") : message}`, {
      cause,
    });
    this.fault = fault;
    this.sqlState = isSqlState(code) ? code : undefined;
  }
}

const applicationName = "switchyard-pg-health";

/** What a system error or an SQLSTATE of a failed login means; any other SQLSTATE is "denied". */
const faultByCode: Readonly<Record<string, ConnectionFault>> = {
  ECONNREFUSED: "refused",
  ECONNRESET: "refused",
  EPIPE: "refused",
  "53300": "full",
  ERR_DEADLINE: "silent",
};

function isSqlState(code: unknown): code is string {
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) && !/^E[A-Z]{4}$/.test(code);
}

function faultOf(cause: unknown): ConnectionFault {
  const { code, message } = cause as { code?: string; message?: string };
  if (code !== undefined && faultByCode[code] !== undefined) return faultByCode[code];
  if (isSqlState(code)) return "denied";
  return message?.includes("terminated") === true ? "refused" : "silent";
}

/**
 * Opens a connection; `onLost` is called once when an open one ends without close() being called.
 * @throws ConnectionError, or the signal's reason
 */
export async function openConnection(
  target: Target,
  options: { deadlineMs: number; signal: AbortSignal; onLost: (error: ConnectionError) => void },
): Promise<Connection> {
  const what = `${target.kind} ${target.host}:${target.port} as ${target.user}`;
  const socket = new Socket();
  const client = new Client(clientConfig(target, socket));
  let state: "opening" | "open" | "closed" = "opening";
  const lost = (cause: unknown): void => {
    if (state !== "open") return;
    state = "closed";
    socket.destroy();
    options.onLost(new ConnectionError(what, "refused", cause));
  };
  client.on("error", lost);
  client.on("end", () => lost(new Error("the connection was closed")));
  try {
    await withDeadline(what, options.deadlineMs, () => client.connect(), options.signal);
  } catch (cause) {
    state = "closed";
    socket.destroy();
    options.signal.throwIfAborted();
    throw new ConnectionError(what, faultOf(cause), cause);
  }
  state = "open";
  const close = (): void => {
    state = "closed";
    client.end().catch(() => undefined);
    // A frozen peer would keep a half-closed socket, and with it this process, alive.
    socket.unref();
  };
  return { query: (text) => ask(client, what, text), close };
}

function clientConfig(target: Target, socket: Socket): ClientConfig {
  const settings = Object.entries(target.settings).map(([name, value]) => `-c ${name}=${value}`);
  return {
    host: target.host,
    port: target.port,
    user: target.user,
    password: target.password.reveal(),
    database: target.database,
    application_name: applicationName,
    keepAlive: true,
    keepAliveInitialDelayMillis: 1000,
    ssl: tlsOptions(target),
    stream: () => socket,
    types: { getTypeParser: () => (value: string) => value },
    ...(settings.length === 0 ? {} : { options: settings.join(" ") }),
  };
}

function tlsOptions({ host, tls }: Target): ClientConfig["ssl"] {
  if (tls.mode === "disable") return false;
  if (tls.mode === "require") return { rejectUnauthorized: false };
  return {
    rejectUnauthorized: true,
    // pg names the host to TLS only where it is a name; an address is checked as well.
    checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
  };
}

async function ask(client: Client, what: string, text: string): Promise<readonly Row[]> {
  try {
    const result = await client.query<Record<string, string | null>>(text);
    return result.rows;
  } catch (cause) {
    const { code, severity } = cause as { code?: string; severity?: string };
    const lives = isSqlState(code) && severity !== "FATAL" && severity !== "PANIC";
    throw new ConnectionError(what, lives ? "failed" : "refused", cause);
  }
}

/** True when an error says that a deadline was over. */
export function isDeadline(error: unknown): boolean {
  return error instanceof DeadlineError;
}
