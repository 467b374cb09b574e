/**
 * A pg.Client that finds its server among all addresses of all its hosts. All that it does beyond
 * that is pg's: queries, cursors, COPY, notifications, callbacks and promises.
 */
import type { Duplex } from "node:stream";
import { Client as PgClient } from "pg";
import type { Submittable } from "pg";
import { withPort } from "./target/address.ts";
import { createAttempt } from "./session/attempt.ts";
import type { Session } from "./session/attempt.ts";
import { targetSessionAttrs } from "./target/attributes.ts";
import type { Role, TargetSessionAttrs } from "./target/attributes.ts";
import { readConfig } from "./client-config.ts";
import type { ClientConfig, ReadConfig } from "./client-config.ts";
import { dial, ignoreError } from "./session/dial.ts";
import { ConnectError } from "./errors.ts";
import type { AttemptError } from "./errors.ts";
import type { DialAddress, FindRequest } from "./search/finder.ts";
import { HandoverStream } from "./session/handover.ts";
import type { Handover } from "./session/handover.ts";
import { leaveWhenUnfit } from "./session/leaving.ts";
import { limited } from "./search/limited.ts";
import type { Target } from "./target/target.ts";

/** What a client knows of its own connection. */
interface Link {
  session: Session | undefined;
  /** Set where there is no session to be found, but a server to be sent a cancel request. */
  cancel: { readonly at: DialAddress | undefined } | undefined;
  /** A pool decides when it leaves its server, for all of its clients at once. */
  isPooled: boolean;
}

/** pg's way of cancelling, which its published type leaves out. */
interface Cancelling {
  cancel(this: PgClient, client: PgClient, query: Submittable): void;
}

const links = new WeakMap<Client, Link>();

/** The session of a client; undefined before there is one. */
export function sessionOf(client: Client): Session | undefined {
  return links.get(client)?.session;
}

/** Leaves it to a pool when this client leaves its server; to be called before it connects. */
export function leaveToPool(client: Client): void {
  const link = links.get(client);
  if (link !== undefined) link.isPooled = true;
}

export class Client extends PgClient {
  /** pg's own, which its published type leaves out: whether the connection keeps Node running. */
  declare readonly ref: () => void;
  declare readonly unref: () => void;
  /**
   * Takes what pg's Client takes, several hosts, and target_session_attrs.
   * @throws TypeError for what nobody can mean, such as `target_session_attrs=primry`
   */
  constructor(config?: string | ClientConfig) {
    const read = readConfig(config);
    const link: Link = { session: undefined, cancel: undefined, isPooled: false };
    const stream = new HandoverStream((signal, isRefed) => search(read, link, signal, isRefed));
    super({ ...read.outer, stream: () => stream });
    links.set(this, link);
    this.connection.once("connect", () => follow(this, read, link));
  }

  /** Where this client is connected to; undefined before it is. */
  get address(): DialAddress | undefined {
    return sessionOf(this)?.address;
  }

  /** The role when it connected; undefined where any server fits and nobody asked. */
  get role(): Role | undefined {
    return sessionOf(this)?.role;
  }

  /**
   * As pg's: on a client that is not connected, ends the query that `client` runs. The request goes
   * to the address of that client's session, with TLS where the session has it.
   */
  cancel(client: PgClient, query: Submittable): void {
    const link = links.get(this);
    if (link !== undefined)
      link.cancel = { at: client instanceof Client ? client.address : undefined };
    // A request that does not arrive cancels nothing; with pg it would end the process.
    this.connection.on("error", ignoreError);
    (PgClient.prototype as unknown as Cancelling).cancel.call(this, client, query);
  }
}

/** Finds a session, or the server that a cancel request has to go to. */
async function search(
  read: ReadConfig,
  link: Link,
  signal: AbortSignal,
  isRefed: boolean,
): Promise<Handover> {
  const { cancel } = link;
  if (cancel !== undefined) {
    const socket = await dialForCancel(read, cancel.at, signal);
    return { startup: undefined, take: () => socket, close: () => socket.destroy() };
  }
  const { target, dial: dialling, startup, physical } = read;
  const session = await find(read, signal, target.attributes, {
    isUnref: !isRefed,
    attempt: createAttempt({ dial: { ...dialling, isUnref: !isRefed }, startup, physical }),
    discard: (one) => one.close(),
  });
  link.session = session;
  return {
    startup: session.startup,
    take: () => session.take(),
    close: () => session.close(),
    lost: (cause) => lostError(target, session, cause),
  };
}

/** How long a server that has refused a write may take to say its role. */
const answerMs = 1500;

/** Where one server at a time fits, a session that does not any more is to be left. */
function follow(client: Client, { finder, physical, target }: ReadConfig, link: Link): void {
  const { passes, single } = targetSessionAttrs[target.attributes];
  const [pass] = passes;
  const { isPooled, session } = link;
  if (isPooled || physical || !single || pass === undefined || session === undefined) return;
  const { address } = session;
  leaveWhenUnfit(client, { address, pass, answerMs, onLeave: () => finder.forget(address) });
}

/** A session that ended in the very moment in which it was found is none. */
function lostError(
  { attributes: wanted }: Target,
  { address, since }: Session,
  cause: AttemptError,
): ConnectError {
  const { host, address: at, port } = address;
  const { reason, code, message } = cause;
  const ms = performance.now() - since;
  return new ConnectError({
    wanted,
    targets: [withPort(host, port)],
    attempts: [{ host, address: at, port, reason, code, message, ms, cause: cause.cause ?? cause }],
    rounds: 1,
    ms,
  });
}

/** A client of pg does not say where it is connected to: then any server that can be reached. */
async function dialForCancel(
  read: ReadConfig,
  at: DialAddress | undefined,
  signal: AbortSignal,
): Promise<Duplex> {
  if (at !== undefined) {
    const { attemptTimeoutMs: ms, timing } = read.finder.options;
    const onLate = (socket: Duplex): void => void socket.destroy();
    const dialAt = (one: DialAddress, stop: AbortSignal) => dial(one, read.dial, stop);
    return await limited(dialAt, { ms, timing, onLate })(at, signal);
  }
  return await find(read, signal, "any", {
    attempt: async (address, _pass, stop) => await dial(address, read.dial, stop),
    discard: (socket) => socket.destroy(),
  });
}

async function find<T>(
  { target, finder, deadlineMs }: ReadConfig,
  signal: AbortSignal,
  attributes: TargetSessionAttrs,
  what: Pick<FindRequest<T>, "attempt" | "discard" | "isUnref">,
): Promise<T> {
  const { endpoints, loadBalance } = target;
  const request = { endpoints, attributes, loadBalance, deadlineMs, signal, ...what };
  return (await finder.find<T>(request)).value;
}
