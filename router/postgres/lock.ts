/**
 * The lock of a cluster: session advisory locks on its members' Postgres, in database postgres, the
 * one that counts first. It is gone as soon as the session that holds it is, and acts on the member
 * that counts go over that very session. Who holds it stands in the session's application name.
 * PostgreSQL manual, 13.3.5 "Advisory Locks".
 */
import { withDeadline } from "../../kit/clock.ts";
import type { Environment } from "../../config/schema.ts";
import { PgConnectionError } from "../../kit/pg-connection.ts";
import type { AskPostgres } from "../../kit/pg-session.ts";
import { LockedError } from "../operation/lock.ts";
import type { LockHold, LockPurpose } from "../operation/lock.ts";
import { askOf, MemberSession, SessionLostError } from "./session.ts";

export interface ClusterHold extends LockHold {
  /** The open sessions that hold it, in the order in which it was taken. */
  readonly sessions: readonly MemberSession[];
  /** Asks `member` over the session that holds the lock there; undefined where none could be had. */
  ask(member: string): AskPostgres | undefined;
}

export interface LockOptions {
  /** For all members together. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

/** "SWIT" and 1; an operator finds it so in pg_locks. */
const key = { classid: 0x53_57_49_54, objid: 1 } as const;

const takeStatement = `SELECT pg_try_advisory_lock(${key.classid}, ${key.objid}) AS taken`;
const holderStatement = `SELECT a.application_name AS name, a.usename AS role,
    to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS since
  FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
    AND l.classid = ${key.classid} AND l.objid = ${key.objid}
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

const namePrefix = "switchyard ";
const nameBytesMax = 63;

/** SQLSTATEs of a Postgres that is starting, stopping or recovering: it does not run, as yet. */
const notRunning = ["57P03", "57P01", "57P02"];

/** How long every command waits for the members, all together, when it takes the lock. */
export const lockDeadlineMs = 3000;

/** Clients may be waiting meanwhile, and a session that answers later can be asked again. */
const askMs = 1000;

/** Between finding the lock taken and asking by whom, its holder may have left. */
const attempts = 3;

/**
 * Takes the lock on every member of `order` that can be reached, in that order; the first one
 * counts. A member that does not run, or does not answer, is left out.
 * @throws LockedError when another operation holds it on any of them; PgConnectionError where a
 * member answers and does not let us in; the signal's reason. Nothing is held then.
 */
export async function acquireClusterLock(
  environment: Environment,
  order: readonly string[],
  purpose: LockPurpose,
  options: LockOptions,
): Promise<ClusterHold> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await takeAll(environment, order, purpose, options);
    } catch (error) {
      // A server that goes down meanwhile takes its session along; asked anew, it is one that does not run.
      const mayPass = error instanceof SessionLostError || isAbsent(error);
      if (!mayPass || attempt === attempts) throw error;
      options.signal?.throwIfAborted();
    }
  }
}

async function takeAll(
  environment: Environment,
  order: readonly string[],
  purpose: LockPurpose,
  options: LockOptions,
): Promise<ClusterHold> {
  const sessions = await openSessions(environment, order, purpose, options);
  try {
    for (const session of sessions) await take(session, options.signal);
    return holdOf(sessions, order[0] ?? "");
  } catch (error) {
    await closeAll(sessions);
    throw error;
  }
}

/** Who holds the lock of this cluster on the member behind `ask`; undefined when nobody does. */
export async function findLockHolder(
  ask: AskPostgres,
): Promise<(LockPurpose & { readonly since: string }) | undefined> {
  const [row] = await ask(holderStatement);
  if (row === undefined) return undefined;
  return { ...readName(String(row["name"]), String(row["role"])), since: String(row["since"]) };
}

async function openSessions(
  environment: Environment,
  order: readonly string[],
  purpose: LockPurpose,
  options: LockOptions,
): Promise<MemberSession[]> {
  const applicationName = nameOf(purpose);
  const openings = order.map(async (name) => {
    const member = environment.members.find((one) => one.name === name);
    if (member === undefined) throw new TypeError(`there is no member ${name}`);
    return await MemberSession.open(environment, member, { ...options, applicationName });
  });
  const results = await Promise.allSettled(openings);
  const sessions = results.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const refused = results.find((one) => one.status === "rejected" && !isAbsent(one.reason));
  if (refused?.status !== "rejected" && options.signal?.aborted !== true) return sessions;
  await closeAll(sessions);
  options.signal?.throwIfAborted();
  throw refused?.status === "rejected" ? refused.reason : new TypeError("no member refused");
}

function isAbsent(reason: unknown): boolean {
  if (!(reason instanceof PgConnectionError)) return false;
  const { fault, sqlState } = reason;
  return fault === "refused" || fault === "silent" || notRunning.includes(sqlState ?? "");
}

async function take(session: MemberSession, signal: AbortSignal | undefined): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const [row] = await session.ask(takeStatement, signal);
    if (row?.["taken"] === "t") return;
    const holder = await findLockHolder(askOf(session, signal));
    if (holder === undefined && attempt < attempts) continue;
    const unknown = { holder: "a session that has just left", since: "unknown", why: "unknown" };
    throw new LockedError(session.member, holder ?? unknown);
  }
}

function holdOf(sessions: readonly MemberSession[], counting: string): ClusterHold {
  const first = sessions.find((one) => one.member === counting);
  return {
    session: first?.id ?? null,
    sessions,
    ask: (member) => {
      const session = sessions.find((one) => one.member === member && one.isOpen);
      return session === undefined ? undefined : askOf(session);
    },
    stillHeld: async (signal) => {
      try {
        // Nothing but the end of the session gives the lock back.
        await withDeadline(
          "is the lock held",
          askMs,
          async (inner) => first?.ask("SELECT 1", inner),
          signal,
        );
        return first?.isOpen === true;
      } catch {
        return false;
      }
    },
    answeredWithin: (ms) => first?.answeredWithin(ms) === true,
    release: () => closeAll(sessions),
  };
}

async function closeAll(sessions: readonly MemberSession[]): Promise<void> {
  await Promise.all(sessions.map((one) => one.close()));
}

/** `switchyard <why> <holder>`, the holder in one word, cut to what a name may have. */
function nameOf({ holder, why }: LockPurpose): string {
  const clean = (text: string): string => text.replaceAll(/[^\x21-\x7e ]/g, "?");
  const who = clean(holder).replaceAll(" ", "_");
  const room = nameBytesMax - namePrefix.length - 1;
  const purpose = clean(why).slice(0, Math.max(room - who.length, room - 24));
  return `${namePrefix}${purpose} ${who.slice(0, room - purpose.length)}`;
}

function readName(name: string, role: string): LockPurpose {
  if (!name.startsWith(namePrefix)) return { holder: role, why: name };
  const words = name.slice(namePrefix.length);
  const at = words.lastIndexOf(" ");
  return at < 0
    ? { holder: role, why: words }
    : { holder: words.slice(at + 1), why: words.slice(0, at) };
}
