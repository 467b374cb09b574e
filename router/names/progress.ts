/** How far the names have followed a flip, and in words what they still lack. Pure. */
import type { Names } from "./ask.ts";

/** What is known so far; times in ms since the names were asked to follow. */
export interface FollowProgress {
  /** What is waited for until the registry publishes; undefined from then on. */
  waiting: string | undefined;
  /** Why the registry did not answer just now. */
  fault: string | undefined;
  /** The one that is published; 0 before. */
  generation: number;
  /** Nodes that are waited for. */
  late: readonly string[];
  readonly acknowledged: Record<string, number>;
  readonly answered: Record<string, number>;
  /** Why a resolver gave no answer just now. */
  readonly faults: Record<string, string>;
  /** Nodes that the registry has not heard of for a while. */
  absent: readonly string[];
  /** Nodes and resolvers that went with the old primary's host, or refuse connections. */
  readonly gone: Set<string>;
}

/** Nothing has been heard yet. */
export function noProgress(): FollowProgress {
  return {
    waiting: "the registry does not answer",
    fault: undefined,
    generation: 0,
    late: [],
    acknowledged: {},
    answered: {},
    faults: {},
    absent: [],
    gone: new Set(),
  };
}

/** What is missing when the time is over, and who has it. */
export function lateWords(
  { deadlineMs, resolvers }: Pick<Names, "deadlineMs" | "resolvers">,
  progress: FollowProgress,
): string {
  const { waiting, late, generation, acknowledged, answered, faults, gone } = progress;
  const open = resolvers
    .filter(({ name }) => waiting === undefined && answered[name] === undefined && !gone.has(name))
    .map(({ name }) => `${name} does not answer with it${inBrackets(faults[name])}`);
  const have = Object.keys(acknowledged).join(", ");
  const parts = [
    registryWords(progress),
    late.length === 0 ? "" : `${late.join(", ")} has not acknowledged generation ${generation}`,
    ...open,
    have === "" ? "" : `${have} has it`,
  ];
  return `still after ${deadlineMs} ms ${parts.filter((one) => one !== "").join("; ")}`;
}

function registryWords({ waiting, fault }: FollowProgress): string {
  if (waiting !== undefined) return `${waiting}${inBrackets(fault)}`;
  return fault === undefined ? "" : `the registry does not answer${inBrackets(fault)}`;
}

function inBrackets(fault: string | undefined): string {
  return fault === undefined ? "" : ` (${fault})`;
}
