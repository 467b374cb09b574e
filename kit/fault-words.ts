/** The words of this product for what the system says when a peer cannot be reached. */
import { DeadlineError } from "./clock.ts";

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

/** The code of an error, of the system or of a server; empty when it has none. */
export function faultCode(cause: unknown): string {
  const code = (cause as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : "";
}

/** Whether these words tell of a peer that did not answer in time, which is no sign of a fault. */
export function saysSilence(words: string): boolean {
  return /\bno (answer|reply) within \d+ ms\b/.test(words);
}

/** What went wrong between us and a peer, in a few words without a full stop. */
export function faultWords(cause: unknown): string {
  const known = systemWords[faultCode(cause)];
  if (known !== undefined) return known;
  if (cause instanceof DeadlineError) return `no answer within ${cause.deadlineMs} ms`;
  return cause instanceof Error && cause.message !== "" ? cause.message : "connection closed";
}
