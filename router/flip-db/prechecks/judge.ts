/** One row of the prechecks, and what comes of judging the facts by it. */
import { saysSilence } from "../../../kit/fault-words.ts";
import { withoutCutOff } from "./cut-off.ts";
import { UnreadError } from "./facts.ts";
import type { PrecheckFacts } from "./facts.ts";

export interface PrecheckRow {
  readonly code: string;
  /** What should hold, as a statement. */
  readonly title: string;
  /** refuse: no flip with a finding, nor without an answer; warn and info: told and no more. */
  readonly weight: "refuse" | "warn" | "info";
  /** The warning refuses where seamless was asked for by name. */
  readonly strict?: true;
  /** The name under which the operator may accept it. */
  readonly risk?: string;
  readonly applies: "both" | "seamless" | "fast";
  /** Judges what is cut off as well; all other rows pass over what the operator lets go. */
  readonly seesCutOff?: true;
  /** The finding with its evidence; undefined when all is fine. @throws UnreadError */
  readonly check: (facts: PrecheckFacts) => string | undefined;
  /** What helps; ENV, FROM and TO stand for the environment and the ends of the flip. */
  readonly help: string;
}

export interface Precheck {
  readonly code: string;
  readonly title: string;
  /** told: good to know; unknown: it could not be found out; accepted: a risk, by its name. */
  readonly outcome: "ok" | "refused" | "warned" | "told" | "unknown" | "accepted";
  /** Stands in the way of the flip: refused, or unknown where a finding would refuse. */
  readonly refuses: boolean;
  /** What was found, or why nothing is known; "" when ok. */
  readonly finding: string;
  readonly help: string;
  readonly risk: string | null;
}

export interface PrecheckRequest {
  readonly mode: "seamless" | "fast";
  /** What the operator asked for. */
  readonly wanted: "auto" | "seamless" | "fast";
  readonly acceptedRisks: readonly string[];
}

const outcomes = { refuse: "refused", warn: "warned", info: "told" } as const;

/** Judges the facts by one row. */
export function judge(row: PrecheckRow, all: PrecheckFacts, request: PrecheckRequest): Precheck {
  const facts = row.seesCutOff === true ? all : withoutCutOff(all, request.acceptedRisks);
  const { code, title, risk = null } = row;
  const help = row.help
    .replaceAll(/\bENV\b/g, facts.view.environment)
    .replaceAll(/\bFROM\b/g, facts.from ?? "the primary")
    .replaceAll(/\bTO\b/g, facts.to ?? "the standby");
  const base = { code, title, help, risk };
  const { finding, isKnown } = ask(row, facts);
  if (finding === undefined) return { ...base, outcome: "ok", refuses: false, finding: "" };
  const isStrict = row.strict === true && request.wanted === "seamless";
  const weight = isStrict ? "refuse" : row.weight;
  const isAccepted = weight === "refuse" && risk !== null && request.acceptedRisks.includes(risk);
  if (isAccepted) return { ...base, outcome: "accepted", refuses: false, finding };
  const outcome = isKnown ? outcomes[weight] : "unknown";
  return { ...base, outcome, refuses: weight === "refuse", finding };
}

/**
 * Whether nothing stands in the way but parts that did not answer in time, and what is not known
 * because of them: another look may find them well.
 */
export function isSilenceAlone(prechecks: readonly Precheck[]): boolean {
  const refusing = prechecks.filter((one) => one.refuses);
  return (
    refusing.some(({ finding }) => saysSilence(finding)) &&
    refusing.every(({ finding, outcome }) => outcome === "unknown" || saysSilence(finding))
  );
}

function ask(row: PrecheckRow, facts: PrecheckFacts): { finding?: string; isKnown: boolean } {
  try {
    const finding = row.check(facts);
    return { isKnown: true, ...(finding === undefined ? {} : { finding }) };
  } catch (error) {
    if (!(error instanceof UnreadError)) throw error;
    return { isKnown: false, finding: error.message };
  }
}
