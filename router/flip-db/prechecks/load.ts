/** Checks of what runs on the old primary: whatever its shutdown, or a pause, would wait for. */
import { ageInWords } from "../../../config/units.ts";
import { parseLsn } from "../../../kit/lsn.ts";
import type { Backend, Transaction, WalSender } from "../../postgres/flip-facts.ts";
import { endOf, listed, moreOf, UnreadError } from "./facts.ts";
import type { PrecheckFacts } from "./facts.ts";

type Check = (facts: PrecheckFacts) => string | undefined;

/** Calls fail now: more failures than at topology's look, or none went well since the last one. */
export const archiverFailing: Check = (facts) => {
  const { name, facts: before } = endOf(facts, "from");
  if (before.settings["archive_mode"] === "off") return undefined;
  const now = moreOf(facts, "from");
  const rising = now.archiveFailures - before.archiver.failedCount;
  const isLast = now.archiveFailedAtMs !== null && now.archiveFailedAtMs > (now.archivedAtMs ?? 0);
  if (rising <= 0 && !isLast) return undefined;
  return `archiving fails on ${name}: ${now.archiveFailures} failures, the last for ${now.archiveLastFailedWal ?? "an unknown file"}`;
};

export const archiveBacklog: Check = (facts) => {
  if (endOf(facts, "from").facts.settings["archive_mode"] === "off") return undefined;
  const { archiveReady } = moreOf(facts, "from");
  if (archiveReady === null) throw new UnreadError("how many files wait for the archiver");
  const limit = facts.limits.archiveBacklog;
  return archiveReady > limit
    ? `${archiveReady} files wait for the archiver of ${facts.from} (limit ${limit})`
    : undefined;
};

function senderWords(one: WalSender): string {
  const slot = one.slot === null ? "" : `, slot ${one.slot}`;
  return `${one.application || "a client"} from ${one.address} (process ${one.pid}${slot})`;
}

export const baseBackup: Check = (facts) => {
  const running = moreOf(facts, "from").senders.filter((one) => one.state === "backup");
  return running.length === 0
    ? undefined
    : `a base backup runs: ${listed(running.map(senderWords))}`;
};

function foreign(facts: PrecheckFacts): readonly WalSender[] {
  const members = facts.view.members.map(({ name, declared }) => ({ name, slot: declared.slot }));
  return moreOf(facts, "from").senders.filter(
    (one) =>
      one.state !== "backup" &&
      !members.some(({ name, slot }) => one.application === name || (one.slot ?? "") === slot),
  );
}

/** A shutdown waits until every receiver has flushed all; the flip does not. */
export const lateReceivers: Check = (facts) => {
  // Where the primary was a look earlier: whoever keeps up has flushed that by now.
  const before = endOf(facts, "from").facts.writeLsn;
  if (before === null) throw new UnreadError(`the WAL position of ${facts.from}`);
  const late = foreign(facts).filter(
    ({ flushLsn }) => flushLsn !== null && parseLsn(flushLsn) < before,
  );
  return late.length === 0
    ? undefined
    : `have not flushed all: ${listed(late.map((one) => `${senderWords(one)} at ${one.flushLsn}`))}`;
};

export const foreignReceivers: Check = (facts) => {
  const all = foreign(facts);
  const kind = (one: WalSender): string => (one.logical ? "logical" : "physical");
  return all.length === 0
    ? undefined
    : `also stream from ${facts.from}: ${listed(all.map((one) => `${kind(one)} ${senderWords(one)}`))}`;
};

const saneTimeoutMs = 60_000;

export const senderTimeout: Check = (facts) => {
  const timeoutMs = Number(moreOf(facts, "from").settings["wal_sender_timeout"] ?? saneTimeoutMs);
  if (timeoutMs > 0 && timeoutMs <= saneTimeoutMs) return undefined;
  const says = timeoutMs === 0 ? "off" : ageInWords(timeoutMs / 1000);
  return `wal_sender_timeout is ${says} on ${facts.from}: a receiver that is gone holds its shutdown up`;
};

/** PostgreSQL 19: a WAL sender would leave before the standby has everything. */
export const shutdownTimeout: Check = (facts) => {
  const value = moreOf(facts, "from").settings["wal_sender_shutdown_timeout"];
  return value === undefined || value === "-1"
    ? undefined
    : `wal_sender_shutdown_timeout is ${value} on ${facts.from}, not -1`;
};

function backendWords(one: Backend): string {
  const application = one.application === "" ? "" : ` ${one.application}`;
  return `${one.user} on ${one.database}${application} from ${one.address}`;
}

function transactionWords(one: Transaction, ms: number): string {
  return `process ${one.pid} for ${ageInWords(ms / 1000)} (${one.state}; ${backendWords(one)})`;
}

const isIdle = (one: Transaction): boolean => one.state.startsWith("idle in transaction");

export const longTransactions: Check = (facts) => {
  const long = moreOf(facts, "from").transactions.filter(
    (one) => !isIdle(one) && one.ageMs > facts.limits.holdMs,
  );
  return long.length === 0
    ? undefined
    : `run: ${listed(long.map((one) => transactionWords(one, one.ageMs)))}`;
};

export const idleTransactions: Check = (facts) => {
  const idle = moreOf(facts, "from").transactions.filter(
    (one) => isIdle(one) && one.idleMs > facts.limits.holdMs,
  );
  return idle.length === 0
    ? undefined
    : `are open: ${listed(idle.map((one) => transactionWords(one, one.idleMs)))}`;
};

export const preparedTransactions: Check = (facts) => {
  const { prepared } = moreOf(facts, "from");
  const names = prepared.map((one) => `${one.gid} for ${ageInWords(one.ageMs / 1000)}`);
  return prepared.length === 0 ? undefined : `${prepared.length} are prepared: ${listed(names)}`;
};

export const advisoryLocks: Check = (facts) => {
  const { lockHolders } = moreOf(facts, "from");
  return lockHolders.length === 0
    ? undefined
    : `held by ${listed(lockHolders.map((one) => `process ${one.pid} (${backendWords(one)})`))}`;
};
