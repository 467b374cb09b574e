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
