/**
 * What a lookup comes to: addresses, or a failure of one kind. The names of c-ares's errors are read
 * here and nowhere else (ares.h; node:dns, "Error codes").
 */
import type { FailureKind } from "../target.ts";

export interface FoundAddress {
  readonly ip: string;
  readonly family: 4 | 6;
  /** From the SRV record; undefined for A and AAAA. */
  readonly port: number | undefined;
  /** The weight of the SRV record shared among its addresses; 1 for A and AAAA. */
  readonly share: number;
}

export interface Found {
  readonly kind: "found";
  /** At least one, no two alike, sorted. */
  readonly addresses: readonly FoundAddress[];
  /** Undefined where nothing says it: the hosts file, an address as a name. */
  readonly ttlSeconds: number | undefined;
  readonly source: "dns" | "hosts" | "address";
  /** Families that were asked and not answered: what is known of them stands. */
  readonly unknown: readonly (4 | 6)[];
  /** Addresses of the answer that no host can have; not given when there is none. */
  readonly leftOut?: readonly string[];
}

export interface Failed {
  readonly kind: "failed";
  readonly failure: FailureKind;
  /** c-ares's code, such as ENOTFOUND; ETIMEOUT when our own deadline ended it. */
  readonly code: string;
  /** What was asked of whom and what came back, in one line. */
  readonly message: string;
  /** An NXDOMAIN of a server that has the zone (AA, RFC 1035, 4.1.1); undefined when nobody said. */
  readonly authoritative?: boolean | undefined;
  /** As in Found: the answer had nothing else. */
  readonly leftOut?: readonly string[];
}

export type Outcome = Found | Failed;

/** What is asked for a target. */
export interface Question {
  readonly hostname: string;
  /** Asked for SRV records instead of A and AAAA of the host name. */
  readonly srv: string | undefined;
  readonly family: 4 | 6 | "both";
  readonly servers: readonly string[];
  readonly timeoutMs: number;
  readonly trustNxdomain: "any" | "authoritative";
}

/**
 * Answers one question. It gives up when the signal aborts; one that does not is left alone. What it
 * throws counts as a failure of the kind that its `code` says.
 */
export type Lookup = (question: Question, signal: AbortSignal) => Promise<Outcome>;

/** The name does not resolve; for whoever asked for one name once. */
export class LookupError extends Error {
  override readonly name = "LookupError";
  readonly code = "ERR_BACKEND_LOOKUP";
  readonly hostname: string;
  readonly failure: FailureKind;
  /** c-ares's code. */
  readonly reason: string;
  constructor(hostname: string, failed: Failed, cause?: unknown) {
    super(failed.message, { cause });
    this.hostname = hostname;
    this.failure = failed.failure;
    this.reason = failed.code;
  }
}

/** Of an error that did not come from c-ares. */
const unknownCode = "EUNKNOWN";

const kinds: Readonly<Record<string, FailureKind>> = {
  ENOTFOUND: "nxdomain",
  ENODATA: "empty",
  ETIMEOUT: "timeout",
  // Nobody listens there, or no name server is known: nobody has answered.
  ECONNREFUSED: "timeout",
  ECANCELLED: "timeout",
};

/** The kind of failure that an error of a lookup stands for; `servfail` for all that has no own. */
export function failureOf(error: unknown): { failure: FailureKind; code: string } {
  const code = (error as { readonly code?: unknown } | null | undefined)?.code;
  const text = typeof code === "string" ? code : unknownCode;
  return { failure: kinds[text] ?? "servfail", code: text };
}

const said: Readonly<Record<FailureKind, string>> = {
  nxdomain: "there is no such name",
  empty: "the name has no address",
  servfail: "the name server failed",
  timeout: "no answer",
};

/** A failure from an error of `what`, such as `look up db.example`. */
export function failedWith(what: string, error: unknown): Failed {
  const { failure, code } = failureOf(error);
  const isOfAnother = code === unknownCode && error instanceof Error;
  const words = isOfAnother ? error.message : `${said[failure]} (${code})`;
  return { kind: "failed", failure, code, message: `${what}: ${words}` };
}

/** The failure of a lookup that had not ended by its deadline. */
export function failedByDeadline(what: string, timeoutMs: number): Failed {
  const message = `${what}: no answer within ${timeoutMs} ms`;
  return { kind: "failed", failure: "timeout", code: "ETIMEOUT", message };
}
