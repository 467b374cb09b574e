/**
 * What to do with a member that is to follow again, decided from what is seen: the decision tree of
 * a rebuild. A refusal is an answer as well, and so is "nothing".
 */
import { formatLsn } from "../../kit/lsn.ts";
import type { MemberSeen, RebuildObservation, Survey } from "./observation.ts";
import type {
  Case,
  RebuildMethod,
  RebuildPlan,
  RebuildRequest,
  Refusal,
  Risk,
} from "./rebuild-actions.ts";
import { whyNever, whyNotCopy, whyNotRewind, whyNotRun, whyNotStart } from "./refusals.ts";
import { relateEnd } from "./timelines.ts";

/** Plans a rebuild of `request.member` from `request.source`, or says why there is none. */
export function plan(
  seen: RebuildObservation,
  survey: Survey,
  request: RebuildRequest,
): RebuildPlan | Refusal {
  const never = whyNever(seen, request);
  if (never !== undefined) return { refused: never };
  const { source, member } = seen;
  const relation = relationOf(seen, survey);
  const streams = streamsFromSource(seen, request.member, request.slot);
  const one: Case = { request, seen, survey, relation, streams };
  const chosen = choose(one);
  if ("refused" in chosen) return chosen;
  const { method, why } = chosen;
  const leftovers = member.layout?.leftovers ?? [];
  const ready = leftovers.find((left) => left.kind === "ready");
  const old = leftovers.find((left) => left.kind === "old");
  const goesOn = method === "swap" ? ready : method === "put-back" ? old : undefined;
  const isCopy = method === "basebackup";
  const forked = relation.kind === "diverged" || relation.kind === "ahead";
  const walLink = member.layout?.walLink ?? null;
  const copyId = goesOn?.id ?? request.operationId.replaceAll("-", "");
  const losing = method === "rewind" || isCopy;
  return {
    operationId: request.operationId,
    copyId,
    member: request.member,
    source: request.source,
    method,
    why,
    systemIdentifier: source.systemIdentifier ?? "",
    slot: request.slot,
    hadSlot: source.slots.some((slot) => slot.name === request.slot),
    needsFrom: neededFrom(one, method),
    restores: member.layout?.hasRestoreCommand === true,
    fork: forked ? { timeline: relation.timeline, lsn: formatLsn(relation.at) } : null,
    thrownAway: losing && forked ? survey.past : null,
    risks: losing ? risksOf(one) : [],
    configuration: hasOwn(one) ? "own" : "source",
    // Whose the data is that nothing is known of cannot be told: it is never removed.
    keepOld: request.keepOld || holdsForeign(one),
    exportTo: losing && forked ? request.exportTo : null,
    walFolder: isCopy && walLink !== null ? `${walLink}.${copyId}` : null,
    dataBytes: source.dataBytes,
    wasRunning: member.process === "alive",
    mayCopy: method === "rewind" && request.method === "auto",
    notes: notesOf(one, method),
    steps: stepsOf(one, method),
  };
}

/** From where on the source's slot has to keep WAL; null where a copy brings along what it needs. */
function neededFrom({ relation, survey }: Case, method: RebuildMethod): string | null {
  if (method === "rewind" && "at" in relation) return formatLsn(relation.at);
  return method === "start" && survey.end !== null ? formatLsn(survey.end.lsn) : null;
}

/** There is data, and it is not this cluster's. */
function holdsForeign({ relation, seen }: Case): boolean {
  const data = seen.member.layout?.data;
  return relation.kind === "foreign" && (data === "cluster" || data === "foreign");
}

/** The node has a configuration of its own, in its data or saved by an interrupted rewind. */
function hasOwn(one: Case): boolean {
  return !holdsForeign(one) && one.seen.member.layout?.hasConninfo === true;
}

/** Whether the source sends WAL to the member, in good order. */
export function streamsFromSource(
  { source, member }: RebuildObservation,
  name: string,
  slot: string | null,
): boolean {
  const sender = source.senders.find(
    (one) => one.name === name || (slot !== null && one.slot === slot),
  );
  return member.reached && member.role === "standby" && sender?.state === "streaming";
}

function relationOf({ source, member }: RebuildObservation, survey: Survey): Case["relation"] {
  const identifier = member.systemIdentifier ?? member.control?.systemIdentifier ?? null;
  if (member.layout?.data !== "cluster") return { kind: "foreign" };
  if (identifier === null) return { kind: "unread" };
  if (identifier !== source.systemIdentifier) return { kind: "foreign" };
  const { timeline, history, lsn } = source;
  const { end } = survey;
  if (end === null || survey.history === null) return { kind: "unread" };
  if (timeline === null || history === null || lsn === null) return { kind: "unread" };
  const relation = relateEnd(end, survey.history, { timeline, history, end: lsn });
  if (relation.kind === "part" && survey.sameBytes === false) {
    return { kind: "ahead", timeline: end.timeline, at: end.lsn };
  }
  return relation;
}

type Choice = { readonly method: RebuildMethod; readonly why: string } | Refusal;

function choose(one: Case): Choice {
  const chosen = chooseMethod(one);
  if ("refused" in chosen) return chosen;
  const why = whyNotRun(stepsOf(one, chosen.method), one.seen, one.request);
  return why === undefined ? chosen : { refused: why };
}

function chooseMethod(one: Case): Choice {
  const { request, seen } = one;
  const unfinished = chooseUnfinished(one);
  if (unfinished !== undefined) return unfinished;
  if (request.method === "auto") return chooseBest(one);
  if (request.method === "start") {
    const why = one.streams ? `${request.member} streams already` : whyNotStart(one);
    return why === undefined ? start(one) : { refused: `it cannot just be started: ${why}` };
  }
  if (request.method === "rewind") {
    const why = whyNotRewind(one);
    return why === undefined ? rewind(one) : { refused: `it cannot be rewound: ${why}` };
  }
  const why = whyNotCopy(seen, request);
  const asked = { method: "basebackup", why: "a fresh copy was asked for" } as const;
  return why === undefined ? asked : { refused: why };
}

/** What an earlier run left in the middle comes first. */
function chooseUnfinished({ seen, request }: Case): Choice | undefined {
  const { layout } = seen.member;
  const has = (kind: string): boolean =>
    layout?.leftovers.some((one) => one.kind === kind) === true;
  if (layout?.data !== "missing") return undefined;
  if (has("ready")) {
    return {
      method: "swap",
      why: "an earlier rebuild made and proved the new data: it is finished",
    };
  }
  if (has("old")) {
    return { method: "put-back", why: "an earlier rebuild moved the data aside: it is put back" };
  }
  if (!has("rewind")) return undefined;
  if (request.method === "auto" || request.method === "basebackup") {
    const why = whyNotCopy(seen, request);
    if (why !== undefined) return { refused: why };
    return { method: "basebackup", why: "an earlier rewind was interrupted: its data is no use" };
  }
  return { refused: "an earlier rewind was interrupted: its data is no use; --method basebackup" };
}

function start({ request }: Case): Choice {
  return { method: "start", why: `all that ${request.member} has, ${request.source} has too` };
}

function rewind({ request, relation }: Case): Choice {
  const at = "at" in relation ? formatLsn(relation.at) : "";
  return {
    method: "rewind",
    why: `${request.member} wrote on after ${at}, where ${request.source} left its timeline`,
  };
}

function chooseBest(one: Case): Choice {
  const { request, seen } = one;
  if (one.streams) {
    return { method: "nothing", why: `${request.member} streams from ${request.source} already` };
  }
  const notStart = whyNotStart(one);
  if (notStart === undefined) return start(one);
  const notRewind = whyNotRewind(one);
  if (notRewind === undefined) return rewind(one);
  const notCopy = whyNotCopy(seen, request);
  if (notCopy !== undefined) return { refused: notCopy };
  const isForked = one.relation.kind === "diverged";
  return { method: "basebackup", why: isForked ? notRewind : notStart };
}

function risksOf(one: Case): Risk[] {
  const { request, relation, survey } = one;
  const { member, source } = request;
  if (relation.kind === "foreign") {
    const says = `the data on ${member} is not of this cluster; it is moved aside and kept`;
    return holdsForeign(one) ? [{ word: "foreign", says }] : [];
  }
  if (relation.kind === "unread") {
    return [{ word: "unread", says: `what ${member} holds that ${source} lacks cannot be read` }];
  }
  if (relation.kind === "ahead") {
    const says = `${member} has WAL that ${source} never had, from ${formatLsn(relation.at)} on timeline ${relation.timeline}: ${source} may be the stale one`;
    return [{ word: "ahead", says }];
  }
  if (relation.kind === "part" || request.exportTo !== null) return [];
  const { past } = survey;
  if (past !== null && past.transactions === 0) return [];
  const count = past === null ? "an unknown number of" : String(past.transactions);
  const says = `${count} transactions on ${member} are thrown away; --export FOLDER keeps their WAL`;
  return [{ word: "divergence", says }];
}

function notesOf(one: Case, method: RebuildMethod): string[] {
  const { request, seen } = one;
  const { layout, archiveReady } = seen.member;
  const borrowed = method === "basebackup" && !hasOwn(one);
  const rows: readonly (readonly [boolean, string])[] = [
    [
      borrowed,
      `${request.member} has no configuration of its own: it gets the one of ${request.source}, and follows as the user of login`,
    ],
    [
      method === "rewind" && archiveReady > 0 && layout?.hasArchiveCommand !== true,
      `${archiveReady} WAL files of ${request.member} wait for an archive_command that is not set`,
    ],
    [request.slot === null, `${request.member} has no slot: WAL that it needs may be removed`],
    [
      !request.hooks.restartPooler,
      `control.restartPooler of ${request.member} is not set: restart its PgBouncer by hand`,
    ],
  ];
  return rows.filter(([applies]) => applies).map(([, text]) => text);
}

/** The rows of each method, in order; what does not apply here is left out. */
function stepsOf(one: Case, method: RebuildMethod): string[] {
  const { request, seen } = one;
  const { member, source } = seen;
  const isHeld = source.slots.some((slot) => slot.name === request.slot && slot.active);
  const slot = request.slot === null ? [] : ["slot"];
  // One in use cannot be made anew, or taken by a copy.
  const stopAndSlot = isHeld ? ["stop", ...slot] : [...slot, "stop"];
  const snapshot = request.hooks.snapshot && member.layout?.data === "cluster" ? ["snapshot"] : [];
  const forked = one.relation.kind === "diverged" || one.relation.kind === "ahead";
  const exported = request.exportTo !== null && forked ? ["export"] : [];
  const arm = member.layout?.data === "cluster" && one.relation.kind !== "foreign" ? ["arm"] : [];
  const archive =
    member.archiveReady > 0 && member.layout?.hasArchiveCommand === true ? ["archive"] : [];
  const recover = isClean(member) ? [] : ["recover"];
  const pooler = request.hooks.restartPooler ? ["pooler"] : [];
  const follow = ["start", "stream", "slots", ...pooler, "health", "clean"];
  const copy = ["copy", "verify", "prepare"];
  const isLeftOver = (member.layout?.leftovers.length ?? 0) > 0;
  const rows: Readonly<Record<RebuildMethod, readonly string[]>> = {
    nothing: isLeftOver ? ["sweep", "slots", ...pooler, "health", "clean"] : [],
    "put-back": ["sweep", "put-back"],
    start: ["sweep", ...arm, ...stopAndSlot, ...follow],
    swap: ["sweep", ...stopAndSlot, "swap", ...follow],
    rewind: [
      ...["sweep", ...arm],
      ...(isHeld ? ["stop", ...slot, "checkpoint"] : [...slot, "checkpoint", "stop"]),
      ...["aside", ...recover, ...archive],
      ...[...exported, "rehearse", ...snapshot, "rewind", "swap", ...follow],
    ],
    basebackup: isHeld
      ? ["sweep", ...arm, ...stopAndSlot, ...copy, ...exported, ...snapshot, "swap", ...follow]
      : ["sweep", ...arm, ...slot, ...copy, "stop", ...exported, ...snapshot, "swap", ...follow],
  };
  return [...rows[method]];
}

/** A cluster that crashed needs its own recovery before pg_rewind reads it. */
function isClean(member: MemberSeen): boolean {
  const { control, process } = member;
  if (process === "alive") return true;
  return control?.state === "shut down" || control?.state === "shut down in recovery";
}
