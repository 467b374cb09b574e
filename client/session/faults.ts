/**
 * What a failed attempt at one address means: which reason an error of the socket, of TLS or of the
 * server stands for, and whether looking further is of no use (manual appendix A, libpq's
 * PQconnectPoll).
 */
import type { Duplex } from "node:stream";
import { asAttemptError, AttemptError } from "../errors.ts";
import type { AttemptReason } from "../errors.ts";
import { FramingError } from "./wire.ts";

/** How far an attempt had come. */
export type Phase = "tcp" | "tls" | "startup" | "role";

interface Verdict {
  readonly reason: AttemptReason;
  /** True where every server of a cluster would say the same. */
  readonly stops: boolean;
}

const next = (reason: AttemptReason): Verdict => ({ reason, stops: false });
const stop = (reason: AttemptReason): Verdict => ({ reason, stops: true });

/** By SQLSTATE, the longest prefix first; what is not named is the same on every server. */
const bySqlState: readonly (readonly [prefix: string, Verdict])[] = [
  ["57P03", next("starting")],
  ["57P01", next("closed")],
  ["57P02", next("closed")],
  ["57014", next("timeout")],
  ["53", next("full")],
  ["28", stop("authentication")],
  // A pooler says so of the server behind it, which another address may not have.
  ["08", next("server")],
  ["25", next("server")],
  ["58", next("server")],
  ["XX", next("server")],
  ["", stop("server")],
];

/** What an error without a number of any kind means, by how far the attempt had come. */
const byPhase: Readonly<Record<Phase, Verdict>> = {
  tcp: next("unreachable"),
  tls: next("tls"),
  // The server would have given a SQLSTATE: the password is missing, or who gives it failed.
  startup: stop("authentication"),
  role: next("role"),
};

const sqlState = /^[0-9A-Z]{5}$/;

/** Whether an error came from a server: pg gives those a SQLSTATE and a severity. */
function isServerError(error: unknown): error is Error & { readonly code: string } {
  if (!(error instanceof Error) || !("severity" in error) || !("code" in error)) return false;
  return typeof error.code === "string" && sqlState.test(error.code);
}

/** What pg says where it is asked for a password and has none: it speaks of the protocol. */
const withoutPassword = /^SASL: .*password must be a (non-empty )?string/;

/** An errno: Node gives those the call that failed. */
function isOfSystem(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}

const systemVerdict = (phase: Phase): Verdict => next(phase === "tcp" ? "unreachable" : "closed");

/**
 * PgBouncer refuses a password with the same SQLSTATE as it has for a server that is away; only its
 * words differ (08P01 up to 1.18, 28P01 later).
 */
const poolerRefusal = /^(SASL|password) authentication failed$/;

function serverVerdict(code: string, message: string, phase: Phase): Verdict {
  if (code === "08P01" && poolerRefusal.test(message)) return stop("authentication");
  const row = bySqlState.find(([prefix]) => code.startsWith(prefix));
  const { reason, stops } = row?.[1] ?? stop("server");
  // Whoever answers a query let us in: what it says of one query need not hold everywhere.
  return { reason, stops: stops && phase !== "role" };
}

/**
 * The error of an attempt, whatever was thrown.
 * @param phase how far the attempt had come
 */
export function attemptFault(thrown: unknown, phase: Phase): AttemptError {
  if (thrown instanceof AttemptError) return thrown;
  if (thrown instanceof FramingError) return asAttemptError(thrown, "protocol");
  if (isServerError(thrown)) {
    const { code, message } = thrown;
    const { reason, stops } = serverVerdict(code, message, phase);
    return new AttemptError(reason, message, { code, stops, cause: thrown });
  }
  // What the system says of a socket is said of this one alone, however new its number is to us.
  const { reason, stops } = isOfSystem(thrown) ? systemVerdict(phase) : byPhase[phase];
  const fault = asAttemptError(thrown, reason);
  if (fault.reason !== reason || !stops) return fault;
  const { code, cause } = fault;
  const hasNone = withoutPassword.test(fault.message);
  const message = hasNone ? "the server wants a password, and none was given" : fault.message;
  return new AttemptError(reason, message, { code, stops, cause });
}

/** The other side has gone without a word. */
export function closedFault(): AttemptError {
  return new AttemptError("closed", "the server closed the connection without an answer");
}

/** Why a socket that nobody was reading is of no use any more; undefined while it is open. */
export function endOf(socket: Duplex): AttemptError | undefined {
  const { destroyed, errored, readableEnded } = socket;
  if (!destroyed && !readableEnded) return undefined;
  return errored ? asAttemptError(errored, "closed") : closedFault();
}

/** TLS cannot be begun with what we were given, at any address. */
export function tlsSettingsFault(cause: unknown): AttemptError {
  const { message, code } = asAttemptError(cause);
  return new AttemptError("tls", message, { code, stops: true, cause });
}
