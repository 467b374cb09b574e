/**
 * The role reconciler: of all processes on one store, the one that has the lead looks at every cluster
 * and publishes what its roles are. It follows what is created, changed and deleted, answers who asks
 * for a look now, and hands over when it loses the lead or stops.
 */
import { z } from "zod";
import type { Clock } from "../kit/clock.ts";
import type { Logger } from "../kit/logger.ts";
import { ClusterWorker, LookError } from "./cluster-worker.ts";
import type { RoleSourceKeys } from "./contract.ts";
import { ledStore } from "./led-store.ts";
import type { LedStore } from "./led-store.ts";
import { monitorSource } from "./sources/monitor.ts";
import { probeSource } from "./sources/probe.ts";
import { noSource } from "./sources/source.ts";
import type { RoleSource, SourceMakers, SourceOptions } from "./sources/source.ts";
import type { Owner, RegistryStore } from "./store/store.ts";

export interface ReconcilerOptions {
  readonly store: RegistryStore;
  /** Such as temps.local. */
  readonly zone: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

type CrewOptions = Omit<ReconcilerOptions, "store"> & { readonly store: LedStore };

export interface Reconciler {
  /** True while this process is the one that looks. */
  leads(): boolean;
  /** Gives the lead back; resolves when nothing is under way any more. */
  stop(): Promise<void>;
}

/** A payload of the topic `reconcile`. */
const lookRequest = z.object({ cluster: z.string(), request: z.string() });

/** A notice that was lost is made good after this time. */
const refreshEveryMs = 5000;
const retryMs = 500;

const makers: SourceMakers = {
  pg_auto_failover: monitorSource,
  probe: probeSource,
  none: (_, options) => noSource(options),
};

function makeSource(keys: RoleSourceKeys, options: SourceOptions): RoleSource {
  if (keys.kind === "pg_auto_failover") return makers.pg_auto_failover(keys, options);
  if (keys.kind === "probe") return makers.probe(keys, options);
  return makers.none(keys, options);
}

/** Starts reconciling: waits for the lead, and for it again whenever it is lost. */
export function startReconciler(options: ReconcilerOptions): Reconciler {
  const { store, clock, logger } = options;
  const ended = new AbortController();
  let isLeading = false;

  const leadOnce = async (): Promise<void> => {
    const lead = await store.lead(ended.signal);
    const led = ledStore(store, lead);
    const lost = AbortSignal.any([lead.lost, led.overruled]);
    try {
      isLeading = true;
      logger.info({ step: "lead", term: lead.term }, "this process looks at the roles");
      await reconcileUntil(AbortSignal.any([lost, ended.signal]), { ...options, store: led });
    } finally {
      isLeading = false;
      led.end();
      await lead.release();
    }
    if (!lost.aborted || ended.signal.aborted) return;
    const why = (lost.reason as Error).message;
    logger.warn({ step: "lead", term: lead.term }, `this process has lost the lead: ${why}`);
  };
  const run = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      try {
        await leadOnce();
      } catch (error) {
        if (ended.signal.aborted) return;
        logger.warn({ step: "lead" }, (error as Error).message);
        await clock.sleep(retryMs, ended.signal).catch(() => undefined);
      }
    }
  };
  const done = run();
  return {
    leads: () => isLeading,
    stop: async () => {
      ended.abort(new Error("the reconciler is stopping"));
      await done;
    },
  };
}

/** Keeps one worker a cluster until `signal` aborts. */
async function reconcileUntil(signal: AbortSignal, options: CrewOptions): Promise<void> {
  const { store, clock, logger } = options;
  const crew = new Crew(options);
  const refresh = async (): Promise<void> => {
    try {
      await crew.refresh();
    } catch (error) {
      if (!signal.aborted) logger.warn({ step: "refresh" }, (error as Error).message);
    }
  };
  const asked = new Set<string>();
  const ends = [
    store.subscribe("clusters", () => void refresh()),
    store.subscribe("reconcile", (payload) => void answer(payload, asked, crew, options)),
  ];
  try {
    await crew.sweep();
    while (!signal.aborted) {
      await refresh();
      await clock.sleep(refreshEveryMs, signal).catch(() => undefined);
    }
  } finally {
    for (const end of ends) end();
    await crew.stop();
  }
}

/**
 * Looks at once and tells whoever asked; what is no request of ours is not answered. Who waits makes
 * its request again meanwhile: `underWay` has those that are being answered.
 */
async function answer(
  payload: string,
  underWay: Set<string>,
  crew: Crew,
  options: CrewOptions,
): Promise<void> {
  const { store, logger } = options;
  const read = lookRequest.safeParse(jsonOf(payload));
  if (!read.success || underWay.has(read.data.request)) return;
  const { cluster, request } = read.data;
  underWay.add(request);
  try {
    const said = await crew.look(cluster).then(
      (reply) => ({ reply }),
      (error: unknown) => ({ problem: (error as Error).message }),
    );
    await store.publish("reconciled", JSON.stringify({ request, ...said }));
  } catch (error) {
    logger.warn({ step: "reconciled", cluster }, (error as Error).message);
  } finally {
    underWay.delete(request);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The workers of all clusters, by the clusters' ids. */
class Crew {
  readonly #options: CrewOptions;
  readonly #workers = new Map<number, { readonly name: string; readonly worker: ClusterWorker }>();
  #refreshing: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #isEnded = false;

  constructor(options: CrewOptions) {
    this.#options = options;
  }

  /** Brings the workers up to what the store has now; who asks during one waits for the next. */
  refresh(): Promise<void> {
    if (this.#refreshing === undefined) {
      this.#refreshing = this.#refreshOnce().finally(() => {
        this.#refreshing = undefined;
      });
      return this.#refreshing;
    }
    this.#next ??= this.#refreshing
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.refresh();
      });
    return this.#next;
  }

  /** Looks at one cluster now. @throws LookError, EndpointError, StoreError */
  async look(name: string): ReturnType<ClusterWorker["lookNow"]> {
    await this.refresh();
    const found = [...this.#workers.values()].find((one) => one.name === name);
    if (found === undefined) throw new LookError(`cluster ${name}: there is none of that name`);
    return await found.worker.lookNow();
  }

  /** Takes away records whose member or cluster is gone: one who led before us died in between. */
  async sweep(): Promise<void> {
    const { store } = this.#options;
    const { records } = await store.snapshot();
    const clusters = await store.clusters();
    const known = new Set(
      clusters.flatMap(({ id, members }) => [
        `service_role ${id}`,
        ...members.map((member) => `service_member ${member.id}`),
      ]),
    );
    const orphans = new Map<string, Owner>();
    for (const { owner_kind: kind, owner_id: id } of records) {
      const isOurs = kind === "service_role" || kind === "service_member";
      if (isOurs && !known.has(`${kind} ${id}`)) orphans.set(`${kind} ${id}`, { kind, id });
    }
    const owned = [...orphans.values()].map((owner) => ({ owner, drafts: [] }));
    if (owned.length > 0) await store.putEndpoints(owned);
  }

  /** Ends every worker; records stay. */
  async stop(): Promise<void> {
    this.#isEnded = true;
    await this.#refreshing?.catch(() => undefined);
    await Promise.all([...this.#workers.values()].map(({ worker }) => worker.stop()));
    this.#workers.clear();
  }

  async #refreshOnce(): Promise<void> {
    const { store } = this.#options;
    const [clusters, nodes] = await Promise.all([store.clusters(), store.nodes()]);
    if (this.#isEnded) return;
    const gone = [...this.#workers].filter(([id]) => !clusters.some((one) => one.id === id));
    for (const [id, { worker }] of gone) {
      await worker.stop();
      await worker.clear();
      this.#workers.delete(id);
    }
    for (const cluster of clusters) {
      const known = this.#workers.get(cluster.id);
      if (known !== undefined) known.worker.update(cluster, nodes);
      else if (!this.#isEnded) {
        const worker = new ClusterWorker(cluster, nodes, { ...this.#options, makeSource });
        this.#workers.set(cluster.id, { name: cluster.name, worker });
      }
    }
  }
}
