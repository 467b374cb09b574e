/**
 * Asks a registry: what an agent on a node asks (changes, acknowledgements), and what the tools ask
 * (its state, a cluster, the nodes, "look now"); admin.ts has the rest. Every call has a deadline;
 * connections are kept and shared by all calls of a process.
 */
import type { Address } from "../kit/address.ts";
import { withDeadline } from "../kit/clock.ts";
import { faultWords } from "../kit/fault-words.ts";
import {
  ackReply,
  changesReply,
  clusterView,
  nodesReply,
  problem,
  reconcileReply,
  registryStatus,
} from "./contract.ts";
import type {
  AckReply,
  AckRequest,
  ChangesReply,
  ClusterView,
  NodesReply,
  Problem,
  ReconcileReply,
  RegistryStatus,
} from "./contract.ts";
import { baseUrl, exchange } from "./exchange.ts";
import type { Answer, Asked } from "./exchange.ts";

/** Which registry, and as whom. */
export interface RegistryTarget {
  /** `http://host:port` or `https://…`, or the address of one without TLS. */
  readonly url: Address | string;
  /** Hands out the bearer token for the one call that needs it. */
  readonly token: () => string;
}

/** Nothing answers there, or not in time. */
export class RegistryUnreachableError extends Error {
  override readonly name = "RegistryUnreachableError";
  readonly code = "ERR_REGISTRY_UNREACHABLE";
  constructor(tried: string, said: string, cause: unknown) {
    super(`${tried}: ${said}`, { cause });
  }
}

/** The registry does not know the token, or the token has no right to this. */
export class RegistryDeniedError extends Error {
  override readonly name = "RegistryDeniedError";
  readonly code = "ERR_REGISTRY_DENIED";
  readonly status: number;
  constructor(tried: string, told: Problem) {
    super(`${tried}: ${wordsOf(told)}`);
    this.status = told.status;
  }
}

/**
 * REQUEST: what was asked cannot be (400, 404, …); CONFLICT: it stands against what is there (409);
 * UNAVAILABLE: the registry cannot do it now (5xx); REPLY: what came back is no answer of a registry.
 */
export type RegistryProblemCode =
  | "ERR_REGISTRY_REQUEST"
  | "ERR_REGISTRY_CONFLICT"
  | "ERR_REGISTRY_UNAVAILABLE"
  | "ERR_REGISTRY_REPLY";

/** The registry answered with a problem, or with something that is no answer of a registry. */
export class RegistryProblemError extends Error {
  override readonly name = "RegistryProblemError";
  readonly code: RegistryProblemCode;
  readonly status: number;
  readonly title: string;
  readonly detail: string | undefined;
  constructor(code: RegistryProblemCode, tried: string, told: Problem, cause?: unknown) {
    super(`${tried}: ${wordsOf(told)}`, { cause });
    this.code = code;
    this.status = told.status;
    this.title = told.title;
    this.detail = told.detail;
  }
}

/** A call, and how long it may take in all (ms). */
export interface Call extends Asked {
  readonly deadlineMs: number;
}

/** What an agent has applied, and how long the answer may be held. */
export interface ChangesQuery {
  /** The generation that is applied; 0 asks for the whole zone. */
  readonly since: number;
  /** The epoch of that generation; without it a change of the store is not noticed. */
  readonly epoch?: string | undefined;
  /** The hash of what is applied (kit/zone-hash.ts). */
  readonly hash?: string | undefined;
  /** Seconds that the answer is held for when there is no news; 0 when not given. */
  readonly waitS?: number | undefined;
}

/** How long a call may take (ms); a held one takes its hold and a sixteenth of it on top. */
const deadlineMs = 5000;
/** A look at a role source may have to wait for one that is silent. */
const reconcileDeadlineMs = 15_000;
const holdMs = (waitS = 0): number => Math.ceil(waitS * 1000 * (17 / 16));

const part = encodeURIComponent;

function search(words: Readonly<Record<string, string | number | undefined>>): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(words)) {
    if (value !== undefined) given.set(name, String(value));
  }
  return given.size === 0 ? "" : `?${given.toString()}`;
}

function changesCall(nodeId: number, { since, epoch, hash, waitS }: ChangesQuery): Call {
  const words = search({ since, wait: waitS, epoch, hash });
  const path = `/api/internal/nodes/${nodeId}/dns/changes${words}`;
  return { method: "GET", path, deadlineMs: deadlineMs + holdMs(waitS) };
}

/**
 * What came since a generation, as it came over the wire: for who parses 100,000 records in a
 * thread of its own (readChanges). Of a body of more than `cutAt` bytes only the beginning comes, which
 * has more than that too.
 * @throws RegistryUnreachableError, RegistryDeniedError, RegistryProblemError, the signal's reason
 */
export async function fetchChangesBody(
  target: RegistryTarget,
  nodeId: number,
  query: ChangesQuery,
  signal?: AbortSignal,
  cutAt?: number,
): Promise<Buffer> {
  return await askBody(target, { ...changesCall(nodeId, query), cutAt }, signal);
}

/** Reads such a body. @throws ZodError or SyntaxError for what is none */
export function readChanges(body: Uint8Array): ChangesReply {
  return changesReply.parse(JSON.parse(new TextDecoder().decode(body)));
}

/** What came since a generation. @throws as fetchChangesBody; all that follow too */
export async function fetchChanges(
  target: RegistryTarget,
  nodeId: number,
  query: ChangesQuery,
  signal?: AbortSignal,
): Promise<ChangesReply> {
  return await askJson(target, changesCall(nodeId, query), changesReply, signal);
}

/** Says what a node has applied. */
export async function acknowledge(
  target: RegistryTarget,
  nodeId: number,
  body: AckRequest,
  signal?: AbortSignal,
): Promise<AckReply> {
  const path = `/api/internal/nodes/${nodeId}/dns/ack`;
  return await askJson(target, { method: "POST", path, body, deadlineMs }, ackReply, signal);
}

/** The registry in one view. */
export async function fetchStatus(
  target: RegistryTarget,
  signal?: AbortSignal,
): Promise<RegistryStatus> {
  return await askJson(
    target,
    { method: "GET", path: "/api/status", deadlineMs },
    registryStatus,
    signal,
  );
}

/** One cluster with its roles and records. */
export async function fetchCluster(
  target: RegistryTarget,
  name: string,
  signal?: AbortSignal,
): Promise<ClusterView> {
  const asked = { method: "GET", path: `/api/clusters/${part(name)}`, deadlineMs } as const;
  return await askJson(target, asked, clusterView, signal);
}

/** Asks for a look at a cluster's roles now. @returns the generation in which its outcome stands */
export async function reconcile(
  target: RegistryTarget,
  name: string,
  signal?: AbortSignal,
): Promise<ReconcileReply> {
  const path = `/api/clusters/${part(name)}/reconcile`;
  const asked = { method: "POST", path, deadlineMs: reconcileDeadlineMs } as const;
  return await askJson(target, asked, reconcileReply, signal);
}

/** The nodes; with a generation, held for `waitS` seconds until every live one has acknowledged it. */
export async function fetchNodes(
  target: RegistryTarget,
  query: { readonly generation?: number; readonly waitS?: number } = {},
  signal?: AbortSignal,
): Promise<NodesReply> {
  const path = `/api/nodes${search({ generation: query.generation, wait: query.waitS })}`;
  const asked = { method: "GET", path, deadlineMs: deadlineMs + holdMs(query.waitS) } as const;
  return await askJson(target, asked, nodesReply, signal);
}

/**
 * Asks, and reads the answer.
 * @throws RegistryUnreachableError, RegistryDeniedError, RegistryProblemError, the signal's reason
 */
export async function askJson<T>(
  target: RegistryTarget,
  asked: Call,
  shape: { readonly parse: (value: unknown) => T },
  signal?: AbortSignal,
): Promise<T> {
  const body = await askBody(target, asked, signal);
  try {
    return shape.parse(JSON.parse(body.toString("utf8")));
  } catch (cause) {
    const told = { status: 200, title: "the reply is none of a registry" };
    throw new RegistryProblemError("ERR_REGISTRY_REPLY", triedWords(target, asked), told, cause);
  }
}

/**
 * Asks. @returns the body of the answer, which is JSON by its own account
 * @throws RegistryUnreachableError, RegistryDeniedError, RegistryProblemError, the signal's reason
 */
export async function askBody(
  target: RegistryTarget,
  asked: Call,
  signal?: AbortSignal,
): Promise<Buffer> {
  const tried = triedWords(target, asked);
  let answer: Answer;
  try {
    const work = (inner: AbortSignal): Promise<Answer> => exchange(target, asked, inner);
    answer = await withDeadline(tried, asked.deadlineMs, work, signal);
  } catch (cause) {
    signal?.throwIfAborted();
    throw new RegistryUnreachableError(tried, faultWords(cause), cause);
  }
  const isGood = answer.status >= 200 && answer.status < 300;
  if (isGood && isJson(answer.contentType)) return answer.body;
  const told = isJson(answer.contentType) ? toldIn(answer) : undefined;
  if (told === undefined) {
    const words = `${answer.status} and no JSON: this is no registry, or something before one`;
    const none = { status: answer.status, title: words };
    throw new RegistryProblemError("ERR_REGISTRY_REPLY", tried, none);
  }
  if (told.status === 401 || told.status === 403) throw new RegistryDeniedError(tried, told);
  throw new RegistryProblemError(codeOf(told.status), tried, told);
}

function codeOf(status: number): RegistryProblemCode {
  if (status === 409) return "ERR_REGISTRY_CONFLICT";
  return status >= 500 ? "ERR_REGISTRY_UNAVAILABLE" : "ERR_REGISTRY_REQUEST";
}

function wordsOf({ title, detail }: Problem): string {
  return detail === undefined ? title : detail;
}

function toldIn({ status, body }: Answer): Problem | undefined {
  try {
    const told = problem.parse(JSON.parse(body.toString("utf8")));
    return { ...told, status };
  } catch {
    return undefined;
  }
}

const isJson = (contentType: string): boolean =>
  /^application\/([a-z]+\+)?json\b/.test(contentType);

function triedWords({ url }: RegistryTarget, { method, path }: Asked): string {
  return `${method} ${baseUrl(url).origin}${path.split("?")[0] ?? path}`;
}
