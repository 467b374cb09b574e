/**
 * The consoles of node poolers that a flip needs: a node pooler has cached that its Postgres was a
 * standby, and opens its connections anew when told to. PgBouncer manual, "RECONNECT".
 */
import type { Environment } from "../../../config/schema.ts";
import { openPgConnection } from "../../../kit/pg-connection.ts";
import type { PgConnection } from "../../../kit/pg-connection.ts";
import { consoleTarget } from "../../../kit/pooler-console.ts";
import type { Facts } from "../../operation/step.ts";

const connectDeadlineMs = 2000;

export class NodePoolers {
  readonly #environment: Environment;
  readonly #consoles = new Map<string, PgConnection>();

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /**
   * Opens the console of the node pooler of `member`; one without an admin login has none. A pooler
   * that is down is not in the way: it starts with a clean memory.
   */
  async warm(member: string, signal: AbortSignal): Promise<void> {
    await this.#console(member, signal).catch(() => signal.throwIfAborted());
  }

  /** @throws PgConnectionError */
  async reconnect(member: string, signal: AbortSignal): Promise<Facts | undefined> {
    const console = await this.#console(member, signal);
    if (console === undefined) return { skipped: "the pooler has no admin login" };
    await console.query("RECONNECT");
    return undefined;
  }

  close(): void {
    for (const one of this.#consoles.values()) one.leave();
    this.#consoles.clear();
  }

  async #console(member: string, signal: AbortSignal): Promise<PgConnection | undefined> {
    const open = this.#consoles.get(member);
    if (open !== undefined) return open;
    const pooler = this.#environment.members.find((one) => one.name === member)?.pooler;
    const admin = pooler?.admin;
    if (pooler === undefined || admin === undefined) return undefined;
    const title = `node pooler of ${member}`;
    const target = consoleTarget(title, pooler.address, admin, "switchyard flip");
    const connection = await openPgConnection(target, {
      deadlineMs: connectDeadlineMs,
      signal,
      onLost: () => void this.#consoles.delete(member),
    });
    this.#consoles.set(member, connection);
    return connection;
  }
}
