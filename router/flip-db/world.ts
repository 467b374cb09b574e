/**
 * The real world of a flip: looks, acts, the lock and the journal of one run, over channels that
 * are opened once and kept. What is opened here is closed by close().
 */
import { systemTiming } from "../../kit/clock.ts";
import { loadPgDriver } from "../../kit/pg-connection.ts";
import type { Environment } from "../../config/schema.ts";
import { FileJournal, noJournal, readJournal } from "../operation/journal-file.ts";
import type { LockHold, LockPurpose } from "../operation/lock.ts";
import type { JournalRecord } from "../operation/records.ts";
import { readRecords } from "../postgres/journal.ts";
import { lockHolder } from "./history.ts";
import { quicken } from "../postgres/control/host.ts";
import { acquireClusterLock, lockDeadlineMs } from "../postgres/lock.ts";
import type { ClusterHold } from "../postgres/lock.ts";
import { askOf } from "../postgres/session.ts";
import { flipActions } from "./actions.ts";
import { channelsWithout, closeChannels, flipChannels } from "./acts/flip-channels.ts";
import type { FlipChannels } from "./acts/flip-channels.ts";
import type { FlipWorld, LockEnds } from "./flip.ts";
import type { FlipObservation, FlipPart, MonitorSeen, RouterSeen } from "./observation.ts";
import { lookAtOldWorkers } from "./acts/old-workers.ts";

export interface FlipWorldOptions {
  /**
   * The local journal of the operation, as operationFiles names it; its folder exists. Null where
   * nothing but looking is wanted: then nothing can be recorded, so nothing can be done.
   */
  readonly journalFile: string | null;
}

/** A world that is closed after use. */
export interface OpenFlipWorld extends FlipWorld {
  /** Ends everything that was opened; leases that are still held end by themselves. */
  close(): Promise<void>;
}

/**
 * Opens the world of one run. Nothing is asked of the cluster yet.
 * @throws the file system's error for the journal
 */
export async function openFlipWorld(
  environment: Environment,
  options: FlipWorldOptions,
): Promise<OpenFlipWorld> {
  const { journalFile } = options;
  let channels = flipChannels(environment);
  let actions = flipActions(channels);
  const journal = journalFile === null ? noJournal : await FileJournal.open(journalFile);
  let opening = journalFile === null ? loadPgDriver() : undefined;
  return {
    observe: async (parts, ends, signal) => {
      await (opening ??= openHosts(channels, signal));
      return await observe(channels, parts, ends, signal);
    },
    get actions() {
      return actions;
    },
    leaveOut: (parts) => {
      channels = channelsWithout(channels, parts);
      actions = flipActions(channels);
    },
    lock: {
      acquire: (ends, purpose, signal) => acquire(channels, ends, purpose, signal),
      holder: (signal) => lockHolder(environment, signal),
    },
    records: async () => (journalFile === null ? [] : await readJournal(journalFile)),
    journal,
    timing: systemTiming,
    close: async () => {
      closeChannels(channels);
      if (journal instanceof FileJournal) await journal.close();
    },
  };
}

/** Whoever acts looks often: hosts whose looks go a slow way are opened once for all of them. */
async function openHosts({ members }: FlipChannels, signal: AbortSignal): Promise<void> {
  await loadPgDriver();
  const hosts = [...members.values()].flatMap(({ host }) => host ?? []);
  await Promise.allSettled(hosts.map((host) => quicken(host, signal)));
}

async function observe(
  channels: FlipChannels,
  parts: readonly FlipPart[],
  ends: LockEnds | undefined,
  signal: AbortSignal,
): Promise<FlipObservation> {
  const has = (part: FlipPart): boolean => parts.includes(part);
  const asked = [...channels.members.values()].filter(({ member: { name } }) => {
    if (ends === undefined) return true;
    return (name === ends.from && has("from")) || (name === ends.to && has("to"));
  });
  const [members, routers, gates, monitor] = await Promise.all([
    Promise.all(
      asked.map(
        async (one) => [one.member.name, await one.look(has("processes"), signal)] as const,
      ),
    ),
    has("routers") || has("sessions") ? lookAtRouters(channels, has("sessions"), signal) : [],
    has("gates") ? channels.gates.look(signal) : [],
    has("monitor") ? lookAtMonitor(channels, signal) : undefined,
  ]);
  const said = monitor === undefined ? {} : { monitor };
  const seen = { members: Object.fromEntries(members), routers, gates, ...said };
  if (ends !== undefined) return { ...seen, journal: [] };
  return { ...seen, journal: await clusterJournal(channels, seen.members, signal) };
}

async function lookAtRouters(
  { environment, routers }: FlipChannels,
  withSessions: boolean,
  signal: AbortSignal,
): Promise<RouterSeen[]> {
  const [now, old] = await Promise.all([
    routers.look(signal),
    withSessions ? lookAtOldWorkers(environment, signal) : undefined,
  ]);
  return now.map(({ name, reached, up, passing, sessions }) => {
    const count = (member: string): number =>
      (sessions[member] ?? 0) + (old?.get(name)?.[member] ?? 0);
    const all = environment.members.map((one) => [one.name, count(one.name)] as const);
    return {
      name,
      reached,
      up,
      passing,
      sessions: old === undefined ? {} : Object.fromEntries(all),
    };
  });
}

async function lookAtMonitor(
  { monitor }: FlipChannels,
  signal: AbortSignal,
): Promise<MonitorSeen | undefined> {
  try {
    return monitor === undefined ? undefined : { nodes: await monitor.nodes(signal) };
  } catch (error) {
    signal.throwIfAborted();
    return { fault: error instanceof Error ? error.message : String(error) };
  }
}

/** What the members that answered have of the cluster's journal. */
async function clusterJournal(
  { members }: FlipChannels,
  seen: FlipObservation["members"],
  signal: AbortSignal,
): Promise<JournalRecord[]> {
  const answering = [...members.values()].filter(({ member }) => seen[member.name]?.reached);
  const lists = await Promise.all(
    answering.map(async (one) => {
      try {
        return await readRecords(askOf(await one.session(signal), signal));
      } catch (error) {
        signal.throwIfAborted();
        // One that has gone meanwhile is as one that did not answer.
        if ((error as { code?: unknown }).code === "ERR_CLUSTER_JOURNAL") throw error;
        return [];
      }
    }),
  );
  return lists.flat().toSorted((left, right) => left.at - right.at);
}

/** The standby's counts: it survives promotion, and acts on it go over the session that holds it. */
async function acquire(
  channels: FlipChannels,
  ends: LockEnds,
  purpose: LockPurpose,
  signal: AbortSignal,
): Promise<LockHold> {
  const { environment, members } = channels;
  const options = { deadlineMs: lockDeadlineMs, signal };
  const hold = await acquireClusterLock(environment, [ends.to, ends.from], purpose, options);
  lend(members, hold);
  return {
    ...hold,
    release: async () => {
      for (const one of members.values()) one.lockSession = undefined;
      await hold.release();
    },
  };
}

function lend(members: FlipChannels["members"], hold: ClusterHold): void {
  for (const [name, one] of members) {
    one.lockSession = hold.sessions.find((session) => session.member === name);
  }
}
