/** Which member is rebuilt and from which: the one that is not primary, and the one that is. */
import { whyManaged } from "../cluster/managers.ts";
import type { Refusal } from "./rebuild-actions.ts";

/** A member as far as it matters here. */
export interface Candidate {
  readonly name: string;
  readonly manager: string;
  /** A primary that is not read-only; null where it does not answer. */
  readonly writable: boolean | null;
  readonly hasControl: boolean;
}

/** Finds both ends; `wanted` is the operator's word for the member, where there was one. */
export function chooseEnds(
  members: readonly Candidate[],
  wanted: string | undefined,
): { readonly member: string; readonly source: string } | Refusal {
  const managed = whyManaged(members, "rebuild", wanted);
  if (managed !== undefined) return { refused: managed };
  if (wanted !== undefined && !members.some(({ name }) => name === wanted)) {
    return { refused: `there is no member ${wanted}` };
  }
  const writing = members.filter(({ writable }) => writable === true).map(({ name }) => name);
  const [source] = writing;
  if (source === undefined)
    return { refused: "no member takes writes: there is nothing to follow" };
  if (writing.length > 1) {
    return { refused: `${writing.join(" and ")} take writes: fence one of them first` };
  }
  if (wanted === source) {
    return { refused: `${wanted} is the primary: nothing of it is touched` };
  }
  const others = members.filter(({ name }) => name !== source);
  const [only] = others;
  const member = wanted ?? (others.length === 1 ? only?.name : undefined);
  if (member === undefined) {
    const names = others.map(({ name }) => name);
    const refused =
      names.length === 0 ? "there is no other member" : `say which: --member ${names.join(" or ")}`;
    return { refused };
  }
  const silent = others.find(({ name, writable }) => name !== member && writable === null);
  if (silent !== undefined) {
    return { refused: `${silent.name} does not answer: whether it takes writes is not known` };
  }
  const chosen = members.find(({ name }) => name === member);
  return chosen?.hasControl === true
    ? { member, source }
    : { refused: `${member} has no control in its environment: its host cannot be reached` };
}
