/**
 * Roles from the members' own answers. Nobody arbitrates here, so nothing is concluded from silence:
 * a member that does not answer may take writes still. The one writable member is published beside a
 * silent one only if that one did not take writes when it was last seen, or did so on an older
 * timeline (a promotion always begins a newer one). A member that was never seen counts as one that
 * did not. Pure.
 */
import type { RolesView } from "../contract.ts";
import type { Ahead } from "./lag.ts";
import { whyBehind } from "./lag.ts";
import { isFault } from "./observation.ts";
import type {
  Judgement,
  ProbeAnswer,
  ProbedMember,
  ProbeFault,
  ProbeObservation,
  RoleContext,
} from "./observation.ts";

/** A standby that was slow to answer keeps its place for so long. */
const slowGraceMs = 3000;

interface Answered extends ProbeAnswer {
  readonly name: string;
}
interface Silent extends ProbeFault {
  readonly name: string;
}
type Writer = NonNullable<RolesView["writers"]>[number];

interface Sorted {
  readonly answered: readonly Answered[];
  readonly foreign: readonly Answered[];
  readonly silent: readonly Silent[];
}

/** The judgement, or why the members said too little for one: what was so stays so then. */
export function probeRoles(
  seen: ProbeObservation,
  context: RoleContext,
): Judgement | { readonly silent: string } {
  const all = seen.members.flatMap(({ name, answer }) =>
    isFault(answer) ? [] : [{ name, ...answer }],
  );
  if (all.length === 0) return { silent: whyNobody(seen.members) };
  const silent = seen.members.flatMap(({ name, answer }) =>
    isFault(answer) ? [{ name, ...answer }] : [],
  );
  const system = systemOf(all, silent, context.before.system);
  if ("silent" in system) return system;
  const sorted: Sorted = {
    answered: all.filter((one) => one.system === system.identifier),
    foreign: all.filter((one) => one.system !== system.identifier),
    silent,
  };
  const writers = writersOf(sorted, context.before.writers ?? []);
  const primary = primaryOf(sorted, writers, context.before.primary);
  const standbys = standbysOf(sorted, aheadOf(sorted, seen), context);
  return {
    outcome: primary.outcome,
    reasons: [...primary.reasons, ...standbys.reasons, ...foreignReasons(sorted)],
    primary: primary.name,
    standbys: standbys.names,
    writers,
    system: system.identifier,
  };
}

function whyNobody(members: readonly ProbedMember[]): string {
  if (members.length === 0) return "the cluster has no member to ask";
  const words = members.map(({ name, answer }) =>
    isFault(answer) ? `${name} ${answer.words}` : name,
  );
  return `no member answers: ${words.join("; ")}`;
}

/**
 * The identifier that counts. The known one stays, until every member answers and all agree on another;
 * where none is known yet, that on which all agree who answer, be it one alone.
 */
function systemOf(
  answered: readonly Answered[],
  silent: readonly Silent[],
  known: string | undefined,
): { readonly identifier: string } | { readonly silent: string } {
  const found = [...new Set(answered.map(({ system }) => system))];
  if (known !== undefined && found.includes(known)) return { identifier: known };
  const [only] = found;
  const agreed = found.length === 1 && (known === undefined || silent.length === 0);
  if (only !== undefined && agreed) return { identifier: only };
  const words = answered.map(({ name, system }) => `${name} has ${system}`).join(", ");
  return {
    silent:
      known === undefined
        ? `the members are not of one database system: ${words}`
        : `no member of database system ${known} answers: ${words}`,
  };
}

const isCandidate = (one: Answered): boolean => !one.standby && !one.readOnly;

/** Who took writes when last seen: what a silent member said stays. */
function writersOf({ answered, silent }: Sorted, before: readonly Writer[]): Writer[] {
  const now = answered
    .filter((one) => isCandidate(one))
    .map(({ name, timeline }) => ({ name, timeline }));
  const kept = before.filter(({ name }) => silent.some((one) => one.name === name));
  return [...now, ...kept].sort((one, other) => (one.name < other.name ? -1 : 1));
}

interface PrimaryFound {
  readonly outcome: "published" | "ambiguous" | "no-primary" | "silent";
  readonly reasons: readonly string[];
  readonly name: string | null;
}

function primaryOf(
  sorted: Sorted,
  writers: readonly Writer[],
  published: string | null,
): PrimaryFound {
  const candidates = sorted.answered.filter((one) => isCandidate(one));
  const [one, other] = candidates;
  if (one === undefined) return nobodyWrites(sorted, published);
  if (other !== undefined) {
    const claims = candidates.map(({ name, timeline }) => `${name} (timeline ${timeline})`);
    const reason = `more than one member takes writes: ${claims.join(" and ")}`;
    return { outcome: "ambiguous", reasons: [reason], name: null };
  }
  const silentWriters = writers.filter(({ name }) => name !== one.name);
  const rival = silentWriters.find(({ timeline }) => timeline >= one.timeline);
  if (rival !== undefined) {
    const reason =
      `${one.name} takes writes on timeline ${one.timeline}, and ${rival.name}, which took writes ` +
      `on timeline ${rival.timeline} when it was last seen, does not answer`;
    return { outcome: "ambiguous", reasons: [reason], name: null };
  }
  const reasons = sorted.silent.map(
    (silent) => `${silent.name} ${silent.words}; ${beside(silent)}`,
  );
  return { outcome: "published", reasons, name: one.name };

  function beside({ name }: Silent): string {
    const rivalBefore = silentWriters.find((writer) => writer.name === name);
    return rivalBefore === undefined
      ? `it was not seen to take writes`
      : `${one?.name} was promoted after it: timeline ${one?.timeline}, not ${rivalBefore.timeline}`;
  }
}

/** While the published primary is silent its name stays: nobody else takes writes. */
function nobodyWrites(sorted: Sorted, published: string | null): PrimaryFound {
  const primary = sorted.silent.find(({ name }) => name === published);
  if (primary !== undefined) {
    const reason = `${primary.name} ${primary.words}; its name stays while nobody else takes writes`;
    return { outcome: "silent", reasons: [reason], name: primary.name };
  }
  const readOnly = sorted.answered
    .filter((one) => !one.standby)
    .map(({ name }) => `${name} is a primary that is set to read-only`);
  const unknown = sorted.silent.map(({ name, words }) => `${name} ${words}`);
  const reason = "no member that answers takes writes";
  return { outcome: "no-primary", reasons: [reason, ...readOnly, ...unknown], name: null };
}

function aheadOf({ answered }: Sorted, seen: ProbeObservation): Ahead | undefined {
  const candidates = answered.filter((one) => isCandidate(one));
  const [one] = candidates;
  if (one === undefined || candidates.length > 1) return undefined;
  return { ...one, earlier: seen.earlier[one.name] };
}

function standbysOf(
  { answered, silent }: Sorted,
  ahead: Ahead | undefined,
  { members, lagBytes, before }: RoleContext,
): { readonly names: string[]; readonly reasons: string[] } {
  const names: string[] = [];
  const reasons: string[] = [];
  for (const name of members) {
    const isPublished = before.standbys.includes(name);
    const standby = answered.find((one) => one.name === name && one.standby);
    const fault = silent.find((one) => one.name === name);
    if (standby !== undefined) {
      const why = whyBehind(standby, ahead, { limit: lagBytes, isPublished });
      if (why === undefined) names.push(name);
      else reasons.push(`${name} is left out: ${why}`);
    } else if (isPublished && fault !== undefined && isSlow(fault)) {
      names.push(name);
    }
  }
  return { names, reasons };
}

const isSlow = ({ kind, silentMs }: ProbeFault): boolean =>
  kind === "silent" && silentMs !== null && silentMs <= slowGraceMs;

function foreignReasons({ foreign }: Sorted): string[] {
  return foreign.map(({ name, system }) => `${name} is left out: it is database system ${system}`);
}
