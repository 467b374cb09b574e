/**
 * How the names followed a flip, from what its step has told: facts called `acknowledged NAME` and
 * `answered NAME`, in ms since the step began. Pure.
 */
import type { Facts } from "../../operation/step.ts";
import type { FlipNames } from "../events.ts";
import type { TimedStep } from "./report-facts.ts";

/** The steps whose end is the promotion. */
const promotions = ["promote", "switch", "await-failover"];

/** What the report says of the names; undefined where they did not follow in this run. */
export function namesReport(steps: readonly TimedStep[]): FlipNames | undefined {
  const of = (step: string, phase: TimedStep["phase"]): TimedStep | undefined =>
    steps.findLast((one) => one.step === step && one.phase === phase);
  const [start, done] = [of("names", "start"), of("names", "done")];
  if (start === undefined || done?.facts?.["generation"] === undefined) return undefined;
  const promoted = promotions.flatMap((step) => of(step, "done") ?? []).at(0);
  const offset = promoted === undefined ? 0 : start.at - promoted.at;
  const { facts } = done;
  return {
    generation: Number(facts["generation"]),
    since: promoted === undefined ? "step" : "promotion",
    resolvers: resolversIn(facts, Math.round(offset)),
    absent: [...listIn(facts, "absent"), ...listIn(facts, "gone")],
  };
}

/**
 * Whom nobody waited for, in words: `absent` are nodes that may be alive and answer with what was,
 * `gone` what went with the host of a lost primary, or refused connections then.
 */
export function namesLeft(
  steps: readonly TimedStep[],
  from: string,
): Readonly<Record<"absent" | "gone", readonly string[]>> {
  const facts = steps.findLast((one) => one.step === "names" && one.phase === "done")?.facts ?? {};
  return {
    absent: listIn(facts, "absent").map(
      (name) =>
        `nobody waited for the resolver of ${name}, which the registry has not heard of for a while: it may answer with ${from}`,
    ),
    gone: listIn(facts, "gone").map(
      (name) => `nobody waited for the resolver of ${name}, which is away as ${from} is`,
    ),
  };
}

function listIn(facts: Facts, key: "absent" | "gone"): string[] {
  const names = String(facts[key] ?? "");
  return names === "" ? [] : names.split(", ");
}

function resolversIn(facts: Facts, offset: number): FlipNames["resolvers"] {
  const names = Object.keys(facts).flatMap(
    (key) => /^(?:acknowledged|answered) (.+)$/.exec(key)?.[1] ?? [],
  );
  const ms = (key: string): number | null =>
    facts[key] === undefined ? null : Number(facts[key]) + offset;
  return [...new Set(names)].toSorted().map((name) => ({
    name,
    acknowledgedMs: ms(`acknowledged ${name}`),
    answeredMs: ms(`answered ${name}`),
  }));
}
