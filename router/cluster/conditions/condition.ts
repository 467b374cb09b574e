/** What a condition of the findings table is: a question to the view, answered with occurrences. */
import type { PostgresFacts } from "../../postgres/facts.ts";
import { valueOf } from "../view.ts";
import type { ClusterView, MemberView } from "../view.ts";

export interface Occurrence {
  /** The part it is about: a member, router or edge pooler by name, or the cluster. */
  readonly part: string;
  /** What was seen, one sentence without its full stop. */
  readonly says: string;
}

/** Pure: every place in the view where the condition holds; empty when it nowhere does. */
export type Condition = (view: ClusterView) => readonly Occurrence[];

export interface KnownMember {
  readonly member: MemberView;
  readonly facts: PostgresFacts;
}

/** The members whose Postgres answered. */
export function knownMembers(view: ClusterView): readonly KnownMember[] {
  return view.members.flatMap((member) => {
    const facts = valueOf(member.postgres);
    return facts === null ? [] : [{ member, facts }];
  });
}

/** A condition that looks at each member whose Postgres answered. */
export function eachKnownMember(
  look: (facts: PostgresFacts, member: MemberView, view: ClusterView) => readonly string[],
): Condition {
  return (view) =>
    knownMembers(view).flatMap(({ member, facts }) =>
      look(facts, member, view).map((says) => ({ part: member.name, says })),
    );
}

/** The same, for members that are standbys. */
export function eachStandby(
  look: (facts: PostgresFacts, member: MemberView, view: ClusterView) => readonly string[],
): Condition {
  return eachKnownMember((facts, member, view) =>
    facts.role === "standby" ? look(facts, member, view) : [],
  );
}

/** The same, for members that are primaries. */
export function eachPrimary(
  look: (facts: PostgresFacts, member: MemberView, view: ClusterView) => readonly string[],
): Condition {
  return eachKnownMember((facts, member, view) =>
    facts.role === "primary" ? look(facts, member, view) : [],
  );
}

const sizeUnits = ["B", "kB", "MB", "GB", "TB"] as const;

/** A size in words with powers of 1024, such as "16 MB" or "1.5 GB". */
export function sizeInWords(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < sizeUnits.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const rounded = value < 10 && unit > 0 ? value.toFixed(1).replace(/\.0$/, "") : value.toFixed(0);
  return `${rounded} ${sizeUnits[unit]}`;
}

/** An age in words, such as "40 s", "12 min", "3 h" or "5 d". */
export function ageInWords(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800
    ? `${Math.round(seconds / 3600)} h`
    : `${Math.round(seconds / 86_400)} d`;
}
