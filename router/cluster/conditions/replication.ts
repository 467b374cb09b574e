/** Conditions about how the standbys follow the primary, and about replication slots. */
import { ageInWords, sizeInWords } from "../../../config/units.ts";
import type { Lsn } from "../../../kit/lsn.ts";
import { formatLsn } from "../../../kit/lsn.ts";
import type { PostgresFacts, Slot } from "../../postgres/facts.ts";
import { valueOf } from "../view.ts";
import type { ClusterView, MemberView } from "../view.ts";
import { eachKnownMember, eachPrimary, eachStandby, knownMembers } from "./condition.ts";
import type { Condition } from "./condition.ts";

/** A standby without a stream of WAL. */
export const standbyNotStreaming: Condition = eachStandby((facts) => {
  const status = facts.receiver?.status ?? null;
  if (status === "streaming") return [];
  return [status === null ? "no WAL receiver runs" : `its WAL receiver is ${status}`];
});

/** How often a standby reports by default, and how much later a report may come. */
const reportIntervalS = 10;
const reportMarginS = 10;

/**
 * The primary has a sender for the standby, but the standby has not reported for longer than it
 * should: the network between them loses everything, which neither side calls an error for a
 * minute (wal_sender_timeout, wal_receiver_timeout).
 */
export const standbySilent: Condition = eachStandby((facts, member, view) => {
  const senders = view.primary === null ? [] : (valueOf(view.primary.postgres)?.senders ?? []);
  const sender = senders.find((one) => one.name === member.name);
  if (sender === undefined || sender.repliedAtMs === null) return [];
  const declaredS = Number(facts.settings["wal_receiver_status_interval"] ?? reportIntervalS);
  // 0 switches regular reports off; half of wal_receiver_timeout brings one all the same.
  const limitS = (declaredS === 0 ? 30 : declaredS) + reportMarginS;
  // Both times are the standby's clock, so clocks that differ do no harm.
  const silentS = (facts.clockMs - sender.repliedAtMs) / 1000;
  if (silentS <= limitS) return [];
  return [`${view.primary?.name} has heard nothing from it for ${ageInWords(silentS)}`];
});

/** A standby that streams from a member that is not the primary. */
export const standbyFollowsAnother: Condition = eachStandby((_facts, member, view) => {
  const { upstream } = member;
  if (upstream === null || view.primary === null || upstream === view.primary.name) return [];
  return [`it streams from ${upstream}, and the primary is ${view.primary.name}`];
});

/** Somebody paused replay. */
export const replayPaused: Condition = eachStandby((facts) =>
  facts.replayPaused ? ["replay is paused: reads get older and older"] : [],
);

/** The standby is late on purpose. */
export const replayDelayed: Condition = eachStandby(({ settings }) => {
  const delayMs = Number(settings["recovery_min_apply_delay"] ?? 0);
  return delayMs > 0 ? [`recovery_min_apply_delay is ${delayMs} ms`] : [];
});

/** A standby is too far behind. */
export const lagHigh: Condition = eachStandby((_facts, member, view) => {
  const lag = member.lagBytes ?? 0;
  if (lag <= view.lagLimitBytes) return [];
  return [`${sizeInWords(lag)} behind; the limit is ${sizeInWords(view.lagLimitBytes)}`];
});

/** A member's data does not lie on the primary's history. */
export const timelineDiverged: Condition = (view) => {
  const primary = view.primary === null ? null : valueOf(view.primary.postgres);
  if (view.primary === null || primary === null) return [];
  const { name } = view.primary;
  return knownMembers(view).flatMap(({ member, facts }) => {
    if (member.name === name || facts.systemIdentifier !== primary.systemIdentifier) return [];
    const says = divergence(primary, facts, name);
    return says === undefined ? [] : [{ part: member.name, says }];
  });
};

function divergence(
  primary: PostgresFacts,
  facts: PostgresFacts,
  name: string,
): string | undefined {
  if (facts.timeline === primary.timeline) {
    return facts.role === "primary" ? `two primaries write timeline ${facts.timeline}` : undefined;
  }
  const timelines = `timeline ${facts.timeline}, but ${name} is on ${primary.timeline}`;
  if (facts.timeline > primary.timeline) return timelines;
  const fork = primary.history?.find((one) => one.timeline === facts.timeline);
  if (fork === undefined) {
    // An empty history is not known to leave anything out; a history without it is proof.
    return primary.history === null ? undefined : `${timelines}, which did not come from it`;
  }
  const reached = furthest(facts);
  if (reached === null || reached <= fork.endLsn) return undefined;
  return `${timelines} since ${formatLsn(fork.endLsn)}; it went on to ${formatLsn(reached)}`;
}

function furthest(facts: PostgresFacts): Lsn | null {
  const positions = [facts.writeLsn, facts.receiveLsn, facts.replayLsn].filter(
    (one) => one !== null,
  );
  return positions.reduce<Lsn | null>(
    (most, one) => (most === null || one > most ? one : most),
    null,
  );
}

function slotOf(member: MemberView): string | null {
  return member.declared.slot ?? valueOf(member.postgres)?.receiver?.slot ?? null;
}

/** Members that should stream from the primary, with the slot they should use there. */
function followers(view: ClusterView): readonly { member: string; slot: string }[] {
  return view.members.flatMap((member) => {
    const slot = slotOf(member);
    if (member.name === view.primary?.name || member.role === "primary" || slot === null) return [];
    return [{ member: member.name, slot }];
  });
}

/** The primary does not keep WAL for a standby. */
export const slotMissing: Condition = (view) => {
  const facts = view.primary === null ? null : valueOf(view.primary.postgres);
  if (view.primary === null || facts === null) return [];
  const part = view.primary.name;
  return followers(view)
    .filter(({ slot }) => facts.slots.every((one) => one.name !== slot))
    .map(({ member, slot }) => ({ part, says: `there is no slot ${slot} for ${member}` }));
};

/** A slot of the primary keeps WAL for somebody who is not there. */
export const slotInactive: Condition = (view) => {
  const facts = view.primary === null ? null : valueOf(view.primary.postgres);
  if (view.primary === null || facts === null) return [];
  const part = view.primary.name;
  const expected = new Set(followers(view).map(({ slot }) => slot));
  const { manager } = view.primary.declared;
  return facts.slots
    .filter(({ name }) => !isManagers(name, manager))
    .filter((slot) => isIdle(slot) && (expected.has(slot.name) || slot.restartLsn !== null))
    .map((slot) => ({ part, says: `nobody streams through slot ${slot.name}${retains(slot)}` }));
};

function isIdle(slot: Slot): boolean {
  return !slot.active && !slot.temporary && !slot.synced && slot.walStatus !== "lost";
}

function retains(slot: Slot): string {
  return slot.retainedBytes === null ? "" : `; it keeps ${sizeInWords(slot.retainedBytes)} of WAL`;
}

/** A standby still keeps WAL for those who followed it when it was primary. */
export const slotLeftover: Condition = eachStandby((facts, { declared }) =>
  facts.slots
    .filter(({ name }) => !isManagers(name, declared.manager))
    .filter((slot) => isIdle(slot) && slot.type === "physical" && slot.restartLsn !== null)
    .map((slot) => `slot ${slot.name} is left from an earlier role${retains(slot)}`),
);

/** Keepers of pg_auto_failover make and drop these on every member, and keep them of a node that is away. */
function isManagers(slot: string, manager: string): boolean {
  return manager === "pg_auto_failover" && slot.startsWith("pgautofailover_standby_");
}

/** A slot whose WAL is gone. */
export const slotLost: Condition = eachKnownMember((facts) =>
  facts.slots
    .filter((slot) => slot.walStatus === "lost")
    .map((slot) => `the WAL that slot ${slot.name} needs has been removed`),
);

/** As much as max_wal_size lets a server keep by default: more is an emergency in the making. */
const retainedLimitBytes = 1024 ** 3;

/** A slot fills the disk. */
export const slotRetainsWal: Condition = eachKnownMember((facts) =>
  facts.slots
    .filter((slot) => (slot.retainedBytes ?? 0) > retainedLimitBytes)
    .map((slot) => `slot ${slot.name} keeps ${sizeInWords(slot.retainedBytes ?? 0)} of WAL`),
);

/** How many synchronous standbys a value of synchronous_standby_names asks for, and their names. */
export function parseSynchronousNames(value: string): {
  readonly needed: number;
  readonly names: readonly string[];
} {
  const match = /^\s*(?:(?:FIRST|ANY)\s+)?([0-9]+)\s*\((.*)\)\s*$/is.exec(value);
  const list = match?.[2] ?? value;
  const names = list
    .split(",")
    .map((one) => one.trim().replaceAll(/^"|"$/g, ""))
    .filter((one) => one !== "");
  return { needed: names.length === 0 ? 0 : Number(match?.[1] ?? 1), names };
}

/** Commits on the primary wait for a standby that is not there. */
export const syncStandbyMissing: Condition = eachPrimary((facts) => {
  const { needed } = parseSynchronousNames(facts.settings["synchronous_standby_names"] ?? "");
  const present = facts.senders.filter(
    (one) => one.state === "streaming" && ["sync", "quorum"].includes(one.syncState ?? ""),
  );
  if (present.length >= needed) return [];
  return [
    `synchronous_standby_names asks for ${needed}, and ${present.length} of them stream: commits wait`,
  ];
});

/** After a promotion this standby would wait for nobody but members that may not be there. */
export const syncAfterPromotion: Condition = eachStandby((facts, _member, view) => {
  const { names } = parseSynchronousNames(facts.settings["synchronous_standby_names"] ?? "");
  const primary = view.primary?.name;
  return names.length > 0 && primary !== undefined && names.every((name) => name === primary)
    ? [`once promoted, its commits would wait for ${primary} alone`]
    : [];
});

/** PostgreSQL manual, 27.4.6 "Administrator's Overview": a standby's must not be lower. */
export const floorSettings = [
  "max_connections",
  "max_worker_processes",
  "max_wal_senders",
  "max_prepared_transactions",
  "max_locks_per_transaction",
] as const;

/** A standby that will stop replaying, or not start, because it was given less. */
export const standbySettingsLower: Condition = eachStandby((facts, _member, view) => {
  const primary = view.primary === null ? null : valueOf(view.primary.postgres);
  if (primary === null) return [];
  return floorSettings.flatMap((name) => {
    const [own, needed] = [Number(facts.settings[name]), Number(primary.settings[name])];
    return own < needed ? [`${name} is ${own}, but ${needed} on the primary`] : [];
  });
});

/** Replication is not possible. */
export const walLevelLow: Condition = eachPrimary(({ settings }) =>
  settings["wal_level"] === "minimal" ? ["wal_level is minimal: no standby can follow"] : [],
);

/** Somebody takes a base backup. */
export const backupRunning: Condition = eachKnownMember((facts) =>
  facts.senders
    .filter((one) => one.state === "backup")
    .map((one) => `${one.name || "a client"} takes a base backup from ${one.address ?? "here"}`),
);

interface UnsafeRow {
  readonly name: string;
  readonly safe: string;
}

const unsafeRows: readonly UnsafeRow[] = [
  { name: "fsync", safe: "on" },
  { name: "full_page_writes", safe: "on" },
  { name: "data_checksums", safe: "on" },
  { name: "wal_segment_size", safe: String(16 * 1024 ** 2) },
];

const memoryFileSystems = ["tmpfs", "ramfs"];

/** Settings with which an acknowledged commit can be lost, or damage goes unseen. */
export const unsafeSetting: Condition = eachKnownMember((facts) => {
  const { settings, laxRoles, dataFileSystem } = facts;
  const plain = unsafeRows.flatMap(({ name, safe }) => {
    const value = settings[name];
    return value === undefined || value === safe ? [] : [`${name} is ${value}, not ${safe}`];
  });
  const lax = settings["synchronous_commit"] === "off" ? ["synchronous_commit is off"] : [];
  const roles = laxRoles.map((who) => `synchronous_commit is off for ${who}`);
  const place = memoryFileSystems.includes(dataFileSystem ?? "")
    ? [`the data lies in memory (${dataFileSystem})`]
    : [];
  return [...plain, ...lax, ...roles, ...place];
});
