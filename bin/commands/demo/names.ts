/** How the name of the primary followed one change of primary, as every resolver of the lab answered. */
import { isIPv4 } from "node:net";
import { DeadlineError, eventually } from "../../../kit/clock.ts";
import { NameWatch } from "../../../lab/name-watch.ts";
import type { WatchedName } from "../../../lab/name-watch.ts";
import type { LabSummary } from "../../../lab/summary.ts";
import type { WorkloadReport } from "../../../lab/tally.ts";
import { namesOf } from "../../../router/names/ask.ts";
import { environmentNamed } from "../environment.ts";

/** How often each resolver is asked. */
const intervalMs = 10;
/** Without a flip that asks it to look, the registry finds out by its own looks. */
const followDeadlineMs = 10_000;

/** The name before and after a change of primary. */
export interface NameSeen {
  readonly name: string;
  /** The addresses of the old and the new primary. */
  readonly before: string;
  readonly after: string;
  /** Whether every resolver named the old one, then the new one, and nobody else. */
  readonly followed: boolean;
  readonly resolvers: readonly {
    readonly name: string;
    /** Everything it answered, first to last; between the two there may have been no primary. */
    readonly answers: readonly string[];
    /** From the app's first row on the new primary to the first answer that names it; null: none. */
    readonly ms: number | null;
  }[];
}

/** Asks every resolver of the lab for this name, until stop() is called on what is returned. */
export function watchNames({ resolvers }: LabSummary, name: string): NameWatch {
  return new NameWatch({ resolvers, question: name, intervalMs });
}

/** The name of the primary of a lab with names. @throws ConfigError */
export async function primaryName({ environment }: LabSummary): Promise<string> {
  const names = namesOf(await environmentNamed(environment));
  if (names === undefined) throw new TypeError(`${environment} has no names`);
  return names.primary;
}

/** Waits a while until every resolver names the member `to`; whether they do is for seenOf to say. */
export async function awaitFollowed(
  lab: LabSummary,
  watch: NameWatch,
  to: string,
  signal: AbortSignal,
): Promise<void> {
  const host = hostOf(lab, to);
  try {
    await eventually(
      `names follow to ${to}`,
      { deadlineMs: followDeadlineMs, intervalMs, signal },
      () =>
        watch.report().every(({ changes }) => changes.at(-1)?.answer === host) ? true : undefined,
    );
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
  }
}

/** What was seen of a name, at all resolvers, during a change from one member to another. */
export function seenOf(
  lab: LabSummary,
  { name, watched }: { readonly name: string; readonly watched: readonly WatchedName[] },
  { from, to }: { readonly from: string; readonly to: string },
  report: WorkloadReport,
): NameSeen {
  const [before, after] = [hostOf(lab, from), hostOf(lab, to)];
  const firstRowAt = report.nodes[after]?.firstAt;
  const resolvers = watched.map(({ resolver, changes }) => {
    const at = changes.find(({ answer }) => answer === after)?.at;
    const ms = at === undefined || firstRowAt === undefined ? null : Math.round(at - firstRowAt);
    return { name: resolver, answers: changes.map(({ answer }) => answer), ms };
  });
  const followed = resolvers.every(({ answers }) => follows(answers, before, after));
  return { name, before, after, followed, resolvers };
}

/** Whether the addresses among these answers are the old one and then the new one, to the end. */
export function follows(answers: readonly string[], before: string, after: string): boolean {
  const named = answers.filter((answer) => isIPv4(answer.split(" ")[0] ?? ""));
  return named.join() === [before, after].join() && answers.at(-1) === after;
}

function hostOf(lab: LabSummary, member: string): string {
  const found = lab.members.find(({ name }) => name === member);
  if (found === undefined) throw new TypeError(`${member} is no member`);
  return found.postgres.host;
}
