/**
 * A whole cluster in memory on a simulated clock: members, replication, routers with their own
 * checks, gates with leases, clients that write and remember what was acknowledged. After every
 * tick it checks what must never be.
 */
import type { Chance } from "./random.ts";
import { SimMember } from "./member.ts";
import type { RestartPolicy } from "./member.ts";

export const gateTtlMs = 5000;
export const checkEveryMs = 1000;

export interface SimRouter {
  readonly name: string;
  readonly up: Set<string>;
  readonly passing: Set<string>;
  readonly rises: Map<string, number>;
  /** Sessions that an old worker keeps open, by member. */
  readonly leftover: Map<string, number>;
  nextCheck: number;
}

export interface SimGate {
  readonly name: string;
  readonly router: SimRouter;
  pausedBy: string | null;
  expiresAt: number;
  /** The tool that renews the lease as long as it runs. */
  owner: SimTool | null;
}

export interface SimTool {
  readonly run: string;
  readonly host: string;
  alive: boolean;
  frozen: boolean;
}

export interface WorldOptions {
  readonly names: readonly [string, string, ...string[]];
  readonly policies: readonly RestartPolicy[];
  readonly delayMs: number;
  readonly slowPromotion: boolean;
  /** Not none: every member has synchronous_standby_names, and the flip this policy. */
  readonly synchronous: "none" | "wait" | "relax";
}

export class World {
  now = 1_000_000;
  readonly chance: Chance;
  readonly members: readonly SimMember[];
  readonly routers: readonly SimRouter[];
  readonly gates: readonly SimGate[];
  readonly options: WorldOptions;
  readonly violations: string[] = [];
  readonly trace: string[] = [];
  readonly acked: number[] = [];
  /** Replication links that are cut, by standby. */
  readonly cut = new Set<string>();
  /** At the next shutdown checkpoint the walsenders lose their connection. */
  loseWalsenders = false;
  /** The member whose promotion was sent and cannot yet be ruled out, and whom it succeeds. */
  promising: { readonly to: string; readonly from: string } | null = null;
  grafted = false;
  /** A failover has said that rows may be lost. */
  mayLose = false;
  lost = 0;
  failedStatements = 0;
  #rows = 0;
  #nextWrite = 0;

  constructor(chance: Chance, options: WorldOptions) {
    this.chance = chance;
    this.options = options;
    const [primary] = options.names;
    this.members = options.names.map(
      (name, index) =>
        new SimMember(name, index === 0 ? null : primary, options.policies[index] ?? "never"),
    );
    for (const one of this.members) {
      one.synchronousNames = options.synchronous === "none" ? "" : "ANY 1 (*)";
    }
    this.routers = ["app-01", "app-02"].map((name, index) => ({
      name,
      up: new Set([primary]),
      passing: new Set([primary]),
      rises: new Map([[primary, 2]]),
      leftover: new Map([[primary, 1]]),
      nextCheck: this.now + 300 * (index + 1),
    }));
    this.gates = this.routers.map((router) => ({
      name: `${router.name}/gate`,
      router,
      pausedBy: null,
      expiresAt: 0,
      owner: null,
    }));
  }

  member(name: string): SimMember {
    const found = this.members.find((one) => one.name === name);
    if (found === undefined) throw new TypeError(`there is no member ${name}`);
    return found;
  }

  violate(what: string): void {
    const line = `at ${this.now}: ${what}`;
    if (this.violations.length < 5) this.violations.push(line);
    this.trace.push(`!! ${line}`);
  }

  /** Ends what a fault has begun: links come back, and what was killed for good is started by hand. */
  mend(): void {
    this.cut.clear();
    this.loseWalsenders = false;
    for (const one of this.members) if (one.isKilled) this.start(one, "its operator");
  }

  /** Lets `ms` pass. */
  advance(ms: number): void {
    const end = this.now + ms;
    while (this.now < end) {
      this.now = Math.min(end, this.now + 10);
      this.#tick();
    }
  }

  #tick(): void {
    for (const one of this.members) this.#live(one);
    for (const one of this.members) this.#replicate(one);
    for (const one of this.members) this.#drain(one);
    for (const one of this.routers) this.#check(one);
    for (const one of this.gates) this.#lease(one);
    this.#writeAll();
    const writing = this.members.filter((one) => one.writable);
    if (writing.length > 1) {
      this.violate(`two members take writes: ${writing.map((one) => one.name).join(", ")}`);
    }
  }

  #live(one: SimMember): void {
    if (one.promoteAt !== null && this.now >= one.promoteAt) this.#promoted(one);
    const isDue = one.restartAt !== null && this.now >= one.restartAt;
    if (isDue && this.now >= one.lingersUntil) this.start(one, "its supervisor");
    if (one.stopAt === null || this.now < one.stopAt) return;
    one.stopAt = null;
    if (one.inRecovery) {
      one.down();
      one.state = "shut down in recovery";
    } else {
      one.checkpoint = one.wal.length;
      one.append({ at: this.now, row: null, record: null });
      one.state = "shut down";
      one.controlTimeline = one.timeline;
      one.draining = true;
      if (this.loseWalsenders) for (const other of this.members) this.cut.add(other.name);
    }
    if (one.policy === "always") one.restartAt = this.now + this.chance.between(300, 3000);
  }

  #promoted(one: SimMember): void {
    const old = this.promising?.from;
    one.promote();
    this.trace.push(`${this.now} ${one.name} is promoted, timeline ${one.timeline}`);
    this.promising = null;
    if (this.mayLose) this.#forget(one);
    this.#checkRows(one);
    const former = old === undefined ? undefined : this.member(old);
    if (former === undefined || former.isPrefixOf(one) || this.mayLose) return;
    const lacks = former.wal.length - one.wal.length;
    const isAtCheckpoint = lacks === 1 && former.wal[former.checkpoint] === former.wal.at(-1);
    this.violate(
      isAtCheckpoint
        ? `${one.name} was promoted exactly at the start of the shutdown checkpoint of ${former.name}`
        : `${one.name} was promoted without all WAL of ${former.name}`,
    );
  }

  /** What was announced as lost is not looked for any more. */
  #forget(one: SimMember): void {
    const has = new Set(one.wal.map((entry) => entry.row));
    const kept = this.acked.filter((row) => has.has(row));
    this.lost += this.acked.length - kept.length;
    this.acked.splice(0, Infinity, ...kept);
  }

  #checkRows(one: SimMember): void {
    const has = new Set(one.wal.map((entry) => entry.row));
    const lost = this.acked.filter((row) => !has.has(row)).length;
    if (lost > 0) this.violate(`${one.name} takes writes and lacks ${lost} acknowledged rows`);
  }

  start(one: SimMember, who: string): void {
    if (one.running) return;
    one.start();
    this.trace.push(
      `${this.now} ${who} starts ${one.name} as ${one.inRecovery ? "standby" : "primary"}`,
    );
    if (!one.inRecovery) this.#checkRows(one);
    if (this.promising?.to === one.name) this.promising = null;
    if (!one.inRecovery && this.promising?.from === one.name && this.#mayStillPromote()) {
      this.violate(`${one.name} starts for writes while ${this.promising.to} may be promoted`);
    }
  }

  #mayStillPromote(): boolean {
    const to = this.promising === null ? undefined : this.member(this.promising.to);
    return to !== undefined && (to.running || to.promoteFile);
  }

  streams(one: SimMember): boolean {
    if (!one.running || !one.inRecovery || one.upstream === null || this.cut.has(one.name)) {
      return false;
    }
    const upstream = this.member(one.upstream);
    return upstream.running && !upstream.inRecovery && one.isPrefixOf(upstream);
  }

  #replicate(one: SimMember): void {
    if (!this.streams(one)) return;
    const upstream = this.member(one.upstream ?? "");
    for (let at = one.wal.length; at < upstream.wal.length; at += 1) {
      const entry = upstream.wal[at];
      if (entry === undefined || entry.at + this.options.delayMs > this.now) break;
      one.append(entry);
    }
    one.timeline = upstream.timeline;
    one.controlTimeline = upstream.timeline;
  }

  /** The postmaster ends when every connected standby has everything. */
  #drain(one: SimMember): void {
    if (!one.draining) return;
    const waits = this.members.some(
      (other) =>
        other.upstream === one.name && this.streams(other) && other.wal.length < one.wal.length,
    );
    if (waits) return;
    one.down();
    if (this.chance.hit(0.1)) one.lingersUntil = this.now + this.chance.between(50, 3000);
  }

  #check(router: SimRouter): void {
    if (this.now < router.nextCheck) return;
    router.nextCheck += checkEveryMs;
    for (const { name, writable } of this.members) {
      const rises = writable ? Math.min(2, (router.rises.get(name) ?? 0) + 1) : 0;
      router.rises.set(name, rises);
      if (writable) router.passing.add(name);
      else router.passing.delete(name);
      if (rises === 2) router.up.add(name);
      if (rises === 0) router.up.delete(name);
    }
  }

  #lease(gate: SimGate): void {
    if (gate.pausedBy === null) return;
    if (gate.owner?.alive === true && !gate.owner.frozen) gate.expiresAt = this.now + gateTtlMs;
    if (this.now >= gate.expiresAt) gate.pausedBy = null;
  }

  #writeAll(): void {
    if (this.now < this.#nextWrite) return;
    this.#nextWrite = this.now + 20;
    for (const { router, pausedBy } of this.gates) if (pausedBy === null) this.write(router);
    // A console that goes past routers and gates writes wherever it can.
    for (const one of this.members) if (one.writable) this.#commit(one);
  }

  /** The standby is replaced by one that follows another history, far ahead in numbers. */
  graft(one: SimMember): void {
    if (!one.inRecovery || one.promoteFile) return;
    one.wal = one.wal.slice(0, -20);
    for (let n = 0; n < 100; n += 1) one.wal.push({ at: this.now, row: null, record: null });
    one.timeline = 2;
    one.controlTimeline = 2;
    one.upstream = null;
    this.grafted = true;
  }

  /** One statement through a router. @returns whether it was acknowledged */
  write(router: SimRouter): boolean {
    const [name] = router.up;
    if (name === undefined) return false;
    const one = this.member(name);
    if (!one.writable) this.failedStatements += 1;
    else this.#commit(one);
    return one.writable;
  }

  #commit(one: SimMember): void {
    this.#rows += 1;
    one.append({ at: this.now, row: this.#rows, record: null });
    this.acked.push(this.#rows);
  }
}
