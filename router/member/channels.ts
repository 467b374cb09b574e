/**
 * The kept ways to one member: its host, a session with its Postgres, and at times the console of
 * its node pooler. A look goes over the session that holds the lock where there is one; a session
 * that was lost is opened anew only while its Postgres runs, so that nothing is opened while clients
 * wait.
 */
import type { Environment, Member } from "../../config/schema.ts";
import { DeadlineError, systemClock, withDeadline } from "../../kit/clock.ts";
import type { PgRow } from "../../kit/pg-connection.ts";
import { openHost } from "../postgres/control/host.ts";
import type { HostControl, HostFacts } from "../postgres/control/contract.ts";
import { MemberSession } from "../postgres/session.ts";
import { hostSeen, joinSeen, lookStatements, postgresSeen } from "./look.ts";
import type { HostFault } from "./look.ts";
import type { MemberSeen } from "./seen.ts";

const applicationName = "switchyard flip";
const quietMs = 500;
const silentMs = 100;
/** For a look that is not over a way that is kept open. */
const slowLookMs = 5000;

/** SQLSTATE object_not_in_prerequisite_state: it was promoted while the statement ran. */
const roleChanged = "55000";
/** SQLSTATE undefined_table: the journal was dropped meanwhile. */
const noSuchTable = "42P01";

export class MemberChannels {
  readonly member: Member;
  readonly #environment: Environment;
  /** Undefined where the environment says nothing about the host. */
  readonly host: HostControl | undefined;
  #own: MemberSession | undefined;
  /** The last question was not answered in time, so the next one is not waited for as long. */
  #isSilent = false;
  /** Until then no session is opened anew (monotonic ms): its Postgres was told to stop. */
  #quietUntil = 0;
  /** The session that holds the lock here, while there is one. */
  lockSession: MemberSession | undefined;

  constructor(environment: Environment, member: Member) {
    this.#environment = environment;
    this.member = member;
    this.host = member.control === undefined ? undefined : openHost(environment, member.name);
  }

  /** One look at the member: never throws but for the signal; what does not answer is unknown. */
  async look(isWhole: boolean, signal: AbortSignal): Promise<MemberSeen> {
    const host = this.#lookAtHost(isWhole, signal);
    const row =
      this.#openSession() === undefined
        ? host.then((facts) => this.#askAnew(facts, signal))
        : this.#ask(signal);
    const [facts, answer] = await Promise.all([host, row]);
    const said = answer === undefined ? {} : postgresSeen(answer, this.#environment.members);
    return joinSeen(hostSeen(facts, isWhole), said);
  }

  /** An open session: the lock's, or one of our own. @throws PgConnectionError */
  async session(signal: AbortSignal): Promise<MemberSession> {
    const open = this.#openSession();
    if (open !== undefined) return open;
    const deadlineMs = this.#environment.thresholds.probe;
    this.#own = await MemberSession.open(this.#environment, this.member, {
      applicationName,
      deadlineMs,
      signal,
    });
    return this.#own;
  }

  /** The host's control. @throws TypeError where the environment declares none */
  requireHost(): HostControl {
    if (this.host !== undefined) return this.host;
    throw new TypeError(`${this.member.name} has no control in ${this.#environment.file}`);
  }

  /** Stops Postgres as HostControl does; the looks right after it do not knock at a closing door. */
  async stop(signal: AbortSignal, armed?: { readonly by: string | null }): Promise<void> {
    this.#quietUntil = systemClock.monotonic() + quietMs;
    await this.requireHost().stop(signal, armed);
  }

  /** Starts Postgres; resolves when its start was accepted. */
  async start(signal: AbortSignal): Promise<void> {
    this.#quietUntil = 0;
    await this.requireHost().start(signal);
  }

  close(): void {
    this.host?.close();
    this.#own?.cut();
  }

  #openSession(): MemberSession | undefined {
    return [this.lockSession, this.#own].find((one) => one?.isOpen === true);
  }

  async #lookAtHost(isWhole: boolean, signal: AbortSignal): Promise<HostFacts | HostFault> {
    const { host } = this;
    if (host === undefined) return { hostFault: `no control is declared for ${this.member.name}` };
    try {
      const { probe } = this.#environment.thresholds;
      const deadlineMs = host.isQuick ? probe : Math.max(probe, slowLookMs);
      return await this.#limit("look at its host", deadlineMs, signal, (inner) =>
        host.inspect(inner, isWhole ? "whole" : "light"),
      );
    } catch (error) {
      signal.throwIfAborted();
      return { hostFault: error instanceof Error ? error.message : String(error) };
    }
  }

  async #askAnew(host: HostFacts | HostFault, signal: AbortSignal): Promise<PgRow | undefined> {
    if (systemClock.monotonic() < this.#quietUntil) return undefined;
    const mayRun = "hostFault" in host || host.process === "alive";
    return mayRun ? await this.#ask(signal) : undefined;
  }

  async #ask(signal: AbortSignal): Promise<PgRow | undefined> {
    try {
      const deadlineMs = this.#isSilent ? silentMs : this.#environment.thresholds.probe;
      const row = await this.#limit("ask its Postgres", deadlineMs, signal, async (inner) => {
        const session = await this.session(inner);
        return await this.#askOver(session, inner);
      });
      this.#isSilent = false;
      return row;
    } catch (error) {
      signal.throwIfAborted();
      this.#isSilent = error instanceof DeadlineError;
      // One of our own that keeps its answer would hold up the next question as well.
      this.#own?.cut();
      return undefined;
    }
  }

  async #askOver(session: MemberSession, signal: AbortSignal): Promise<PgRow | undefined> {
    const { plain, journal } = lookStatements;
    const known = session.isPrepared(journal) ? journal : plain;
    try {
      const [row] = await session.execute(known, [], signal);
      if (row?.["has_journal"] !== "t" || known === journal) return row;
      const [whole] = await session.execute(journal, [], signal);
      return whole;
    } catch (error) {
      const { sqlState = "" } = error as { sqlState?: string };
      if (sqlState !== roleChanged && sqlState !== noSuchTable) throw error;
      await session.forgetPlans(signal);
      const [row] = await session.execute(plain, [], signal);
      return row;
    }
  }

  async #limit<T>(
    what: string,
    deadlineMs: number,
    signal: AbortSignal,
    work: (inner: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return await withDeadline(`${this.member.name}: ${what}`, deadlineMs, work, signal);
  }
}
