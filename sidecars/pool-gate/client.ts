/**
 * Speaks to one pool-gate over connections that are kept alive and can be opened ahead, so that a
 * pause and its end cost one exchange each. Every call has a deadline, and every call may be
 * repeated: its outcome is what the gate says about the lease.
 */
import { Agent, request } from "node:http";
import type { ClientRequest } from "node:http";
import { formatAddress } from "../../kit/address.ts";
import type { Address } from "../../kit/address.ts";
import { withDeadline } from "../../kit/clock.ts";
import { faultCode, faultWords } from "../../kit/fault-words.ts";
import { readReply } from "../../kit/http.ts";
import { gateStatus, leaseReply } from "./contract.ts";
import type { GateStatus, LeaseReply, PauseRequest } from "./contract.ts";

/**
 * UNREACHABLE: nothing answers there, or not in time; DENIED: it does not know the token; REFUSED:
 * it is held by another lease or somebody else, or a pause cannot work there; BUSY: transactions
 * did not end in time, and everything was resumed; LEASE_LOST: the lease has ended; POOLER: its
 * PgBouncer is silent; REPLY: what came back is no answer of a pool-gate.
 */
export type GateErrorCode =
  | "ERR_GATE_UNREACHABLE"
  | "ERR_GATE_DENIED"
  | "ERR_GATE_REFUSED"
  | "ERR_GATE_BUSY"
  | "ERR_GATE_LEASE_LOST"
  | "ERR_GATE_POOLER"
  | "ERR_GATE_REPLY";

/** Something asked of a pool-gate did not happen. */
export class GateError extends Error {
  override readonly name = "GateError";
  readonly code: GateErrorCode;
  /** The edge pooler that the gate stands beside. */
  readonly gate: string;
  /** What the gate said about itself; null when it did not. */
  readonly status: GateStatus | null;
  constructor(
    code: GateErrorCode,
    what: { gate: string; tried: string; said: string; status?: GateStatus; cause?: unknown },
  ) {
    super(`${what.tried} (pool-gate of ${what.gate}): ${what.said}`, { cause: what.cause });
    this.code = code;
    this.gate = what.gate;
    this.status = what.status ?? null;
  }
}

export interface GateTarget {
  /** The name of its edge pooler, for messages. */
  readonly name: string;
  readonly url: Address;
  /** Hands out the bearer token for the one call that needs it. */
  readonly token: () => string;
}

export interface GateClient {
  readonly name: string;
  /** Opens the connections that later calls use, and says how the gate is. */
  warm(signal?: AbortSignal): Promise<GateStatus>;
  /** Resolves when the pause holds. The call may take `deadlineMs` of the request and a little. */
  pause(asked: PauseRequest, signal?: AbortSignal): Promise<LeaseReply>;
  /** The lease ends `ttlMs` from now. */
  renew(lease: string, ttlMs: number, signal?: AbortSignal): Promise<LeaseReply>;
  /** Resolves when clients flow. One that was resumed already is fine. */
  resume(lease: string, signal?: AbortSignal): Promise<GateStatus>;
  status(signal?: AbortSignal): Promise<GateStatus>;
  /** Closes the connections; a call under way fails. */
  close(): void;
}

/** A pause that has hung up is given up by the gate, so two calls can be under way at once. */
const connections = 2;
const pauseMarginMs = 1500;
const replyBytesMax = 256 * 1024;

/**
 * A client for one pool-gate; nothing is opened yet. `deadlineMs` bounds each call (2000 when not
 * given); all of them reject with GateError or the signal's reason.
 */
export function openGate(
  target: GateTarget,
  options: { readonly deadlineMs?: number } = {},
): GateClient {
  const deadlineMs = options.deadlineMs ?? 2000;
  const agent = new Agent({
    keepAlive: true,
    maxSockets: connections,
    maxFreeSockets: connections,
  });
  const line = (path: string, ms = deadlineMs): Line => ({ target, agent, path, deadlineMs: ms });
  const status = async (signal?: AbortSignal): Promise<GateStatus> =>
    await call(line("/status"), gateStatus, undefined, signal);
  return {
    name: target.name,
    warm: async (signal) => {
      const all = Array.from({ length: connections }, () => status(signal));
      const [first] = await Promise.all(all);
      return first ?? (await status(signal));
    },
    pause: (asked, signal) =>
      call(line("/pause", asked.deadlineMs + pauseMarginMs), leaseReply, asked, signal),
    renew: (lease, ttlMs, signal) => call(line("/renew"), leaseReply, { lease, ttlMs }, signal),
    resume: (lease, signal) => call(line("/resume"), gateStatus, { lease }, signal),
    status,
    close: () => agent.destroy(),
  };
}

/**
 * Asks a gate once how it is.
 * @throws GateError, or the signal's reason
 */
export async function fetchGateStatus(
  target: GateTarget,
  options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
): Promise<GateStatus> {
  const gate = openGate(target, options);
  try {
    return await gate.status(options.signal);
  } finally {
    gate.close();
  }
}

interface Line {
  readonly target: GateTarget;
  readonly agent: Agent;
  readonly path: string;
  readonly deadlineMs: number;
}

interface Shape<T> {
  readonly parse: (value: unknown) => T;
}

/** With a body it is a POST, else a GET. */
async function call<T>(
  line: Line,
  shape: Shape<T>,
  body: object | undefined,
  signal: AbortSignal | undefined,
): Promise<T> {
  const { target, path, deadlineMs } = line;
  const method = body === undefined ? "GET" : "POST";
  const tried = `${method} http://${formatAddress(target.url)}${path}`;
  const text = body === undefined ? "" : JSON.stringify(body);
  let answer: Answer;
  try {
    const work = (inner: AbortSignal): Promise<Answer> => ask(line, method, text, inner);
    answer = await withDeadline(tried, deadlineMs, work, signal);
  } catch (cause) {
    signal?.throwIfAborted();
    const said = faultWords(cause);
    throw new GateError("ERR_GATE_UNREACHABLE", { gate: target.name, tried, said, cause });
  }
  return judge(answer, shape, { gate: target.name, tried });
}

const codeByStatus: Readonly<Record<number, GateErrorCode>> = {
  409: "ERR_GATE_REFUSED",
  410: "ERR_GATE_LEASE_LOST",
  503: "ERR_GATE_POOLER",
  504: "ERR_GATE_BUSY",
};

function judge<T>(answer: Answer, shape: Shape<T>, what: { gate: string; tried: string }): T {
  const { status, text } = answer;
  if (status === 401) throw new GateError("ERR_GATE_DENIED", { ...what, said: "wrong token" });
  try {
    if (status === 200) return shape.parse(JSON.parse(text));
    const code = codeByStatus[status];
    if (code !== undefined) {
      const said = gateStatus.parse(JSON.parse(text));
      throw new GateError(code, { ...what, said: said.reason, status: said });
    }
  } catch (cause) {
    if (cause instanceof GateError) throw cause;
    const said = `the reply (${status}) is none of a pool-gate`;
    throw new GateError("ERR_GATE_REPLY", { ...what, said, cause });
  }
  const [first = ""] = text.split("\n");
  throw new GateError("ERR_GATE_REPLY", { ...what, said: `${status} ${first.slice(0, 200)}` });
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** A kept connection may have been closed by the gate just now; then the next is taken, or a fresh one. */
async function ask(line: Line, method: string, body: string, signal: AbortSignal): Promise<Answer> {
  for (;;) {
    const { sent, answer } = send(line, method, body, signal);
    try {
      return await answer;
    } catch (error) {
      const stale = sent.reusedSocket && ["ECONNRESET", "EPIPE"].includes(faultCode(error));
      if (!stale || signal.aborted) throw error;
    }
  }
}

function send(
  { target, agent, path }: Line,
  method: string,
  body: string,
  signal: AbortSignal,
): { readonly sent: ClientRequest; readonly answer: Promise<Answer> } {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const bytes = Buffer.from(body, "utf8");
  const sent = request(
    {
      ...target.url,
      path,
      method,
      agent,
      signal,
      headers: {
        Authorization: `Bearer ${target.token()}`,
        ...(method === "POST"
          ? { "Content-Type": "application/json", "Content-Length": bytes.length }
          : {}),
      },
    },
    (reply) => {
      readReply(reply, replyBytesMax).then(
        (text) => resolve({ status: reply.statusCode ?? 0, text }),
        reject,
      );
    },
  );
  sent.on("error", reject);
  sent.end(bytes);
  return { sent, answer: promise };
}
