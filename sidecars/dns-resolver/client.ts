/**
 * Asks a dns-resolver: a name over DNS, as an app would, or its own status over HTTP. Used by the
 * flip, by topology and by the resolver itself, which asks itself before it says that it answers.
 */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import { formatAddress } from "../../kit/address.ts";
import type { Address } from "../../kit/address.ts";
import { systemClock, withDeadline } from "../../kit/clock.ts";
import { faultWords } from "../../kit/fault-words.ts";
import { nodeHttp, readReply } from "../../kit/http.ts";
import { AnswerError, questionBytes, readAnswer } from "./ask-message.ts";
import { resolverStatus } from "./contract.ts";
import type { AskType, NameAnswer, ResolverStatus } from "./contract.ts";

/**
 * UNREACHABLE: nothing answers there, or not in time; REPLY: what came back is no answer of a
 * dns-resolver.
 */
export class ResolverError extends Error {
  override readonly name = "ResolverError";
  readonly code: "ERR_RESOLVER_UNREACHABLE" | "ERR_RESOLVER_REPLY";
  constructor(code: ResolverError["code"], tried: string, said: string, cause?: unknown) {
    super(`${tried}: ${said}`, { cause });
    this.code = code;
  }
}

/** A question over DNS. */
export interface NameQuestion {
  readonly address: Address;
  /** With or without its trailing dot. */
  readonly name: string;
  readonly type: AskType;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

/** A datagram may be lost; the question is sent again this often within its deadline. */
const sends = 3;

/**
 * Asks for a name over UDP, and over TCP where the answer does not fit. A negative answer is an
 * answer: only silence and nonsense reject.
 * @throws ResolverError, NameError for what is no name, or the signal's reason
 */
export async function askName(question: NameQuestion): Promise<NameAnswer> {
  const { address, name, type, deadlineMs, signal } = question;
  const asked = questionBytes(randomInt(65_536), name, type);
  const tried = `ask ${formatAddress(address)} for ${name} ${type}`;
  const work = async (inner: AbortSignal): Promise<NameAnswer> => {
    const answer = await overUdp(address, asked, deadlineMs / sends, inner);
    return answer === "cut" ? await overTcp(address, asked, inner) : answer;
  };
  try {
    return await withDeadline(tried, deadlineMs, work, signal);
  } catch (cause) {
    signal?.throwIfAborted();
    const code = cause instanceof AnswerError ? "ERR_RESOLVER_REPLY" : "ERR_RESOLVER_UNREACHABLE";
    throw new ResolverError(code, tried, faultWords(cause), cause);
  }
}

async function overUdp(
  { host, port }: Address,
  asked: Buffer,
  againMs: number,
  signal: AbortSignal,
): Promise<NameAnswer | "cut"> {
  const { promise, resolve, reject } = Promise.withResolvers<NameAnswer | "cut">();
  // Connected, so that only its peer is heard, and a closed port is an error at once.
  const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
  const over = new AbortController();
  const sendAgain = async (): Promise<void> => {
    for (let turn = 0; turn < sends && !over.signal.aborted; turn += 1) {
      socket.send(asked);
      await systemClock.sleep(againMs, over.signal).catch(() => undefined);
    }
  };
  socket.on("error", reject);
  socket.on("connect", () => void sendAgain());
  socket.on("message", (message) => {
    try {
      const answer = readAnswer(message, asked);
      if (answer !== undefined) resolve(answer);
    } catch (error) {
      reject(error);
    }
  });
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  socket.connect(port, host);
  try {
    return await promise;
  } finally {
    over.abort();
    socket.close();
  }
}

async function overTcp(
  { host, port }: Address,
  asked: Buffer,
  signal: AbortSignal,
): Promise<NameAnswer> {
  const socket = connect({ host, port });
  signal.addEventListener("abort", () => socket.destroy(signal.reason as Error), { once: true });
  const framed = Buffer.concat([Buffer.from([asked.length >> 8, asked.length & 0xff]), asked]);
  socket.write(framed);
  let held = Buffer.alloc(0);
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      held = Buffer.concat([held, chunk]);
      if (held.length < 2 || held.length < 2 + held.readUInt16BE(0)) continue;
      const answer = readAnswer(held.subarray(2, 2 + held.readUInt16BE(0)), asked);
      if (answer !== undefined && answer !== "cut") return answer;
      throw new AnswerError("the answer over TCP is to another question, or cut");
    }
  } finally {
    socket.destroy();
  }
  throw new AnswerError("the connection was closed without an answer");
}

const replyBytesMax = 256 * 1024;

/**
 * Asks GET /status of the dns-resolver at `address`.
 * @throws ResolverError, or the signal's reason
 */
export async function fetchResolverStatus(
  address: Address,
  options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
): Promise<ResolverStatus> {
  const tried = `GET http://${formatAddress(address)}/status`;
  const refused = (said: string, cause?: unknown): ResolverError =>
    new ResolverError("ERR_RESOLVER_REPLY", tried, said, cause);
  let reply: { readonly status: number; readonly text: string };
  try {
    const work = (signal: AbortSignal): Promise<typeof reply> => get(address, signal);
    reply = await withDeadline(tried, options.deadlineMs, work, options.signal);
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw new ResolverError("ERR_RESOLVER_UNREACHABLE", tried, faultWords(cause), cause);
  }
  if (reply.status !== 200) throw refused(`the reply is ${reply.status}`);
  try {
    return resolverStatus.parse(JSON.parse(reply.text));
  } catch (cause) {
    throw refused("the reply is no status of a dns-resolver", cause);
  }
}

function get(
  { host, port }: Address,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  const options = { host, port, path: "/status", agent: false, signal };
  const asked = nodeHttp.request(options, (reply) => {
    readReply(reply, replyBytesMax).then(
      (text) => resolve({ status: reply.statusCode ?? 0, text }),
      reject,
    );
  });
  asked.on("error", reject);
  asked.end();
  return promise;
}
