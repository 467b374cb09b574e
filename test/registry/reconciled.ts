/** A registry's store with a reconciler on it, for tests: what its names mean, and what was written. */
import { randomUUID } from "node:crypto";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, systemClock } from "../../kit/clock.ts";
import type { Clock } from "../../kit/clock.ts";
import { createLogger } from "../../kit/logger.ts";
import { clusterKeys, reconcileReply } from "../../registry/contract.ts";
import type { ReconcileReply } from "../../registry/contract.ts";
import { startReconciler } from "../../registry/reconciler.ts";
import type { Reconciler } from "../../registry/reconciler.ts";
import type { RegistryStore, StoredCluster } from "../../registry/store/store.ts";
import { openSqliteStore } from "../../registry/store/sqlite.ts";

interface Teardown {
  teardown(fn: () => void | Promise<void>): void;
}

const zone = "temps.local";

/** For what must come, on a machine that does something else too. */
const patience = { deadlineMs: 30_000, intervalMs: 20 };

/** Writes a password as the registry reads it. */
export async function passwordFile(
  t: Teardown,
  password: string,
): Promise<{ readonly path: string; readonly change: (password: string) => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "registry-password-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "password");
  const change = async (text: string): Promise<void> => {
    await writeFile(path, `${text}\n`, { mode: 0o600 });
    await chmod(path, 0o600);
  };
  await change(password);
  return { path, change };
}

/** What the reconcilers of a test have written. */
export interface Writes {
  endpoints: number;
  roles: number;
}

export class Names {
  readonly store: RegistryStore;
  readonly writes: Writes;
  readonly #counted: RegistryStore;
  readonly #teardown: Teardown;
  readonly #reconcilers: Reconciler[] = [];

  private constructor(t: Teardown, store: RegistryStore) {
    this.#teardown = t;
    this.store = store;
    const writes = { endpoints: 0, roles: 0 };
    this.writes = writes;
    this.#counted = {
      ...store,
      putEndpoints: async (owned, term) => {
        writes.endpoints += 1;
        return await store.putEndpoints(owned, term);
      },
      putRoles: async (id, roles, term) => {
        writes.roles += 1;
        await store.putRoles(id, roles, term);
      },
    };
  }

  /** On a store that is open already; it is closed with the test. */
  static on(t: Teardown, store: RegistryStore): Names {
    t.teardown(() => store.close());
    return new Names(t, store);
  }

  /** An embedded store in a folder of its own. */
  static async create(t: Teardown): Promise<Names> {
    const folder = await mkdtemp(join(tmpdir(), "registry-names-"));
    t.teardown(() => rm(folder, { recursive: true, force: true }));
    return Names.on(t, await openSqliteStore(folder, { zone }));
  }

  /** A reconciler that ends with the test. */
  reconcile(clock: Clock = systemClock): Reconciler {
    const logger = createLogger({ name: "registry", level: "silent" });
    const reconciler = startReconciler({ store: this.#counted, zone, clock, logger });
    this.#teardown.teardown(() => reconciler.stop());
    this.#reconcilers.push(reconciler);
    return reconciler;
  }

  /** Creates a cluster; keys as they come over HTTP. */
  async createCluster(keys: object): Promise<void> {
    await this.store.createCluster(clusterKeys.parse(keys));
  }

  /** What the reconciler made of its last look. */
  async roles(cluster: string): Promise<StoredCluster["roles"]> {
    const found = await this.store.cluster(cluster);
    if (found === undefined) throw new Error(`there is no cluster ${cluster}`);
    return found.roles;
  }

  /** The addresses behind a name of the zone, sorted. */
  async addresses(name: string): Promise<string> {
    const { records } = await this.store.snapshot();
    const own = records.filter(
      ({ fqdn, record_type: type }) => fqdn === `${name}.${zone}` && type === "A",
    );
    return own
      .map(({ target_ip: ip }) => ip)
      .sort()
      .join(" ");
  }

  /** Waits until a name has these addresses ("" for none). */
  async until(name: string, addresses: string): Promise<void> {
    let seen = "";
    await eventually(`${name} to be ${addresses}`, patience, async () => {
      seen = await this.addresses(name);
      if (seen !== addresses) throw new Error(`it is ${seen}`);
      return true;
    });
  }

  /** Waits until a cluster's roles have this outcome, for such a reason, and hands them over. */
  async untilOutcome(
    cluster: string,
    outcome: string,
    reason = /(?:)/,
  ): Promise<StoredCluster["roles"]> {
    return await eventually(`${cluster} to be ${outcome}`, patience, async () => {
      const roles = await this.roles(cluster);
      if (roles.outcome === outcome && reason.test(roles.reasons[0] ?? "")) return roles;
      throw new Error(`it is ${JSON.stringify(roles)}`);
    });
  }

  /** Looks now, again and again, until the look comes to this; hands over what came of it. */
  async lookUntil(
    cluster: string,
    holds: (roles: ReconcileReply["roles"]) => boolean,
  ): Promise<ReconcileReply> {
    return await eventually(`a look at ${cluster}`, patience, async () => {
      const reply = await this.lookNow(cluster);
      if (holds(reply.roles)) return reply;
      throw new Error(`it came to ${JSON.stringify(reply.roles)}`);
    });
  }

  /** Asks for a look now and waits for what comes of it. */
  async lookNow(cluster: string): Promise<ReconcileReply> {
    const { deadlineMs } = patience;
    await eventually(
      "a lead",
      { deadlineMs, intervalMs: 5 },
      () => this.#reconcilers.some((one) => one.leads()) || undefined,
    );
    const request = randomUUID();
    const heard = Promise.withResolvers<ReconcileReply>();
    const end = this.store.subscribe("reconciled", (payload) => {
      const said = JSON.parse(payload) as { request: string; reply?: unknown; problem?: string };
      if (said.request !== request) return;
      if (said.reply === undefined) heard.reject(new Error(said.problem));
      else heard.resolve(reconcileReply.parse(said.reply));
    });
    try {
      await this.store.publish("reconcile", JSON.stringify({ cluster, request }));
      return await heard.promise;
    } finally {
      end();
    }
  }
}

/** Shorter waits are those after something that failed, such as a source that was slow to answer. */
const backstopMs = 2000;

/** What failed is tried again, and no backstop ever wakes anybody: only news moves anything. */
export const newsOnly: Clock = {
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic(),
  sleep: async (ms, signal) => {
    if (ms < backstopMs) return await systemClock.sleep(ms, signal);
    const { promise, reject } = Promise.withResolvers<void>();
    if (signal?.aborted === true) reject(signal.reason);
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    return await promise;
  },
};
