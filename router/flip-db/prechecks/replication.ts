/** Checks of how the standby follows, and of what it must have to take over. */
import { ageInWords, sizeInWords } from "../../../config/units.ts";
import { lsnDistance, parseLsn } from "../../../kit/lsn.ts";
import {
  floorSettings,
  parseSynchronousNames,
  standbySilent,
} from "../../cluster/conditions/replication.ts";
import { endOf, listed, moreOf, UnreadError } from "./facts.ts";
import type { PrecheckFacts } from "./facts.ts";

type Check = (facts: PrecheckFacts) => string | undefined;

export const streaming: Check = (facts) => {
  const [from, to] = [endOf(facts, "from"), endOf(facts, "to")];
  const { receiver } = to.facts;
  if (receiver?.status !== "streaming") {
    return `${to.name} does not stream: its WAL receiver is ${receiver?.status ?? "not there"}`;
  }
  if (to.view.upstream !== from.name) {
    const upstream = to.view.upstream ?? `${receiver.senderHost}:${receiver.senderPort}`;
    return `${to.name} streams from ${upstream}, not from ${from.name}`;
  }
  if (to.facts.timeline !== from.facts.timeline) {
    return `${to.name} is on timeline ${to.facts.timeline}, ${from.name} on ${from.facts.timeline}`;
  }
  // What topology says of it; the connection stands, so nothing else shows that it is cut off.
  const silent = standbySilent(facts.view).find((one) => one.part === to.name);
  return silent === undefined
    ? undefined
    : `${to.name} is connected to ${from.name}, and nothing comes through: ${silent.says}`;
};

export const replayPaused: Check = (facts) => {
  const { name, facts: said } = endOf(facts, "to");
  return said.replayPaused ? `replay is paused on ${name}` : undefined;
};

export const applyDelay: Check = (facts) => {
  const { name, facts: said } = endOf(facts, "to");
  const delayMs = Number(said.settings["recovery_min_apply_delay"] ?? 0);
  return delayMs > 0 ? `recovery_min_apply_delay is ${delayMs} ms on ${name}` : undefined;
};

/** A standby that stops at a target promotes or pauses there, not at the end. */
export const recoveryTarget: Check = (facts) => {
  const { settings } = moreOf(facts, "to");
  const set = Object.entries(settings).filter(
    ([name, value]) => /^recovery_target(_(lsn|name|time|xid))?$/.test(name) && value !== "",
  );
  return set.length === 0
    ? undefined
    : `${set.map(([name, value]) => `${name} is ${value}`).join(", ")} on ${facts.to}`;
};

/** How far behind, and how long catching up takes at the speed of the two looks. */
export const lag: Check = (facts) => {
  const { name, view } = endOf(facts, "to");
  const { lagBytes } = view;
  if (lagBytes === null) throw new UnreadError(`how far ${name} is behind`);
  const now = lagNow(facts);
  const least = Math.min(lagBytes, now.bytes);
  if (least <= facts.limits.lagBytes) return undefined;
  const limit = sizeInWords(facts.limits.lagBytes);
  return `${name} is ${sizeInWords(now.bytes)} behind (limit ${limit}); ${catchUp(lagBytes, now)}`;
};

interface LagNow {
  readonly bytes: number;
  /** Since topology's look. */
  readonly afterMs: number;
}

function lagNow(facts: PrecheckFacts): LagNow {
  const [head, replayed] = [moreOf(facts, "from").lsn, moreOf(facts, "to").lsn];
  if (head === null || replayed === null) throw new UnreadError(`how far ${facts.to} is behind`);
  const bytes = Math.max(0, lsnDistance(parseLsn(head), parseLsn(replayed)));
  return { bytes, afterMs: moreOf(facts, "to").clockMs - endOf(facts, "to").facts.clockMs };
}

function catchUp(before: number, now: LagNow): string {
  const bytesPerSecond = (before - now.bytes) / Math.max(0.001, now.afterMs / 1000);
  if (bytesPerSecond <= 0) return "it does not catch up";
  return `it catches up by ${sizeInWords(bytesPerSecond)}/s, ${ageInWords(now.bytes / bytesPerSecond)} to go`;
}

/** The old primary becomes a standby of the new one. */
export const settings: Check = (facts) => {
  const [from, to] = [endOf(facts, "from"), endOf(facts, "to")];
  const lower = floorSettings.flatMap((name) => {
    const [has, needs] = [to.facts.settings[name], from.facts.settings[name]];
    if (has === undefined || needs === undefined) throw new UnreadError(`${name} of the members`);
    return Number(has) < Number(needs) ? [`${name} is ${has}, ${needs} on ${from.name}`] : [];
  });
  return lower.length === 0 ? undefined : `on ${to.name} ${lower.join("; ")}`;
};

/** Room on the standby for the old primary: a slot and a WAL sender. */
export const room: Check = (facts) => {
  const [from, to] = [endOf(facts, "from"), endOf(facts, "to")];
  const more = moreOf(facts, "to");
  const own = from.view.declared.slot;
  const slots = Number(more.settings["max_replication_slots"] ?? 0);
  const senders = Number(more.settings["max_wal_senders"] ?? 0);
  if (own !== undefined && !more.slots.includes(own) && more.slots.length >= slots) {
    return `all ${slots} replication slots of ${to.name} are taken: ${listed(more.slots)}`;
  }
  return more.senders.length >= senders
    ? `all ${senders} WAL senders of ${to.name} are taken`
    : undefined;
};

/** What a promoted standby would wait for: the old primary alone can stream from it. */
function neededAfter(facts: PrecheckFacts): { value: string; met: boolean; needed: number } {
  const value = endOf(facts, "to").facts.settings["synchronous_standby_names"] ?? "";
  const { needed, names } = parseSynchronousNames(value);
  const present = facts.view.members.filter((one) => one.name !== facts.to);
  const able = present.filter((one) => names.includes(one.name) || names.includes("*"));
  return { value, needed, met: able.length >= needed };
}

export const syncUnmet: Check = (facts) => {
  const { value, met } = neededAfter(facts);
  return met
    ? undefined
    : `synchronous_standby_names is ${value} on ${facts.to}: once promoted, its commits wait for ever`;
};

export const syncOldPrimary: Check = (facts) => {
  const { value, met, needed } = neededAfter(facts);
  if (!met || needed === 0) return undefined;
  const then =
    facts.limits.synchronous === "relax" ? "then it is relaxed (flip.synchronous)" : "and longer";
  return `synchronous_standby_names is ${value} on ${facts.to}: its first commits wait until ${facts.from} streams from it, for 5 s, ${then}`;
};

export const logicalSlots: Check = (facts) => {
  const copies = moreOf(facts, "to").logicalSlots.filter((one) => one.synced);
  const lost = moreOf(facts, "from").logicalSlots.filter(
    (slot) => !slot.temporary && !copies.some((copy) => copy.name === slot.name),
  );
  if (lost.length === 0) return undefined;
  const names = lost.map(({ name, database, failover }) =>
    failover ? `${name} (${database}; not synced yet)` : `${name} (${database})`,
  );
  return `will be lost: ${listed(names)}`;
};

/** Without it a member that diverges can only be copied anew. */
export const rewind: Check = (facts) => {
  const { name, facts: said } = endOf(facts, "from");
  const { data_checksums: sums, wal_log_hints: hints } = said.settings;
  return sums === "on" || hints === "on"
    ? undefined
    : `${name} has neither data checksums nor wal_log_hints`;
};

const shortMs = 10 * 60 * 1000;
/** Below this the whole data is read again within a breath. */
const smallBytes = 256 * 1024 ** 2;

export const coldCache: Check = (facts) => {
  const [from, to] = [moreOf(facts, "from"), moreOf(facts, "to")];
  const buffers = (one: typeof to): number => Number(one.settings["shared_buffers"] ?? 0) * 8192;
  if (to.dataBytes < smallBytes) return undefined;
  const upMs = to.clockMs - to.startedAtMs;
  const young =
    upMs < shortMs ? [`Postgres of ${facts.to} runs for ${ageInWords(upMs / 1000)}`] : [];
  const less =
    buffers(to) < buffers(from)
      ? [
          `shared_buffers of ${facts.to} are ${sizeInWords(buffers(to))}, not ${sizeInWords(buffers(from))}`,
        ]
      : [];
  const offer = to.canPrewarm ? "" : " (pg_prewarm is not installed there)";
  const found = [...young, ...less];
  return found.length === 0 ? undefined : `${found.join("; ")}${offer}`;
};

/** PostgreSQL manual, 28.2.2 and the page of CREATE SEQUENCE: neither goes through the WAL row by row. */
export const notReplicated: Check = () =>
  "statistics of use begin at zero, and sequences skip up to 32 values";
