/**
 * One request to a Docker Engine: under a deadline, ended by a signal, its failures as EngineError.
 * dockerode's modem carries it (HTTP, hijacked connections); its requests are put here, since its
 * own calls repeat a whole container specification in the URL. The path names no version: an engine
 * then answers by its newest, and engines differ in which old ones they still know.
 */
import type { Duplex, Readable } from "node:stream";
import { withDeadline } from "./clock.ts";
import { engineError } from "./docker-errors.ts";

export interface EngineRequest {
  /** For messages, such as "inspect container x". */
  readonly tried: string;
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: object;
  /** A tar archive as the body. */
  readonly archive?: Buffer;
  /** Statuses of an answer that is no failure and says nothing. */
  readonly fine?: readonly number[];
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A way to one engine. Everything it throws is an EngineError, or the reason of the signal. */
export interface EngineWay {
  /** For messages. */
  readonly url: string;
  /** The answer as JSON (a Buffer when it is none); undefined for a status of `fine`. */
  ask(request: EngineRequest): Promise<unknown>;
  /** The answer as it comes. */
  read(request: EngineRequest): Promise<Readable | undefined>;
  /** The connection itself, once the engine has handed it over. */
  hijack(request: EngineRequest): Promise<Duplex>;
}

/** What is used of docker-modem (its dial). */
export interface Modem {
  dial(options: object, callback: (error: unknown, answer: unknown) => void): void;
}

const usualDeadlineMs = 30_000;
const good = { 200: true, 201: true, 202: true, 204: true } as const;

/** A way over the modem that `load` gives, which is called when the first request is put. */
export function engineWay(url: string, load: () => Promise<Modem>): EngineWay {
  const put = async (request: EngineRequest, how: object): Promise<unknown> => {
    const { tried, fine = [], deadlineMs = usualDeadlineMs, signal } = request;
    try {
      return await withDeadline(
        tried,
        deadlineMs,
        async (inner) => await dial(await load(), request, { ...how, abortSignal: inner }),
        signal,
      );
    } catch (cause) {
      signal?.throwIfAborted();
      if (fine.includes((cause as { statusCode?: number }).statusCode ?? 0)) return undefined;
      throw engineError(tried, url, cause);
    }
  };
  return {
    url,
    ask: (request) => put(request, {}),
    read: async (request) => (await put(request, { isStream: true })) as Readable | undefined,
    hijack: async (request) => (await put(request, { isStream: true, hijack: true })) as Duplex,
  };
}

function dial(modem: Modem, request: EngineRequest, how: object): Promise<unknown> {
  const { method, path, query = {}, body, archive } = request;
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  modem.dial(
    {
      ...how,
      method,
      path: `${path}?`,
      options: { _query: query, _body: body ?? {} },
      statusCodes: good,
      // An empty file is an empty body: a chunked one would reach the program as input.
      ...(archive === undefined && body !== undefined ? {} : { file: archive ?? noBody(method) }),
    },
    (error, answer) => {
      if (error === null || error === undefined) resolve(answer);
      else reject(error instanceof Error ? error : new TypeError("docker-modem said nothing"));
    },
  );
  return promise;
}

function noBody(method: EngineRequest["method"]): Buffer | undefined {
  return method === "POST" ? Buffer.alloc(0) : undefined;
}
