/**
 * A server that was demoted and keeps its sessions refuses each write on them, for ever. After the
 * first one it is asked for its role again, on the session itself and while nothing of the app's is
 * open there; where that does not fit any more, the session ends as one that is lost.
 */
import type { Client as PgClient } from "pg";
import { withPort } from "../target/address.ts";
import type { RolePass } from "../target/attributes.ts";
import { ignoreError } from "./dial.ts";
import { describeRole, readStandingRole } from "./role.ts";
import { meaningOf } from "./staleness.ts";
import type { DialAddress } from "../search/finder.ts";
import { unlessAnswered } from "../search/timing.ts";

export interface LeavingOptions {
  readonly address: DialAddress;
  /** What the server has to be. */
  readonly pass: RolePass;
  /** How long its answer may take, in ms. */
  readonly answerMs: number;
  /** The session is about to end. */
  onLeave(): void;
}

/** What pg's published type leaves out. */
interface Inner {
  /** True while no statement is under way, and none waits. */
  readonly readyForQuery?: boolean;
  /** Set by `end`. */
  readonly _ending?: boolean;
}

/** All that are connected, of any configuration: what one of them learns the others look into. */
const everyone = new Set<Leaver>();

/**
 * Ends the session of `client` once its server refuses writes and no longer has the role of
 * `options.pass`: not while a transaction or a statement is open there, and not for what the app
 * itself has set to READ ONLY. To be called when the client has its connection; it lasts until that
 * ends, and holds no timer but while it waits for an answer.
 */
export function leaveWhenUnfit(client: PgClient, options: LeavingOptions): void {
  const leaver = new Leaver(client, options);
  everyone.add(leaver);
  client.connection.once("end", () => everyone.delete(leaver));
}

class Leaver {
  readonly #client: PgClient & Inner;
  readonly #options: LeavingOptions;
  readonly #place: string;
  /** As the last ReadyForQuery said: I is outside a transaction (manual 55.7). */
  #status = "";
  /** The server is to be asked. */
  #isSuspect = false;
  /** Why the session has to end, once that is known. */
  #unfit: Error | undefined;

  constructor(client: PgClient, options: LeavingOptions) {
    this.#client = client;
    this.#options = options;
    this.#place = withPort(options.address.address, options.address.port);
    const { connection } = client;
    connection.on("errorMessage", (error: unknown) => {
      if (meaningOf(error, false) === "read-only") this.#isSuspect = true;
    });
    // pg has heard of it before, and has sent whatever was waiting for it.
    connection.on("readyForQuery", ({ status }: { readonly status: string }) => {
      this.#status = status;
      this.#act();
    });
  }

  /** Another session saw that this server is not what it was. */
  #suspect(): void {
    this.#isSuspect = true;
    this.#act();
  }

  #act(): void {
    const { readyForQuery, _ending: isEnding } = this.#client;
    if (readyForQuery !== true || isEnding === true || this.#status !== "I") return;
    if (this.#unfit !== undefined) this.#leave(this.#unfit);
    else if (this.#isSuspect) void this.#ask();
  }

  async #ask(): Promise<void> {
    this.#isSuspect = false;
    const { answerMs, pass } = this.#options;
    const disarm = unlessAnswered(answerMs, () => this.#giveUp());
    const role = await readStandingRole(this.#client).catch(() => undefined);
    disarm();
    // No answer tells nothing; the next refused write asks again.
    if (role === undefined || pass.accepts(role)) return;
    const text = `${this.#place} is ${describeRole(role)} now, wanted ${pass.wants}`;
    this.#unfit = Object.assign(new Error(`${text}: its session is left`), { code: "25006" });
    this.#act();
    for (const one of everyone) if (one.#isBeside(this)) one.#suspect();
  }

  /** What the app has sent meanwhile lies behind the question: it shall not wait for ever. */
  #giveUp(): void {
    const { _ending: isEnding, pipeline } = this.#client;
    // A pipeline has sent it already: whether it runs is not for us to cut short.
    if (isEnding === true || pipeline) return;
    const text = `${this.#place}, where a write was refused, did not say its role within`;
    const reason = new Error(`${text} ${this.#options.answerMs} ms: its session is left`);
    this.#leave(Object.assign(reason, { code: "ETIMEDOUT" }));
  }

  #isBeside(other: Leaver): boolean {
    return other !== this && this.#unfit === undefined && this.#place === other.#place;
  }

  #leave(reason: Error): void {
    this.#options.onLeave();
    // Who listens hears of it; that nobody does is no reason to end the process.
    this.#client.on("error", ignoreError);
    cut(this.#client, reason);
  }
}

/**
 * Ends a connection at once, whatever it does.
 * @param reason what its statements fail with; without one, as when the server ends it
 */
export function cut(client: PgClient, reason?: Error): void {
  client.connection.stream.destroy(reason);
}
