/**
 * What can go wrong on the way to a server: one failed attempt at one address, and a search in which
 * no address passed. No message holds a password: only hosts, addresses, reasons and what the server
 * or the system said.
 */
import { withPort } from "./target/address.ts";

/** Why one attempt failed; `docs/client.md` says what each means for the search. */
export type AttemptReason =
  | "dns"
  | "refused"
  | "unreachable"
  | "timeout"
  | "tls"
  | "authentication"
  | "starting"
  | "full"
  | "role"
  | "closed"
  | "server"
  | "protocol";

/** The last failure at one address, or of one name where `address` is undefined. */
export interface FailedAttempt {
  readonly host: string;
  readonly address: string | undefined;
  readonly port: number;
  readonly reason: AttemptReason;
  /** SQLSTATE or errno. */
  readonly code: string | undefined;
  readonly message: string;
  /** How long the attempt took. */
  readonly ms: number;
  readonly cause: unknown;
}

export interface AttemptFacts {
  /** SQLSTATE or errno. */
  readonly code?: string | undefined;
  /** Ends the whole search: no other address can do better (wrong password, no such database). */
  readonly stops?: boolean;
  readonly cause?: unknown;
}

/** Thrown by an attempt at one address. */
export class AttemptError extends Error {
  override readonly name = "AttemptError";
  readonly reason: AttemptReason;
  readonly code: string | undefined;
  readonly stops: boolean;
  constructor(reason: AttemptReason, message: string, facts: AttemptFacts = {}) {
    super(message, { cause: facts.cause });
    this.reason = reason;
    this.code = facts.code;
    this.stops = facts.stops ?? false;
  }
}

const reasons: Readonly<Record<string, AttemptReason>> = {
  ECONNREFUSED: "refused",
  ENOENT: "refused",
  EHOSTUNREACH: "unreachable",
  EHOSTDOWN: "unreachable",
  ENETUNREACH: "unreachable",
  ENETDOWN: "unreachable",
  EADDRNOTAVAIL: "unreachable",
  EACCES: "unreachable",
  EPERM: "unreachable",
  EINVAL: "unreachable",
  ETIMEDOUT: "timeout",
  ECONNRESET: "closed",
  ECONNABORTED: "closed",
  ENETRESET: "closed",
  ENOTCONN: "closed",
  EPIPE: "closed",
};

/**
 * What a socket, or anything else, threw, as an AttemptError: by its errno where it has one of
 * connecting, else `otherwise`.
 */
export function asAttemptError(
  error: unknown,
  otherwise: AttemptReason = "protocol",
): AttemptError {
  if (error instanceof AttemptError) return error;
  const code = codeOf(error);
  const reason = (code === undefined ? undefined : reasons[code]) ?? otherwise;
  const message = error instanceof Error && error.message !== "" ? error.message : String(error);
  return new AttemptError(reason, code !== undefined && message === "Error" ? code : message, {
    code,
    cause: error,
  });
}

function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

export interface SearchFacts {
  /** What the server had to be, such as "read-write" or "a TCP connection". */
  readonly wanted: string;
  /** Where it was looked for, such as `db.temps.local:5432`; one word an endpoint. */
  readonly targets: readonly string[];
  /** The last failure of each address. */
  readonly attempts: readonly FailedAttempt[];
  readonly rounds: number;
  readonly ms: number;
  /** The failure that ended the search before its deadline. */
  readonly stoppedBy?: FailedAttempt | undefined;
  /** Hosts that no name server answers for now: their addresses are from before. */
  readonly lastKnown?: readonly string[];
}

/**
 * No address passed. `code` is the SQLSTATE of the failure that stopped the search ("28P01"), else
 * what all attempts have in common ("ECONNREFUSED"), else ERR_NO_SERVER; ERR_DNS where no name
 * server answered for any host.
 */
export class ConnectError extends Error {
  override readonly name = "ConnectError";
  readonly code: string;
  readonly attempts: readonly FailedAttempt[];
  readonly wanted: string;
  readonly rounds: number;
  constructor(facts: SearchFacts) {
    super(describe(facts), { cause: (facts.stoppedBy ?? facts.attempts[0])?.cause });
    this.attempts = facts.attempts;
    this.wanted = facts.wanted;
    this.rounds = facts.rounds;
    this.code = facts.stoppedBy?.code ?? codeOfAll(facts.attempts);
  }
}

/** What a name server says of a name; any other code of a name would be taken for that of a server. */
const saidOfNames: ReadonlySet<string | undefined> = new Set(["ENOTFOUND", "ENODATA"]);

function codeOfAll(attempts: readonly FailedAttempt[]): string {
  const shared = sharedCode(attempts);
  const isOfNames = attempts.length > 0 && attempts.every(({ reason }) => reason === "dns");
  if (isOfNames && !saidOfNames.has(shared)) return "ERR_DNS";
  return shared ?? "ERR_NO_SERVER";
}

function sharedCode(attempts: readonly FailedAttempt[]): string | undefined {
  const [first, ...others] = attempts;
  return others.every(({ code }) => code === first?.code) ? first?.code : undefined;
}

function describe(facts: SearchFacts): string {
  const { wanted, targets, attempts, rounds, ms, stoppedBy, lastKnown = [] } = facts;
  const what = `no server for ${wanted} among ${targets.join(", ")}`;
  const spent = `${Math.round(ms)} ms, ${rounds} ${rounds === 1 ? "round" : "rounds"}`;
  const last = stoppedBy === undefined ? attempts : [stoppedBy];
  const said = last.map((one) => `${describeAddress(one)} ${one.reason}: ${oneLine(one.message)}`);
  const found = said.length === 0 ? "nothing answered" : said.join("; ");
  const names = lastKnown.length === 0 ? "" : `; last known addresses of ${lastKnown.join(", ")}`;
  return `${what} (${spent}${names}): ${found}`;
}

function describeAddress({ host, address, port }: FailedAttempt): string {
  if (address === undefined || address === host) return withPort(host, port);
  return address.startsWith("/") ? address : `${withPort(address, port)} (${host})`;
}

const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();
