/**
 * A pg.Client that finds its server among all addresses of all its hosts. All that it does beyond
 * that is pg's: queries, cursors, COPY, notifications, callbacks and promises.
 */
import type { Duplex } from "node:stream";
import { Client as PgClient } from "pg";
import type { Submittable } from "pg";
import { createAttempt } from "./attempt.ts";
import type { Session } from "./attempt.ts";
import type { Role, TargetSessionAttrs } from "./attributes.ts";
import { readConfig } from "./client-config.ts";
import type { ClientConfig, ReadConfig } from "./client-config.ts";
import { dial, ignoreError } from "./dial.ts";
import type { DialAddress, FindRequest } from "./finder.ts";
import { HandoverStream } from "./handover.ts";
import type { Handover } from "./handover.ts";

/** What a client knows of its own connection. */
interface Link {
  session: Session | undefined;
  /** Set where there is no session to be found, but a server to be sent a cancel request. */
  cancel: { readonly at: DialAddress | undefined } | undefined;
}

/** pg's way of cancelling, which its published type leaves out. */
interface Cancelling {
  cancel(this: PgClient, client: PgClient, query: Submittable): void;
}

export class Client extends PgClient {
  /** pg's own, which its published type leaves out: whether the connection keeps Node running. */
  declare readonly ref: () => void;
  declare readonly unref: () => void;
  readonly #link: Link;

  /**
   * Takes what pg's Client takes, several hosts, and target_session_attrs.
   * @throws TypeError for what nobody can mean, such as `target_session_attrs=primry`
   */
  constructor(config?: string | ClientConfig) {
    const read = readConfig(config);
    const link: Link = { session: undefined, cancel: undefined };
    const stream = new HandoverStream((signal) => search(read, link, signal));
    super({ ...read.outer, stream: () => stream });
    this.#link = link;
  }

  /** Where this client is connected to; undefined before it is. */
  get address(): DialAddress | undefined {
    return this.#link.session?.address;
  }

  /** The role when it connected; undefined where any server fits and nobody asked. */
  get role(): Role | undefined {
    return this.#link.session?.role;
  }

  /**
   * As pg's: on a client that is not connected, ends the query that `client` runs. The request goes
   * to the address of that client's session, with TLS where the session has it.
   */
  cancel(client: PgClient, query: Submittable): void {
    this.#link.cancel = { at: client instanceof Client ? client.address : undefined };
    // A request that does not arrive cancels nothing; with pg it would end the process.
    this.connection.on("error", ignoreError);
    (PgClient.prototype as unknown as Cancelling).cancel.call(this, client, query);
  }
}

/** Finds a session, or the server that a cancel request has to go to. */
async function search(read: ReadConfig, link: Link, signal: AbortSignal): Promise<Handover> {
  const { cancel } = link;
  if (cancel !== undefined) {
    const socket = await dialForCancel(read, cancel.at, signal);
    return { startup: undefined, take: () => socket, close: () => socket.destroy() };
  }
  const { target, dial: dialling, startup, physical } = read;
  link.session = await find(read, signal, target.attributes, {
    attempt: createAttempt({ dial: dialling, startup, physical }),
    discard: (session) => session.close(),
  });
  return link.session;
}

/** A client of pg does not say where it is connected to: then any server that can be reached. */
async function dialForCancel(
  read: ReadConfig,
  at: DialAddress | undefined,
  signal: AbortSignal,
): Promise<Duplex> {
  if (at !== undefined) return await dial(at, read.dial, signal);
  return await find(read, signal, "any", {
    attempt: async (address, _pass, stop) => await dial(address, read.dial, stop),
    discard: (socket) => socket.destroy(),
  });
}

async function find<T>(
  { target, finder, deadlineMs }: ReadConfig,
  signal: AbortSignal,
  attributes: TargetSessionAttrs,
  what: Pick<FindRequest<T>, "attempt" | "discard">,
): Promise<T> {
  const { endpoints, loadBalance } = target;
  const request = { endpoints, attributes, loadBalance, deadlineMs, signal, ...what };
  return (await finder.find<T>(request)).value;
}
