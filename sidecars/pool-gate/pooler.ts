/**
 * The admin console of the gate's PgBouncer: one connection that asks, and one for each database
 * that is being paused, because a PAUSE answers only when the last transaction has ended. Nothing
 * here waits for ever, and a RESUME is believed when it was seen. PgBouncer manual, "Admin console".
 */
import type { Secret } from "../../config/secret.ts";
import type { Address } from "../../kit/address.ts";
import { DeadlineError, systemClock, withDeadline } from "../../kit/clock.ts";
import { openPgConnection, PgConnectionError } from "../../kit/pg-connection.ts";
import type { PgConnection, PgRow, PgTarget } from "../../kit/pg-connection.ts";
import {
  consoleTarget,
  readBusy,
  readDatabases,
  readPoolModes,
  readPools,
  readState,
  readVersion,
  showTables,
} from "../../kit/pooler-console.ts";
import type { PoolerLook } from "./status.ts";

export interface PoolerLogin {
  readonly address: Address;
  readonly user: string;
  readonly password: Secret;
}

const lookTables = ["version", "state", "databases", "pools", "config"] as const;

/** How long one question may take, and how long databases may take to be resumed. */
const askDeadlineMs = 1000;
const resumeDeadlineMs = 1000;
const resumeIntervalMs = 5;
/** A PAUSE that was sent on a connection since cut may be read a moment later than a RESUME. */
const cleanLooks = 2;

export class PoolerConsole {
  readonly #target: PgTarget;
  readonly #ended = new AbortController();
  #asker: Promise<PgConnection> | undefined;
  #idle: PgConnection[] = [];

  constructor(login: PoolerLogin) {
    const target = consoleTarget("PgBouncer", login.address, login, "switchyard-pool-gate");
    this.#target = { ...target, values: "text" };
  }

  /** @throws PgConnectionError, DeadlineError */
  async look(): Promise<PoolerLook> {
    const shown = await showTables((text) => this.#ask(text), lookTables);
    return {
      version: readVersion(shown.version),
      whole: readState(shown.state),
      databases: readDatabases(shown.databases),
      pools: readPools(shown.pools),
      modes: readPoolModes(shown.databases, shown.config),
      busy: readBusy(shown.pools),
    };
  }

  /** The databases that are paused, by name. @throws PgConnectionError, DeadlineError */
  async paused(): Promise<string[]> {
    const rows = readDatabases(await this.#ask("SHOW DATABASES"));
    return rows.filter((one) => one.paused).map((one) => one.name);
  }

  /** Opens the connections that a pause of `count` databases takes. */
  async warm(count: number): Promise<void> {
    const missing = Math.max(0, count - this.#idle.length);
    await Promise.all([
      this.#ask("SHOW VERSION"),
      ...Array.from({ length: missing }, async () => {
        const opened: PgConnection = await this.#open(() => {
          this.#idle = this.#idle.filter((one) => one !== opened);
        });
        this.#idle.push(opened);
      }),
    ]);
  }

  /**
   * Pauses the databases side by side; resolves when all of them are. When it rejects some may be
   * paused, or may become so in a moment: resume() undoes it.
   * @throws DeadlineError when transactions did not end in time, PgConnectionError, or the signal's reason
   */
  async pause(
    databases: readonly string[],
    options: { readonly deadlineMs: number; readonly signal: AbortSignal },
  ): Promise<void> {
    await this.warm(databases.length);
    options.signal.throwIfAborted();
    const lines = this.#idle.splice(0, databases.length);
    const work = async (): Promise<void> => {
      await Promise.all(
        databases.map(async (name, index) => {
          const line = lines[index];
          if (line === undefined) throw new TypeError("a connection was lost");
          await line.query(`PAUSE ${quoted(name)}`);
        }),
      );
    };
    try {
      await withDeadline("pause", options.deadlineMs, work, options.signal);
      this.#idle.push(...lines);
    } catch (error) {
      // A PAUSE that still waits would outlive the RESUME (pgbouncer #715).
      for (const line of lines) line.cut();
      throw error;
    }
  }

  /**
   * Resumes those of the databases that are paused, until none is, twice in a row.
   * @throws DeadlineError, PgConnectionError
   */
  async resume(databases: readonly string[]): Promise<void> {
    await withDeadline(`resume ${databases.join(", ")}`, resumeDeadlineMs, async (signal) => {
      for (let clean = 0, rounds = 0; clean < cleanLooks; rounds += 1) {
        if (rounds > cleanLooks) await systemClock.sleep(resumeIntervalMs, signal);
        signal.throwIfAborted();
        const paused = await this.paused();
        const left = databases.filter((one) => paused.includes(one));
        clean = left.length === 0 ? clean + 1 : 0;
        for (const name of left) await this.#ask(`RESUME ${quoted(name)}`).catch(unlessRefused);
      }
    });
  }

  /** Closes every connection, and opens no more: who still asks would keep the process alive. */
  close(): void {
    this.#ended.abort(new Error("pool-gate is stopping"));
    this.#drop();
    for (const line of this.#idle.splice(0)) line.leave();
  }

  async #ask(text: string): Promise<readonly PgRow[]> {
    const known = this.#asker !== undefined;
    try {
      return await this.#askOnce(text);
    } catch (error) {
      if (isAnswer(error)) throw error;
      this.#drop();
      // The connection may have died with an earlier PgBouncer; one that is silent is not asked twice.
      if (!known || isSilence(error)) throw error;
      return await this.#askOnce(text);
    }
  }

  async #askOnce(text: string): Promise<readonly PgRow[]> {
    return await withDeadline(`${text} on PgBouncer`, askDeadlineMs, async () => {
      this.#asker ??= this.#open(() => this.#drop());
      return await (await this.#asker).query(text);
    });
  }

  #drop(): void {
    const asker = this.#asker;
    this.#asker = undefined;
    void asker?.then((one) => one.cut()).catch(() => undefined);
  }

  async #open(onLost: () => void): Promise<PgConnection> {
    const { signal } = this.#ended;
    return await openPgConnection(this.#target, { deadlineMs: askDeadlineMs, signal, onLost });
  }
}

/** True when PgBouncer answered, be it with an error. */
function isAnswer(error: unknown): boolean {
  return error instanceof PgConnectionError && error.fault === "failed";
}

/** True when nothing came back in time, be it to a question or to the login before it. */
function isSilence(error: unknown): boolean {
  if (error instanceof PgConnectionError) return error.fault === "silent";
  return error instanceof DeadlineError;
}

/** "not paused" is what was wanted, and "no such database" has nobody waiting; the next look tells. */
function unlessRefused(error: unknown): void {
  if (!isAnswer(error)) throw error;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
