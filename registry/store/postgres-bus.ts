/**
 * Hears of the other processes on this database: LISTEN on a connection of its own, looked after by a
 * question every few seconds, opened again when it is lost. Whoever listens is told when notices may
 * have been missed.
 */
import type { Clock } from "../../kit/clock.ts";
import type { Logger } from "../../kit/logger.ts";
import { openPgConnection } from "../../kit/pg-connection.ts";
import type { PgConnection, PgTarget } from "../../kit/pg-connection.ts";
import { createComplaint } from "../complaint.ts";
import type { Notice } from "./listeners.ts";
import { noticeReader } from "./notice-text.ts";

const connectDeadlineMs = 3000;
const questionMs = 3000;
const questionDeadlineMs = 3000;
const waits = { firstMs: 100, longestMs: 2000 };

export interface BusOptions {
  readonly target: PgTarget;
  readonly channel: string;
  /** This process among those that send; it does not hear itself. */
  readonly self: string;
  readonly clock: Clock;
  readonly logger: Logger | undefined;
  readonly take: (notice: Notice) => void;
  /** Notices may have been missed; this is so now. Not called the first time. */
  readonly missed: (now: Now) => void;
}

/** What whoever missed notices has to know. */
export interface Now {
  readonly generation: number;
  /** Ids of the nodes that are revoked. */
  readonly revoked: readonly number[];
}

export interface Bus {
  /** Resolves when it hears for the first time; rejects with what the first attempt met. */
  readonly ready: Promise<void>;
  close(): Promise<void>;
}

/** Starts to listen, and goes on until it is closed. */
export function startPostgresBus(options: BusOptions): Bus {
  const closing = new AbortController();
  const complaint = createComplaint(options.logger, { step: "listen" });
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  const loop = async (): Promise<void> => {
    let waitMs = waits.firstMs;
    let isFirst = true;
    while (!closing.signal.aborted) {
      try {
        await listen(options, closing.signal, (now) => {
          if (isFirst) resolve();
          else options.missed(now);
          isFirst = false;
          complaint.over("this process hears of the others again");
          waitMs = waits.firstMs;
        });
      } catch (error) {
        if (isFirst) {
          reject(error);
          return;
        }
        if (closing.signal.aborted) return;
        complaint.about(`this process does not hear of the others: ${(error as Error).message}`);
      }
      // Rejects when the bus is closed, which ends the loop.
      await options.clock.sleep(waitMs, closing.signal).catch(() => undefined);
      waitMs = Math.min(waitMs * 2, waits.longestMs);
    }
  };
  const ended = loop();
  return {
    ready,
    close: async () => {
      closing.abort();
      await ended;
    },
  };
}

/** Listens on one connection until it is lost or the signal aborts; rejects in both cases. */
async function listen(
  options: BusOptions,
  closing: AbortSignal,
  heard: (now: Now) => void,
): Promise<never> {
  const lost = new AbortController();
  const either = AbortSignal.any([closing, lost.signal]);
  const connection: PgConnection = await openPgConnection(
    { ...options.target, title: "registry bus", queryDeadlineMs: questionDeadlineMs },
    { deadlineMs: connectDeadlineMs, signal: closing, onLost: (error) => lost.abort(error) },
  );
  try {
    const read = noticeReader(options.self, options.take);
    connection.client.on("notification", ({ payload }) => read(payload ?? ""));
    await connection.query(`LISTEN "${options.channel}"`);
    heard(await lookNow(connection));
    for (;;) {
      await options.clock.sleep(questionMs, either);
      await connection.query("SELECT 1");
    }
  } finally {
    if (closing.aborted) connection.leave();
    else connection.cut();
  }
}

async function lookNow(connection: PgConnection): Promise<Now> {
  const [state] = await connection.query("SELECT current FROM dns_generation");
  const nodes = await connection.query("SELECT id FROM nodes WHERE revoked = 1");
  return {
    generation: Number(state?.["current"]),
    revoked: nodes.map((row) => Number(row["id"])),
  };
}
