/**
 * One process of all on a database looks at the roles: an advisory lock of a session (PostgreSQL
 * manual, 13.3.5). Whoever has it asks over that very session every second, and the server ends a
 * session that is silent: so a frozen or cut-off holder loses it within seconds, and learns of it.
 */
import type { Clock } from "../../kit/clock.ts";
import { openPgConnection } from "../../kit/pg-connection.ts";
import type { Logger } from "../../kit/logger.ts";
import type { PgConnection, PgTarget } from "../../kit/pg-connection.ts";
import { createComplaint } from "../complaint.ts";
import type { Complaint } from "../complaint.ts";
import { raisedTerm, raiseTerm } from "./lead-term.ts";
import type { Lead } from "./store.ts";

const tryMs = 400;
const askMs = 1000;
const askDeadlineMs = 2000;
const connectDeadlineMs = 3000;
/** How long the server waits for a word of ours before it ends the session. */
const silenceMs = 4000;

const settings = {
  tcp_keepalives_idle: "1",
  tcp_keepalives_interval: "1",
  tcp_keepalives_count: "3",
} as const;

export interface LeadOptions {
  readonly target: PgTarget;
  /** The advisory lock's key, a bigint in digits. */
  readonly key: string;
  readonly clock: Clock;
  /** Aborts when the store is closed. */
  readonly closing: AbortSignal;
  readonly logger: Logger | undefined;
}

/** Waits for the lead, however long; a database that is away is waited for. @throws the signal's reason */
export async function waitForLead(options: LeadOptions, signal: AbortSignal): Promise<Lead> {
  const either = AbortSignal.any([signal, options.closing]);
  const complaint = createComplaint(options.logger, { step: "lead" });
  for (;;) {
    either.throwIfAborted();
    try {
      return await attempt(options, either, complaint);
    } catch (error) {
      if (!either.aborted)
        complaint.about(`the lead cannot be asked for: ${(error as Error).message}`);
    }
    await options.clock.sleep(tryMs, either);
  }
}

/** Tries over one session until it has the lead; rejects when the session fails. */
async function attempt(
  options: LeadOptions,
  signal: AbortSignal,
  complaint: Complaint,
): Promise<Lead> {
  const lost = new AbortController();
  const connection = await openPgConnection(
    { ...options.target, title: "registry lead", queryDeadlineMs: askDeadlineMs, settings },
    { deadlineMs: connectDeadlineMs, signal, onLost: (error) => lost.abort(error) },
  );
  try {
    await endWhenSilent(connection);
    const text = `SELECT pg_try_advisory_lock(${options.key}) AS taken`;
    const ends = AbortSignal.any([signal, lost.signal]);
    for (;;) {
      const [row] = await connection.query(text);
      if (row?.["taken"] === true) break;
      complaint.over("the lead can be asked for again");
      await options.clock.sleep(tryMs, ends);
    }
    const term = raisedTerm(await connection.query(raiseTerm));
    signal.throwIfAborted();
    return heldLead(connection, term, options, lost);
  } catch (error) {
    connection.cut();
    throw error;
  }
}

/** PostgreSQL 14 and newer end an idle session themselves; older ones have the keepalives alone. */
async function endWhenSilent(connection: PgConnection): Promise<void> {
  const text = `SELECT count(set_config(name, '${silenceMs}', false)) FROM pg_settings
    WHERE name = 'idle_session_timeout'`;
  await connection.query(text);
}

function heldLead(
  connection: PgConnection,
  term: number,
  options: LeadOptions,
  lost: AbortController,
): Lead {
  const over = AbortSignal.any([lost.signal, options.closing]);
  const released = new AbortController();
  const watch = async (): Promise<void> => {
    const ends = AbortSignal.any([over, released.signal]);
    try {
      for (;;) {
        await options.clock.sleep(askMs, ends);
        await connection.query("SELECT 1");
      }
    } catch (error) {
      if (released.signal.aborted || options.closing.aborted) await connection.close();
      else connection.cut();
      lost.abort(error);
    }
  };
  const watched = watch();
  return {
    term,
    lost: over,
    release: async () => {
      released.abort();
      await watched;
    },
  };
}
