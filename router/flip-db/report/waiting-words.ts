/** What a slow step of a flip waits for, in words: which pid, which walsender, how many files. */
import { formatLsn } from "../../../kit/lsn.ts";
import type { MemberSeen } from "../../member/seen.ts";
import type { FlipPlan } from "../flip-actions.ts";
import type { FlipObservation } from "../observation.ts";
import { memberOf } from "../proof.ts";

/** More are only counted. */
const namedProcesses = 4;

/** Kinds that only stand by and hold nothing up, while anything else is there. */
const idleKinds = new Set(["postmaster", "logger", "stats", "launcher"]);

function processWords({ processes, archiveReady }: MemberSeen): string {
  if (processes === null) return "its processes cannot be listed";
  if (processes.length === 0) return "no process is left";
  const busy = processes.filter((one) => !idleKinds.has(one.kind));
  const shown = (busy.length === 0 ? processes : busy).slice(0, namedProcesses);
  const more = (busy.length === 0 ? processes : busy).length - shown.length;
  const names = shown.map(({ pid, kind, title }) => `${kind} ${pid} (${title})`);
  if (more > 0) names.push(`${more} more`);
  const files = archiveReady ?? 0;
  if (files > 0) names.push(`${files} WAL files to archive`);
  return names.join(", ");
}

/** What a shutdown of the old primary waits for. */
export function waitsForOldToEnd(plan: FlipPlan, seen: FlipObservation): string {
  return `${plan.from} still ends: ${processWords(memberOf(seen, plan.from))}`;
}

/** What a shutdown of the standby, or of the new primary, waits for. */
export function waitsForNewToEnd(plan: FlipPlan, seen: FlipObservation): string {
  return `${plan.to} still ends: ${processWords(memberOf(seen, plan.to))}`;
}

/** What the promotion waits for. */
export function waitsForPromotion(plan: FlipPlan, seen: FlipObservation): string {
  const { processes, reached } = memberOf(seen, plan.to);
  const startup = processes?.filter((one) => one.kind === "startup") ?? [];
  const doing = startup.map(({ pid, title }) => `${title} (pid ${pid})`).join(", ");
  if (doing !== "") return `${plan.to} is being promoted: ${doing}`;
  return `${plan.to} ${reached ? "is being promoted" : "does not answer"}`;
}

/** What the old primary still lacks until it follows the new one. */
export function waitsForStreaming(plan: FlipPlan, seen: FlipObservation): string {
  const { reached, role, process, streamsFrom } = memberOf(seen, plan.from);
  if (!reached) return `${plan.from} does not answer yet; its Postgres is ${process}`;
  const upstream = streamsFrom ?? "nobody";
  return `${plan.from} runs as ${role === "standby" ? "a standby" : role}, streams from ${upstream}`;
}

/** Which routers do not agree yet. */
export function waitsForRouters(plan: FlipPlan, seen: FlipObservation): string {
  const words = seen.routers.flatMap(({ name, reached, up, passing }) => {
    if (!reached) return [`router ${name} does not answer`];
    const agrees = up.join() === plan.to && passing.join() === plan.to;
    if (agrees) return [];
    const list = (members: readonly string[]): string => members.join(" and ") || "nobody";
    return [`router ${name} leads to ${list(up)} and its checks pass for ${list(passing)}`];
  });
  return words.join("; ") || "every router agrees";
}

/** Which gates do not hold their clients yet. */
export function waitsForHold(plan: FlipPlan, seen: FlipObservation): string {
  const open = seen.gates.filter((one) => one.pausedBy !== plan.run).map((one) => one.name);
  return `running transactions behind ${open.join(", ") || "no gate"} have to end`;
}

/** How far the standby's replay is behind what it has received. */
export function waitsForReplay(plan: FlipPlan, seen: FlipObservation): string {
  const { replayLsn, receiveLsn } = memberOf(seen, plan.to);
  if (replayLsn === null || receiveLsn === null) return `${plan.to} does not answer as a standby`;
  return `${plan.to} has replayed up to ${formatLsn(replayLsn)} of ${formatLsn(receiveLsn)}`;
}

/** The intent stands on the old primary; the standby has not replayed its row, and why that may be. */
export function waitsForRecord(plan: FlipPlan, seen: FlipObservation): string {
  const { writeLsn } = memberOf(seen, plan.from);
  const { reached, replayLsn, receiveLsn, streamsFrom } = memberOf(seen, plan.to);
  if (!reached || replayLsn === null) return `${plan.to} does not answer as a standby`;
  const upTo = writeLsn === null ? "" : ` of ${formatLsn(writeLsn)} on ${plan.from}`;
  const says = `${plan.to} has not replayed the row: it has replayed up to ${formatLsn(replayLsn)}${upTo}`;
  const received = receiveLsn ?? replayLsn;
  if (received > replayLsn) {
    return `${says}, and has received up to ${formatLsn(received)}: see what holds its replay up, a pause, recovery_min_apply_delay, a query or a slow disk`;
  }
  return streamsFrom === plan.from
    ? `${says}, and nothing more comes through: look at the network between the two`
    : `${says}, and does not stream from ${plan.from}: read its Postgres log`;
}
