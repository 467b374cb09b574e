/**
 * One cluster under the reconciler: look, judge, write what has changed, wait for news. One round at a
 * time. Who wants a look now gets the next round that begins, and all who want one get the same.
 */
import type { Clock } from "../kit/clock.ts";
import type { Logger } from "../kit/logger.ts";
import { createComplaint } from "./complaint.ts";
import type { Complaint } from "./complaint.ts";
import type { ReconcileReply, RoleSourceKeys, RolesView } from "./contract.ts";
import { placeOf, recordsOf } from "./records.ts";
import type { NodeAddress } from "./records.ts";
import type { RoleContext } from "./roles/observation.ts";
import { roles, saysTheSame } from "./roles/roles.ts";
import type { RoleSource, SourceOptions } from "./sources/source.ts";
import { EndpointError } from "./store/store.ts";
import type { LedStore } from "./led-store.ts";
import type { Owner, StoredCluster, Written } from "./store/store.ts";

export interface WorkerOptions {
  readonly store: Pick<LedStore, "putEndpoints" | "putRoles" | "foreignMoves">;
  readonly zone: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly makeSource: (keys: RoleSourceKeys, options: SourceOptions) => RoleSource;
}

/** A look came to nothing: the worker is stopping, or the store failed. */
export class LookError extends Error {
  override readonly name = "LookError";
  readonly code = "ERR_REGISTRY_LOOK";
}

/** After a failure of the store. */
const retryMs = 1000;
/** What was seen so long ago is looked at again instead of written: this process was frozen. */
const oldMs = 10_000;
/** When the source was last heard of is written so often while nothing changes. */
const seenEveryMs = 60_000;
/** Records are written again so often, in case they were changed behind our back. */
const rewriteEveryMs = 60_000;
const demandsMax = 256;

interface Demand {
  resolve(reply: ReconcileReply): void;
  reject(error: unknown): void;
}

export class ClusterWorker {
  readonly #options: WorkerOptions;
  readonly #done: Promise<void>;
  #cluster: StoredCluster;
  #nodes: readonly NodeAddress[];
  #source: RoleSource;
  #roles: RolesView;
  /** What was published last, as text, when, and how often others had changed the zone by then. */
  #written: { readonly key: string; readonly at: number; readonly moves: number } | undefined;
  #owners = new Map<string, Owner>();
  #demands: Demand[] = [];
  #isMoved = true;
  #isWanted = true;
  #isEnded = false;
  #isSeenKept = false;
  readonly #complaint: Complaint;
  #wake: () => void = () => undefined;

  constructor(cluster: StoredCluster, nodes: readonly NodeAddress[], options: WorkerOptions) {
    this.#options = options;
    this.#cluster = cluster;
    this.#nodes = nodes;
    this.#roles = cluster.roles;
    const facts = { step: "reconcile", cluster: cluster.name };
    this.#complaint = createComplaint(options.logger, facts);
    this.#source = this.#makeSource();
    this.#done = this.#run();
  }

  /** Takes the cluster and the nodes as they are now; what differs is published at once. */
  update(cluster: StoredCluster, nodes: readonly NodeAddress[]): void {
    if (keyOf(cluster, nodes) === keyOf(this.#cluster, this.#nodes)) return;
    const isOtherSource = JSON.stringify(cluster.source) !== JSON.stringify(this.#cluster.source);
    this.#cluster = cluster;
    this.#nodes = nodes;
    this.#isMoved = true;
    if (isOtherSource) {
      this.#source.stop();
      this.#source = this.#makeSource();
    } else {
      this.#source.setMembers(this.#places());
    }
    this.#news();
  }

  /**
   * Looks now.
   * @throws LookError when it comes to nothing, EndpointError, StoreError
   */
  lookNow(): Promise<ReconcileReply> {
    if (this.#isEnded || this.#demands.length >= demandsMax) {
      const why = this.#isEnded ? "its reconciler is stopping" : "too many looks are waited for";
      return Promise.reject(new LookError(`look at ${this.#cluster.name}: ${why}`));
    }
    const { promise, resolve, reject } = Promise.withResolvers<ReconcileReply>();
    this.#demands.push({ resolve, reject });
    this.#news();
    return promise;
  }

  /** Resolves when the round under way has ended; records stay. */
  async stop(): Promise<void> {
    this.#isEnded = true;
    this.#source.stop();
    this.#wake();
    await this.#done;
  }

  /**
   * Takes back what this worker has published; for a cluster that is gone, after stop().
   * @throws StoreError
   */
  async clear(): Promise<void> {
    const owned = [...this.#owners.values()].map((owner) => ({ owner, drafts: [] }));
    if (owned.length > 0) await this.#options.store.putEndpoints(owned);
  }

  #makeSource(): RoleSource {
    const { clock, logger, makeSource } = this.#options;
    const options = { cluster: this.#cluster.name, clock, logger, onNews: () => this.#news() };
    const source = makeSource(this.#cluster.source, options);
    source.setMembers(this.#places());
    return source;
  }

  #places(): { name: string; place: ReturnType<typeof placeOf> }[] {
    return this.#cluster.members.map((member) => ({
      name: member.name,
      place: placeOf(member, this.#nodes),
    }));
  }

  #news(): void {
    this.#isWanted = true;
    this.#wake();
  }

  async #run(): Promise<void> {
    while (!this.#isEnded) {
      this.#isWanted = false;
      const demands = this.#demands.splice(0);
      let waitMs = retryMs;
      try {
        const reply = await this.#round(demands.length > 0);
        for (const one of demands) one.resolve(reply);
        this.#complaint.over();
        waitMs = this.#source.intervalMs;
      } catch (error) {
        for (const one of demands) one.reject(error);
        if (this.#isEnded) break;
        this.#complaint.about((error as Error).message);
        // News would only meet the same failure again.
        this.#isWanted = this.#demands.length > 0;
      }
      await this.#wait(waitMs);
    }
    const ending = new LookError(`look at ${this.#cluster.name}: its reconciler is stopping`);
    for (const one of this.#demands.splice(0)) one.reject(ending);
  }

  async #wait(ms: number): Promise<void> {
    if (this.#isWanted || this.#isEnded) return;
    const waking = new AbortController();
    this.#wake = () => waking.abort();
    // A rejection is the waking.
    await this.#options.clock.sleep(ms, waking.signal).catch(() => undefined);
    this.#wake = () => undefined;
  }

  async #round(isDemanded: boolean): Promise<ReconcileReply> {
    const { clock } = this.#options;
    // Members' own names need no look.
    const isMoved = this.#isMoved;
    // Before the wait: what moves meanwhile is for the next round.
    this.#isMoved = false;
    const moved = isMoved ? await this.#publishOrSay(this.#roles, true) : undefined;
    const began = clock.monotonic();
    const source = this.#source;
    const seen = await source.look();
    // Another source was set meanwhile, and this one was cut off.
    if (source !== this.#source && !this.#isEnded) return await this.#round(isDemanded);
    const next = roles(seen, this.#context());
    const { name } = this.#cluster;
    if (this.#isEnded || clock.monotonic() - began > oldMs) {
      throw new LookError(`look at ${name}: what was seen is too old to be written`);
    }
    const written = await this.#publishOrSay(next, isDemanded);
    await this.#keep(next);
    const head = (written ?? moved)?.head;
    const isChanged = written?.changed === true || moved?.changed === true;
    return {
      generation: head?.generation ?? 0,
      epoch: head?.epoch ?? "",
      changed: isChanged,
      roles: next,
    };
  }

  #context(): RoleContext {
    const { members, lag_bytes: lagBytes } = this.#cluster;
    const before = this.#roles;
    const { leftOut } = recordsOf(this.#cluster, before, this.#nodes, this.#options.zone);
    const ordered = members.toSorted((one, other) => one.ordinal - other.ordinal);
    return { members: ordered.map(({ name }) => name), lagBytes, before, leftOut };
  }

  /** A record that the store refuses is told in the roles, which are kept all the same. */
  async #publishOrSay(next: RolesView, isForced: boolean): Promise<Written | undefined> {
    try {
      return await this.#publish(next, isForced);
    } catch (error) {
      if (error instanceof EndpointError) {
        const reason = `its records are refused: ${error.message}`;
        const others = next.reasons.filter((one) => one !== reason);
        await this.#keep({ ...next, reasons: [reason, ...others] });
      }
      throw error;
    }
  }

  /** Writes the records of these roles, unless they are known to be written. */
  async #publish(view: RolesView, isForced: boolean): Promise<Written | undefined> {
    const { store, zone, clock } = this.#options;
    const { owned } = recordsOf(this.#cluster, view, this.#nodes, zone);
    const key = JSON.stringify(owned);
    const now = clock.monotonic();
    if (!isForced && this.#isWritten(key, now)) return undefined;
    const present = new Map(owned.map(({ owner }) => [`${owner.kind} ${owner.id}`, owner]));
    const gone = [...this.#owners].filter(([known]) => !present.has(known));
    for (const [known, owner] of present) this.#owners.set(known, owner);
    // Before the write: what others change meanwhile is for the next round.
    const moves = store.foreignMoves();
    const written = await store.putEndpoints([
      ...owned,
      ...gone.map(([, owner]) => ({ owner, drafts: [] })),
    ]);
    for (const [known] of gone) this.#owners.delete(known);
    this.#written = { key, at: now, moves };
    return written;
  }

  /** True where these records are there for all that is known. */
  #isWritten(key: string, now: number): boolean {
    const written = this.#written;
    if (written?.key !== key || now - written.at >= rewriteEveryMs) return false;
    return written.moves === this.#options.store.foreignMoves();
  }

  /** Keeps the view, where it says something new or is about to look outdated. */
  async #keep(next: RolesView): Promise<void> {
    const { store, clock, logger } = this.#options;
    const before = this.#roles;
    const isNews = !saysTheSame(before, next);
    const seenMs = clock.now() - Date.parse(before.seen_at ?? "1970-01-01T00:00:00Z");
    // Also at the first word of a source: that it was heard of at all is waited for (hearing.ts).
    const isOld = seenMs >= seenEveryMs || !this.#isSeenKept;
    const isDue = before.seen_at !== next.seen_at && isOld;
    if (!isNews && !isDue) return;
    await store.putRoles(this.#cluster.id, next);
    this.#isSeenKept ||= before.seen_at !== next.seen_at;
    this.#roles = next;
    if (!isNews) return;
    const { outcome, primary, standbys, reasons } = next;
    const facts = { step: "roles", cluster: this.#cluster.name, outcome, primary, standbys };
    logger.info(facts, reasons[0] ?? `${primary ?? "nobody"} takes writes`);
  }
}

/** What of a cluster and its nodes matters here, as text. */
function keyOf(
  { source, lag_bytes: lag, members }: StoredCluster,
  nodes: readonly NodeAddress[],
): string {
  const own = nodes.filter(({ name }) => members.some(({ node }) => node === name));
  const places = own.map(({ id, name, address, revoked }) => [id, name, address, revoked]);
  return JSON.stringify([source, lag, members, places]);
}
