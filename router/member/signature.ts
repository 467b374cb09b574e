/**
 * What a flip writes into standby.signal: which flip, which of its runs, and between whom, so that
 * whoever finds an armed member knows what was begun there, without any journal.
 */
import type { MemberSeen } from "./seen.ts";

export interface Signature {
  readonly operationId: string;
  readonly run: string;
  readonly from: string;
  readonly to: string;
  /** Those of the old primary when the flip was planned. */
  readonly timeline: number;
  readonly systemIdentifier: string;
}

const words = /^flip (\S+) run (\S+): (\S+) to (\S+), timeline (\d+) of (\d+)$/;

/** The line with which this run arms. */
export function signatureOf(plan: Signature): string {
  const { operationId, run, from, to, timeline, systemIdentifier } = plan;
  return `flip ${operationId} run ${run}: ${from} to ${to}, timeline ${timeline} of ${systemIdentifier}`;
}

/** Reads a line of signatureOf back; undefined for what no flip has written. */
export function parseSignature(line: string): Signature | undefined {
  const [, operationId, run, from, to, timeline, systemIdentifier] = words.exec(line) ?? [];
  if (operationId === undefined || run === undefined || systemIdentifier === undefined) {
    return undefined;
  }
  const ends = { from: from ?? "", to: to ?? "" };
  return { operationId, run, ...ends, timeline: Number(timeline), systemIdentifier };
}

/** Who armed it, when that was no flip: a fence, or somebody by hand; undefined otherwise. */
export function armedByOther(armed: MemberSeen["armed"]): string | undefined {
  if (armed === null || armed === "unknown" || parseSignature(armed.by) !== undefined) {
    return undefined;
  }
  return armed.by === "" ? "hand" : armed.by;
}
