/**
 * Looks after the server that a pool is connected to, over one connection of its own: a primary that
 * is demoted behind a pooler, or that stops to answer, sends no error to anybody. It rests while the
 * pool is empty, and neither its timers nor its connection keep Node alive.
 */
import type { RolePass, Role } from "../target/attributes.ts";

/** A connection as the watch needs it. */
export interface WatchedClient {
  connect(): Promise<unknown>;
}

export interface WatchOptions<C extends WatchedClient> {
  /** Pause between two looks, in ms; with 0 there is no watch. */
  readonly probeMs: number;
  /** How long an answer may take, in ms, before another server is looked for. */
  readonly probeTimeoutMs: number;
  readonly passes: readonly RolePass[];
  /** False while there is nothing to look after. */
  isNeeded(): boolean;
  /** A connection that is not yet connected, and does not keep Node running. */
  make(): C;
  /** Asks a connected one for its role. */
  probe(client: C): Promise<Role>;
  /** True once the server of this connection has been left. */
  isStale(client: C): boolean;
  /** Whether the names still lead to the server of this connection. */
  isListed(client: C): Promise<boolean>;
  /** It answered with a role that is not the wanted one. */
  hasOtherRole(client: C): void;
  /** Its server is the first guess no longer. */
  forget(client: C): void;
  /** `silent` still does not answer, and `found` was found in its place. */
  isReplaced(silent: C, found: C): void;
  /** Ends a connection that may be dead, at once. */
  cut(client: C): void;
}

const silence = Symbol("no answer");

export class Watch<C extends WatchedClient> {
  readonly #options: WatchOptions<C>;
  #client: C | undefined;
  #silent: C | undefined;
  #isRunning = false;
  #isStopped = false;
  #wake = (): void => undefined;

  constructor(options: WatchOptions<C>) {
    this.#options = options;
  }

  /** Begins to look, unless it does already, or is turned off. The first look comes after a pause. */
  start(): void {
    if (this.#isRunning || this.#isStopped || this.#options.probeMs <= 0) return;
    this.#isRunning = true;
    void this.#run();
  }

  /** Looks without waiting for the end of the pause. */
  lookNow(): void {
    this.#wake();
  }

  /** Ends for good. */
  stop(): void {
    this.#isStopped = true;
    this.#close();
    this.#wake();
  }

  async #run(): Promise<void> {
    for (;;) {
      await this.#pause(this.#options.probeMs);
      if (this.#isStopped || !this.#options.isNeeded()) break;
      await this.#look();
    }
    this.#isRunning = false;
    this.#silent = undefined;
    this.#close();
  }

  async #look(): Promise<void> {
    if (this.#client !== undefined && this.#options.isStale(this.#client)) this.#close();
    const client = this.#client ?? (await this.#open());
    if (client === undefined || (await this.#isWell(client))) return;
    this.#close();
    await this.#open();
  }

  /** False where a server has to be looked for anew: perhaps it is the same again. */
  async #isWell(client: C): Promise<boolean> {
    const role = await this.#ask(client);
    if (role === undefined) return false;
    if (role === silence) {
      // Slow is not dead: it is left when another one is found in its place, and not before.
      this.#silent = client;
      this.#options.forget(client);
      return false;
    }
    if (!this.#options.passes.some((pass) => pass.accepts(role))) {
      this.#options.hasOtherRole(client);
      return false;
    }
    const isWell = await this.#options.isListed(client).catch(() => true);
    if (!isWell) this.#options.forget(client);
    return isWell;
  }

  /** The role, `silence`, or undefined where the connection failed: who owns it hears of that. */
  async #ask(client: C): Promise<Role | typeof silence | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<typeof silence>((resolve) => {
      timer = setTimeout(() => resolve(silence), this.#options.probeTimeoutMs).unref();
    });
    try {
      return await Promise.race([this.#options.probe(client), timeout]);
    } catch {
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Finds a server as any connection of the pool does; undefined where none is found now. */
  async #open(): Promise<C | undefined> {
    if (this.#isStopped) return undefined;
    const client = this.#options.make();
    this.#client = client;
    try {
      await client.connect();
    } catch {
      this.#close();
      return undefined;
    }
    if (this.#isStopped) return undefined;
    const silent = this.#silent;
    this.#silent = undefined;
    if (silent !== undefined) this.#options.isReplaced(silent, client);
    return client;
  }

  #close(): void {
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) this.#options.cut(client);
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms).unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => undefined;
  }
}
