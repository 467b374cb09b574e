/**
 * One HTTP exchange with a registry: the bearer token, connections that are kept, and a bound on the
 * reply. What the answer means is its client's affair.
 */
import type { Agent, ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import { formatAddress } from "../kit/address.ts";
import type { Address } from "../kit/address.ts";
import { faultCode } from "../kit/fault-words.ts";
import { nodeHttp } from "../kit/http.ts";

export interface Asked {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** With its query. */
  readonly path: string;
  readonly body?: unknown;
  /** Of a longer reply only the beginning is read, which has more bytes than this. */
  readonly cutAt?: number | undefined;
}

export interface Answer {
  readonly status: number;
  /** The content type, as it was told. */
  readonly contentType: string;
  readonly body: Buffer;
}

interface Peer {
  readonly url: Address | string;
  readonly token: () => string;
}

/** A snapshot of 100,000 records has about 25 MB. */
const replyBytesMax = 128 * 1024 * 1024;
/** Idle connections keep no process alive: node:http unrefs them. */
const kept = { keepAlive: true };

/** What carries the exchanges with or without TLS: its connections, and how a request begins. */
interface Carrier {
  readonly agent: Agent;
  readonly request: (
    options: RequestOptions,
    heard: (reply: IncomingMessage) => void,
  ) => ClientRequest;
}

const plain: Carrier = { agent: new nodeHttp.Agent(kept), request: nodeHttp.request };
let secure: Carrier | undefined;

/** TLS is loaded for who asks a registry that has it: it is 3 MB of a process. */
function secureCarrier(): Carrier {
  if (secure === undefined) {
    const nodeHttps = process.getBuiltinModule("node:https");
    secure = { agent: new nodeHttps.Agent(kept), request: nodeHttps.request };
  }
  return secure;
}

/** A registry's address as a URL; one without a scheme is plain HTTP. */
export function baseUrl(url: Address | string): URL {
  return new URL(typeof url === "string" ? url : `http://${formatAddress(url)}`);
}

/**
 * Asks and reads the whole answer. A kept connection may have been closed by the registry just now;
 * then the next is taken.
 * @throws what the connection fails with
 */
export async function exchange(target: Peer, asked: Asked, signal: AbortSignal): Promise<Answer> {
  for (;;) {
    const { sent, answer } = send(target, asked, signal);
    try {
      return await answer;
    } catch (error) {
      const isStale = sent.reusedSocket && ["ECONNRESET", "EPIPE"].includes(faultCode(error));
      if (!isStale || signal.aborted) throw error;
    }
  }
}

/** What may be done twice without harm goes over a kept connection. */
function send(
  target: Peer,
  { method, path, body, cutAt }: Asked,
  signal: AbortSignal,
): { readonly sent: ClientRequest; readonly answer: Promise<Answer> } {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const url = baseUrl(target.url);
  const isTls = url.protocol === "https:";
  const carrier = isTls ? secureCarrier() : plain;
  const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body), "utf8");
  const maySendAgain = method === "GET" || path.endsWith("/ack") || path.endsWith("/reconcile");
  const options = {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (isTls ? 443 : 80) : Number(url.port),
    path: url.pathname.replace(/\/$/, "") + path,
    method,
    agent: maySendAgain ? carrier.agent : false,
    signal,
    headers: {
      Authorization: `Bearer ${target.token()}`,
      Accept: "application/json",
      ...(bytes === undefined
        ? {}
        : { "Content-Type": "application/json", "Content-Length": bytes.length }),
    },
  } as const;
  const heard = (reply: IncomingMessage): void => {
    const contentType = reply.headers["content-type"] ?? "";
    readBytes(reply, cutAt).then(
      (read) => resolve({ status: reply.statusCode ?? 0, contentType, body: read }),
      reject,
    );
  };
  const sent = carrier.request(options, heard);
  sent.on("error", reject);
  sent.end(bytes);
  return { sent, answer: promise };
}

async function readBytes(reply: IncomingMessage, cutAt = Infinity): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of reply as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > replyBytesMax) throw new Error(`the reply is longer than ${replyBytesMax} bytes`);
    chunks.push(chunk);
    // To leave it ends the connection.
    if (size > cutAt) break;
  }
  return Buffer.concat(chunks);
}
