/**
 * One run of the flip tool against the simulated world: it looks, acts, journals and holds locks as
 * the real one would, and can be struck in each of these. What is dead never answers again.
 */
import { LockedError } from "../../router/operation/lock.ts";
import type { LockHold } from "../../router/operation/lock.ts";
import type { JournalRecord } from "../../router/operation/records.ts";
import type { LockEnds } from "../../router/flip-db/flip.ts";
import { lockDeadlineMs } from "../../router/postgres/lock.ts";
import type { Faults, Moment, Strike } from "./faults.ts";
import type { SimMember } from "./member.ts";
import type { SimGate, SimTool, World } from "./world.ts";

export interface Session {
  readonly member: SimMember;
  readonly start: number;
  readonly tool: Tool;
  isCut: boolean;
}

/** Sessions by their name, over all tools, and who holds the lock on each member. */
export interface Sessions {
  readonly all: Map<string, Session>;
  readonly locks: Map<string, string>;
}

export class Tool implements SimTool {
  readonly run: string;
  readonly host: string;
  alive = true;
  frozen = false;
  readonly world: World;
  readonly sessions: Sessions;
  readonly faults: Faults;
  /** The journal of its host. */
  readonly file: JournalRecord[];
  readonly died: Promise<"died">;
  /** The operator's Ctrl-C. */
  readonly interruption = new AbortController();
  readonly hidden = new Map<string, number>();
  readonly sent = new Set<string>();
  /** Runs while this tool is frozen. */
  onFreeze: () => Promise<void> = () => Promise.resolve();
  /** Neither looked at nor acted on, in the words of FlipPlan.leftOut. */
  leftOut: readonly string[] = [];
  limitEnd = Infinity;
  ends: LockEnds | undefined;
  readonly #die: (how: "died") => void;
  readonly #struck = new Set<Strike>();

  constructor(
    world: World,
    sessions: Sessions,
    words: { run: string; host: string; faults: Faults; file: JournalRecord[] },
  ) {
    this.world = world;
    this.sessions = sessions;
    this.run = words.run;
    this.host = words.host;
    this.faults = words.faults;
    this.file = words.file;
    const { promise, resolve } = Promise.withResolvers<"died">();
    this.died = promise;
    this.#die = resolve;
  }

  /** Ends the tool as kill -9 does. */
  kill(): Promise<never> {
    this.alive = false;
    this.#die("died");
    return new Promise<never>(() => undefined);
  }

  isLive(id: string): boolean {
    const session = this.sessions.all.get(id);
    if (session === undefined || session.isCut || !session.tool.alive) return false;
    return session.member.running && session.member.starts === session.start;
  }

  open(name: string): string {
    const member = this.world.member(name);
    const id = `${this.run}@${name}#${this.sessions.all.size}`;
    this.sessions.all.set(id, { member, start: member.starts, tool: this, isCut: false });
    return id;
  }

  isHidden(part: string): boolean {
    return part === this.faults.unseen || (this.hidden.get(part) ?? 0) > this.world.now;
  }

  /** Those of a list that were not left out. */
  kept<T extends { readonly name: string }>(sort: string, list: readonly T[]): readonly T[] {
    return list.filter((one) => !this.leftOut.includes(`${sort} ${one.name}`));
  }

  async strike(act: string, moment: Moment): Promise<void> {
    for (const one of this.faults.strikes) {
      if (one.act !== act || one.moment !== moment || this.#struck.has(one)) continue;
      this.#struck.add(one);
      this.world.trace.push(`${this.world.now} ${this.run}: ${one.what} ${moment} ${act}`);
      await this.#suffer(one);
    }
  }

  async #suffer({ what, forMs }: Strike): Promise<void> {
    const { world, ends } = this;
    const [first, second] = world.options.names;
    const from = world.member(ends?.from ?? first);
    const to = world.member(ends?.to ?? second);
    const hide = (part: string): void => {
      this.hidden.set(part, world.now + (forMs ?? world.chance.between(500, 8000)));
    };
    if (what === "die") await this.kill();
    if (what === "freeze") await this.#freeze();
    if (what === "kill old") from.kill(world.now, world.chance.between(50, 2000));
    if (what === "kill standby") to.kill(world.now, world.chance.between(50, 2000));
    if (what === "cut link") world.cut.add(to.name);
    if (what === "lose walsenders") world.loseWalsenders = true;
    if (what === "graft") world.graft(to);
    if (what === "hide old") hide(from.name);
    if (what === "hide standby") hide(to.name);
    if (what === "hide router") hide("app-02");
    if (what === "lose lock") this.#cutSessions();
    if (what === "interrupt") this.interruption.abort(new Error("interrupted"));
  }

  #cutSessions(): void {
    for (const one of this.sessions.all.values()) if (one.tool === this) one.isCut = true;
  }

  async #freeze(): Promise<void> {
    this.frozen = true;
    // The server's keepalive ends the sessions of a host that is silent.
    this.#cutSessions();
    await this.onFreeze();
    this.frozen = false;
  }

  async acquire(ends: LockEnds, _purpose: unknown, _signal: AbortSignal): Promise<LockHold> {
    this.ends = ends;
    const taken: string[] = [];
    // A silent member is waited for as long as all of them may take.
    if ([ends.to, ends.from].some((name) => this.isHidden(name)))
      this.world.advance(lockDeadlineMs);
    for (const name of [ends.to, ends.from]) {
      if (!this.world.member(name).running || this.isHidden(name)) continue;
      const holder = this.sessions.locks.get(name);
      if (holder !== undefined && this.isLive(holder)) {
        for (const id of taken) this.sessions.all.delete(id);
        throw new LockedError(name, { holder, since: "before", why: "another run" });
      }
      const id = this.open(name);
      this.sessions.locks.set(name, id);
      taken.push(id);
    }
    const session = taken.find((id) => id.includes(`@${ends.to}#`)) ?? null;
    return await Promise.resolve({
      session,
      stillHeld: () =>
        Promise.resolve(session !== null && this.isLive(session) && !this.isHidden(ends.to)),
      answeredWithin: (ms) => ms === Infinity && session !== null && this.isLive(session),
      release: () => {
        for (const id of taken) this.sessions.all.delete(id);
        return Promise.resolve();
      },
    });
  }

  /** Clients that are let go after a promotion must find the new primary behind their router. */
  checkRelease(gate: SimGate): void {
    const { world } = this;
    const writing = world.members.filter((one) => one.writable).map((one) => one.name);
    if (!this.sent.has("promote") || writing.length !== 1 || this.isHidden(gate.router.name))
      return;
    if ([...gate.router.up].join() !== writing.join()) {
      const leads = [...gate.router.up].join() || "nowhere";
      world.violate(`${gate.name} lets its clients go, and ${gate.router.name} leads to ${leads}`);
    }
    this.#checkSynchronous(gate);
  }

  /** They would only hang elsewhere, in the middle of their commits. */
  #checkSynchronous(gate: SimGate): void {
    const { world, faults } = this;
    const isCalm = faults.strikes.length === 0 && faults.lie === 0 && faults.stale === 0;
    const primary = world.members.find((one) => one.writable);
    const follows = world.members.some((one) => one !== primary && world.streams(one));
    if (isCalm && world.cut.size === 0 && primary?.synchronousNames !== "" && !follows) {
      world.violate(`${gate.name} lets its clients go before the synchronous standby streams`);
    }
  }
}
