/**
 * A pg.Pool whose clients find the server that they are for among all addresses, and which leaves one
 * at once that is not the primary any more: what is idle on it is dropped, what is checked out goes
 * when it is released, and nothing of it is handed out again. Of pg-pool it uses what its manual
 * describes: connect, release(true), the counters, and the events of clients.
 */
import { Pool as PgPool } from "pg";
import type { PoolClient as PgPoolClient, PoolConfig as PgPoolConfig } from "pg";
import { withPort } from "../target/address.ts";
import { targetSessionAttrs } from "../target/attributes.ts";
import { Checkouts } from "./checkouts.ts";
import type { Callback, PoolClient } from "./checkouts.ts";
import { finderFor } from "../client-config.ts";
import type { ClientConfig } from "../client-config.ts";
import { Epochs } from "./epochs.ts";
import type { PrimaryChange, Staleness } from "./epochs.ts";
import type { DialAddress, Finder } from "../search/finder.ts";
import { answersAt, lookAfter } from "./left-behind.ts";
import type { LeftBehindOptions } from "./left-behind.ts";
import { Client, leaveToPool, sessionOf } from "../pg-client.ts";
import { cut } from "../session/leaving.ts";
import { readRole } from "../session/role.ts";
import { finderOf } from "../search/finder-handle.ts";
import { readTarget } from "../target/target.ts";
import type { Endpoint } from "../target/target.ts";
import { Watch } from "./watch.ts";

/** What pg.Pool takes, what our Client takes, and what is the pool's own. */
export interface PoolConfig
  extends Omit<PgPoolConfig, keyof ClientConfig | "Client">, ClientConfig {
  /** How often the watch asks for the role, in ms; 0 for never. Default 1000, and 0 for `any`. */
  probeMs?: number | undefined;
  /** How long the answer may take, in ms, before another server is looked for. Default 1500. */
  probeTimeoutMs?: number | undefined;
}

type PgEvent = "error" | "release" | "connect" | "acquire" | "remove";

/** How long who waits for a connection may still get one once the pool was ended. */
const farewellMs = 1000;
const defaultProbeMs = 1000;
const defaultProbeTimeoutMs = 1500;
/** A name is asked less often than a server: the system may ask the network for each question. */
const namesMs = 5000;

/**
 * A pool on the server that `config` names: a connection string (a URI or libpq's keywords and
 * values), or what pg.Pool takes, with target_session_attrs.
 * @throws TypeError for values that mean nothing
 */
export function createPool(config: string | PoolConfig): Pool {
  return new Pool(typeof config === "string" ? { connectionString: config } : config);
}

export class Pool extends PgPool {
  readonly #epochs: Epochs<Client, DialAddress>;
  readonly #checkouts: Checkouts;
  readonly #watch: Watch<Client>;
  readonly #finder: Finder;
  readonly #leftBehind: LeftBehindOptions;
  readonly #ended = new AbortController();

  /** @throws TypeError for values that mean nothing, such as an unknown target_session_attrs */
  constructor(config: PoolConfig = {}) {
    assertNoClient(config);
    const { attributes, endpoints } = readTarget(config, process.env);
    const finder = finderFor(config);
    const joins = { join: (_client: Client): void => undefined };
    const Joining = class extends Client {
      constructor(given?: string | ClientConfig) {
        super(given);
        joins.join(this);
      }
    };
    joining.add(Joining);
    // Options of another pool hide their password from who lists them.
    const { password } = config;
    const given = password === undefined ? config : { ...config, password };
    super({ ...given, finder, Client: Joining } as PgPoolConfig);
    const { single, passes } = targetSessionAttrs[attributes];
    this.#finder = finderOf(finder);
    this.#epochs = new Epochs({ single, isSame, now: () => performance.now() });
    joins.join = (client) => this.#join(client);
    this.#checkouts = new Checkouts({
      connect: (callback) => super.connect(callback as Parameters<PgPool["connect"]>[0]),
      idleCount: () => this.idleCount,
      waitingCount: () => this.waitingCount,
      ending: () => this.ending,
      isStale: (client) => this.#epochs.isStale(client),
    });
    this.#watch = new Watch<Client>({
      probeMs: config.probeMs ?? (attributes === "any" ? 0 : defaultProbeMs),
      probeTimeoutMs: config.probeTimeoutMs ?? defaultProbeTimeoutMs,
      passes,
      ...this.#watched(endpoints, () => new Joining(this.options)),
    });
    this.#leftBehind = {
      pauseMs: config.probeMs ?? defaultProbeMs,
      signal: this.#ended.signal,
      timeoutMs: config.probeTimeoutMs ?? defaultProbeTimeoutMs,
      isLeft: (address) => this.#isLeft(address),
      answers: (address, signal) => answersAt(this.options, address, signal),
      cut: (address) => this.#cutAll(address, this.#epochs.primary),
    };
    // A client that is lost while nobody uses it is no reason to end the process.
    this.on("error", () => undefined);
  }

  /** How many times a server was left. */
  get epoch(): number {
    return this.#epochs.epoch;
  }

  /** The last server that was found as the primary; undefined for attributes that many servers have. */
  get primary(): DialAddress | undefined {
    return this.#epochs.primary;
  }

  override connect(): Promise<PoolClient>;
  override connect(callback: Callback): void;
  override connect(callback?: Callback): Promise<PoolClient> | undefined {
    if (callback !== undefined) {
      this.#checkouts.take(callback);
      return undefined;
    }
    return new Promise<PoolClient>((resolve, reject) => {
      this.#checkouts.take((error, client) => {
        if (client === undefined) reject(error ?? new Error("the pool gave no client"));
        else resolve(client);
      });
    }).catch((error: unknown) => {
      // As pg does: the stack shall lead to the app.
      if (error instanceof Error) Error.captureStackTrace(error);
      throw error;
    });
  }

  override end(): Promise<void>;
  override end(callback: () => void): void;
  override end(callback?: () => void): Promise<void> | undefined {
    const isFirst = !this.ending;
    if (isFirst) setTimeout(() => this.#endSearches(), farewellMs).unref();
    const ended = (): void => (isFirst ? this.#rest() : undefined);
    if (callback === undefined) return super.end().finally(ended);
    super.end((...given: []) => {
      ended();
      callback(...given);
    });
    return undefined;
  }

  /** Who waits at the end has a moment to be served, as with pg, and is told then. */
  #endSearches(): void {
    const reason = new Error("the pool was ended before it had a connection");
    this.#checkouts.refuseAll(reason);
    for (const client of this.#epochs.searching()) cut(client, reason);
  }

  /** All are back: until then a server that is silent is looked after. */
  #rest(): void {
    this.#watch.stop();
    this.#ended.abort();
  }

  override on<K extends PgEvent>(
    event: K,
    listener: K extends "error" | "release"
      ? (error: Error, client: PgPoolClient) => void
      : (client: PgPoolClient) => void,
  ): this;
  /** A server was left: nothing that was connected to it is handed out again. */
  override on(event: "stale", listener: (staleness: Staleness<DialAddress>) => void): this;
  /** Another server takes writes now. */
  override on(
    event: "primary-changed",
    listener: (change: PrimaryChange<DialAddress>) => void,
  ): this;
  override on(event: string, listener: (...args: never[]) => void): this {
    return super.on(event as PgEvent, listener as never);
  }

  /** What the watch may see and do. */
  #watched(endpoints: readonly Endpoint[], make: () => Client) {
    let asked = performance.now();
    return {
      isNeeded: () => this.totalCount > 0,
      make: () => resting(make()),
      probe: (client: Client) => readRole(client, () => undefined, false),
      isStale: (client: Client) => this.#epochs.isStale(client),
      isListed: async ({ address }: Client) => {
        if (performance.now() - asked < namesMs) return true;
        asked = performance.now();
        const listed = await this.#finder.addresses(endpoints, { fresh: false });
        return listed.length === 0 || address === undefined
          ? true
          : listed.some((one) => isSame(one, address));
      },
      hasOtherRole: ({ address }: Client) => this.#leave("role", address),
      forget: ({ address }: Client) => this.#forget(address),
      isReplaced: (silent: Client, found: Client) => this.#replace(silent.address, found.address),
      cut: (client: Client) => {
        // Nobody shall take this end for news of its server.
        this.#epochs.remove(client);
        cut(client);
      },
    };
  }

  /** A client that was made a moment ago: from here on it is known what becomes of it. */
  #join(client: Client): void {
    leaveToPool(client);
    this.#epochs.add(client);
    const failed = (error: unknown, isLost: boolean): void => {
      const { staleness, suspect } = this.#epochs.failed(client, error, isLost);
      if (staleness !== undefined) this.#left(staleness);
      if (suspect === undefined) return;
      this.#forget(suspect);
      this.#watch.lookNow();
    };
    // Here, and not when it is handed out: an app's `onConnect` may keep it for as long as it likes.
    client.connection.once("connect", () => this.#found(client));
    client.on("error", (error) => failed(error, true));
    client.on("end", () => this.#epochs.remove(client));
    // Errors of every statement pass here, whoever submitted it.
    client.connection.on("errorMessage", (error: unknown) => {
      if (client.address !== undefined) failed(error, false);
    });
  }

  /** It has a session, of which pg has not yet heard. */
  #found(client: Client): void {
    this.#watch.start();
    const session = sessionOf(client);
    if (session === undefined) return;
    const { staleness, change } = this.#epochs.met(client, session.address, session.since);
    if (staleness !== undefined) this.#left(staleness);
    if (change === undefined) return;
    if (this.#leftBehind.pauseMs > 0) void lookAfter(change.from, this.#leftBehind);
    this.emit("primary-changed", change);
  }

  /** Whether another server is the primary and statements are still in flight on this one. */
  #isLeft(address: DialAddress): boolean {
    const { primary } = this.#epochs;
    if (primary === undefined || isSame(primary, address)) return false;
    return this.#epochs.at(address).length > 0;
  }

  #leave(reason: "role" | "lost", address: DialAddress | undefined): void {
    this.#left(this.#epochs.leave({ reason, code: undefined, address }));
  }

  #left(staleness: Staleness<DialAddress>): void {
    this.#forget(staleness.address);
    this.#checkouts.dropIdle();
    this.#watch.lookNow();
    this.emit("stale", staleness);
  }

  #forget(address: DialAddress | undefined): void {
    if (address !== undefined) this.#finder.forget(address);
  }

  /** The silent server still is, and another one has its place: who waits for it would wait for ever. */
  #replace(silent: DialAddress | undefined, found: DialAddress | undefined): void {
    if (silent === undefined || found === undefined || isSame(silent, found)) return;
    const waiting = this.#epochs.at(silent);
    if (waiting.some((client) => !this.#epochs.isStale(client))) this.#leave("lost", silent);
    this.#cutAll(silent, found);
  }

  #cutAll(silent: DialAddress, found: DialAddress | undefined): void {
    const place = ({ address, port }: DialAddress): string => withPort(address, port);
    const instead = found === undefined ? "" : `, and ${place(found)} has its place`;
    for (const client of this.#epochs.at(silent)) {
      const reason = new Error(`${place(silent)} does not answer any more${instead}`);
      cut(client, Object.assign(reason, { code: "ETIMEDOUT" }));
    }
  }
}

/** The classes of clients that pools have made: they come back in the options of a pool. */
const joining = new WeakSet();

/** @throws TypeError for a class of clients: one that is not ours could not follow */
function assertNoClient(config: object): void {
  const { Client: given } = config as { readonly Client?: object | null };
  if (given === undefined || given === null || given === Client || joining.has(given)) return;
  throw new TypeError("Client cannot be given to this Pool: it has clients of its own");
}

/** A client that does not keep Node running. */
function resting(client: Client): Client {
  (client as Client & { unref(): void }).unref();
  return client;
}

function isSame(one: DialAddress, other: DialAddress): boolean {
  return one.address === other.address && one.port === other.port;
}
