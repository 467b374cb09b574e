/**
 * A small HTTP server for sidecars: a table of paths with their methods, replies that are built
 * before they are needed; and the bounded reading of a reply, for their clients. It stands on
 * node:http because a health check is asked thousands of times a second and has four headers.
 */
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from "node:http";
import { formatAddress } from "./address.ts";
import { withDeadline } from "./clock.ts";

/**
 * node:http. An import of it would fetch all that it has, a WebSocket among it, and that loads a second
 * HTTP client: 6 MB that no process of ours needs.
 */
export const nodeHttp = process.getBuiltinModule("node:http");

/** A whole reply; build it once and give it to as many requests as it fits. */
export interface Reply {
  readonly status: number;
  /** Names and values by turns, as node:http takes them. */
  readonly headers: readonly string[];
  readonly body: Buffer;
}

/** Answers GET and HEAD of one path. `search` is the raw query with its question mark, or "". */
export type Route = (search: string) => Reply | Promise<Reply>;

/** A request with all of its body, which has at most 64 kB. */
export interface WholeRequest {
  /** Names are in lower case. */
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Aborts when the asker hangs up before it is answered. */
  readonly signal: AbortSignal;
}

export type MethodRoute = (request: WholeRequest) => Reply | Promise<Reply>;

/** A path that looks at more of a request than its query, or takes a body. GET answers HEAD too. */
export type MethodRoutes = Readonly<Partial<Record<"GET" | "POST", MethodRoute>>>;

export interface HttpListener {
  readonly host: string;
  readonly port: number;
  /** Takes no more requests, lets running ones end, and cuts what is left at the deadline. */
  readonly close: (deadlineMs: number) => Promise<void>;
}

/** The address cannot be listened on. `reason` is the system's error code, such as EADDRINUSE. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly code = "ERR_LISTEN";
  readonly reason: string;
  constructor(host: string, port: number, cause: NodeJS.ErrnoException) {
    super(`listen on ${formatAddress({ host, port })}: ${explain(cause)}`, { cause });
    this.reason = cause.code ?? "";
  }
}

const explanations: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is taken by another process",
  EADDRNOTAVAIL: "this machine does not have that address",
  EACCES: "permission denied (ports below 1024 need a privilege)",
};

function explain(cause: NodeJS.ErrnoException): string {
  return explanations[cause.code ?? ""] ?? cause.message;
}

/** A plain-text reply that no cache keeps. */
export function textReply(status: number, text: string, extra: readonly string[] = []): Reply {
  return bodyReply(status, "text/plain; charset=utf-8", `${text}\n`, extra);
}

/** A JSON reply that no cache keeps. */
export function jsonReply(status: number, value: unknown): Reply {
  return bodyReply(status, "application/json; charset=utf-8", `${JSON.stringify(value)}\n`);
}

/** A reply of any content type that no cache keeps. */
export function bodyReply(
  status: number,
  contentType: string,
  text: string,
  extra: readonly string[] = [],
): Reply {
  const body = Buffer.from(text, "utf8");
  const headers = ["Content-Type", contentType, "Content-Length", String(body.length)];
  return { status, headers: [...headers, "Cache-Control", "no-store", ...extra], body };
}

const notFound = textReply(404, "not found");
const notAllowed = (methods: string): Reply =>
  textReply(405, "method not allowed", ["Allow", methods]);
const readOnly = notAllowed("GET, HEAD");
const tooLong = textReply(413, "the body is too long", ["Connection", "close"]);
const broken = textReply(500, "internal error");

const bodyBytesMax = 64 * 1024;

/** More connections than this are closed on arrival; a health port needs tens. */
const connectionsMax = 4096;

/**
 * Listens on `host` and `port` (0 takes a free one) and answers by the table: exact paths and their
 * methods (RFC 9110 9.3); another path is 404, another method 405, a body that is too long 413, a
 * route that throws is 500 and goes to `onError`.
 * @throws ListenError
 */
export async function listen(
  address: { readonly host: string; readonly port: number },
  routes: Readonly<Record<string, Route | MethodRoutes>>,
  onError: (error: unknown, path: string) => void,
): Promise<HttpListener> {
  const table = new Map(Object.entries(routes));
  // HAProxy's checks may come as HTTP/1.1 without a Host header; they are harmless.
  const options = { requireHostHeader: false, keepAliveTimeout: 75_000, requestTimeout: 10_000 };
  const server = nodeHttp.createServer(options, (request, response) =>
    handle(table, onError, request, response),
  );
  server.maxConnections = connectionsMax;
  await bindServer(server, address);
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : address.port;
  return { host: address.host, port, close: (deadlineMs) => closeServer(server, deadlineMs) };
}

/** Resolves when `server` listens on `address`. @throws ListenError */
export function bindServer(
  server: Server,
  address: { readonly host: string; readonly port: number },
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", (cause) => reject(new ListenError(address.host, address.port, cause)));
  server.listen(address.port, address.host, resolve);
  return promise;
}

/** Takes no more requests, lets running ones end, and cuts what is left after `deadlineMs`. */
export async function closeServer(server: Server, deadlineMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  try {
    await withDeadline("close the HTTP server", deadlineMs, () => promise);
  } catch {
    server.closeAllConnections();
    await promise;
  }
}

function handle(
  table: ReadonlyMap<string, Route | MethodRoutes>,
  onError: (error: unknown, path: string) => void,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const url = request.url ?? "/";
  const mark = url.indexOf("?");
  const path = mark < 0 ? url : url.slice(0, mark);
  const route = table.get(path);
  if (route === undefined) return send(response, notFound);
  const attempt = (answer: () => Reply | Promise<Reply>): void => {
    const failed = (error: unknown): void => {
      onError(error, path);
      send(response, broken);
    };
    try {
      const reply = answer();
      if (!(reply instanceof Promise)) return send(response, reply);
      reply.then((one) => send(response, one)).catch(failed);
    } catch (error) {
      failed(error);
    }
  };
  const method = request.method === "HEAD" ? "GET" : request.method;
  if (typeof route === "function") {
    if (method !== "GET") return send(response, readOnly);
    return attempt(() => route(mark < 0 ? "" : url.slice(mark)));
  }
  const chosen = method === "GET" || method === "POST" ? route[method] : undefined;
  if (chosen !== undefined) return attempt(() => whole(request, response, chosen));
  const names = Object.keys(route).map((one) => (one === "GET" ? "GET, HEAD" : one));
  return send(response, notAllowed(names.join(", ")));
}

/** Reads the body, then answers; what the asker sends beyond the bound is not read. */
async function whole(
  request: IncomingMessage,
  response: ServerResponse,
  route: MethodRoute,
): Promise<Reply> {
  const hungUp = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) hungUp.abort(new Error("the asker has hung up"));
  });
  const chunks: Buffer[] = [];
  let size = 0;
  request.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size <= bodyBytesMax) chunks.push(chunk);
    else request.pause();
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const event of ["end", "pause", "close"]) request.once(event, () => resolve());
  await promise;
  if (size > bodyBytesMax || !request.complete) return tooLong;
  const { headers } = request;
  return await route({ headers, body: Buffer.concat(chunks), signal: hungUp.signal });
}

function send(response: ServerResponse, reply: Reply): void {
  if (response.destroyed) return;
  // node:http leaves the body out of a reply to HEAD by itself.
  response.writeHead(reply.status, reply.headers as string[]);
  response.end(reply.body);
}

/**
 * Reads the body of the reply to a request of node:http, as UTF-8.
 * @throws Error when it has more than `limitBytes` bytes; what the connection fails with
 */
export async function readReply(reply: IncomingMessage, limitBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of reply as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limitBytes) throw new Error(`the reply is longer than ${limitBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
