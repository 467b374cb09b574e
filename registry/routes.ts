/**
 * What a route of the registry is, and what all of them are given. The tables are in routes-agent.ts
 * (the published contract of the DNS plane), routes-clusters.ts and routes-state.ts; app.ts puts them
 * on express.
 */
import type { ServerResponse } from "node:http";
import type { Clock } from "../kit/clock.ts";
import type { Logger } from "../kit/logger.ts";
import type { Turns } from "../kit/turns.ts";
import type { Hearing } from "./hearing.ts";
import { invalid } from "./problem.ts";
import type { Polls } from "./polls.ts";
import type { RegistryStore } from "./store/store.ts";
import type { Tokens } from "./tokens.ts";
import type { ZoneView } from "./zone-view.ts";

/** The parts of one process that its routes work with. */
export interface RegistryParts {
  readonly store: RegistryStore;
  /** The zone's name, such as temps.local. */
  readonly zoneName: string;
  readonly zone: ZoneView;
  readonly polls: Polls;
  readonly hearing: Hearing;
  readonly tokens: Tokens;
  /** Requests that wait for acknowledgements take a turn each; there are some, and no queue. */
  readonly waiters: Turns;
  readonly clock: Clock;
  readonly logger: Logger;
  /** True while this process looks at the clusters' roles. */
  readonly reconciles: () => boolean;
}

/** A request, as far as routes look at it. */
export interface Asked {
  /** The words of the path that stand for names. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, unknown>>;
  /** Parsed JSON; undefined without one. */
  readonly body: unknown;
  readonly authorization: string | undefined;
  /** Aborts when the asker hangs up. */
  readonly signal: () => AbortSignal;
  readonly response: ServerResponse;
}

/** Sent as JSON; undefined: the route has answered by itself, or will. */
export interface Told {
  readonly status: number;
  readonly body: object;
}

export interface RouteRow {
  readonly method: "get" | "post" | "put" | "delete";
  /** As express has it. */
  readonly path: string;
  /** admin: needs an admin token; node: the token of the node in the path, `node_id`. */
  readonly who: "admin" | "node";
  readonly answer: (asked: Asked, parts: RegistryParts) => Promise<Told | undefined>;
}

/** A word of the path that is a whole number from 1. @throws RequestProblemError 400 */
export function idIn(asked: Asked, name: string): number {
  const text = asked.params[name] ?? "";
  if (/^[1-9][0-9]{0,14}$/.test(text)) return Number(text);
  throw invalid(
    `${name}: expected a whole number from 1; got ${JSON.stringify(text.slice(0, 40))}`,
  );
}

/** A word of the path. */
export function nameIn(asked: Asked, name: string): string {
  return asked.params[name] ?? "";
}
