/**
 * What the keeper of one router holds and tells: its options, its memory from look to look, and the
 * lines for an operator, of which none is said twice in a row.
 */
import type { Clock } from "../../../kit/clock.ts";
import type { FleetRouter } from "../../haproxy/runtime/fleet.ts";
import type { ServerName, ServerView } from "../../haproxy/runtime/servers.ts";
import type { BackendPlan, Deed } from "./server-orders.ts";
import type { Memory, Notice, Wanted } from "./servers.ts";

/** Something that happened at a router, for an operator to read. */
export interface RouterEvent {
  readonly router: string;
  readonly backend?: string;
  readonly server?: string;
  readonly event:
    | Deed
    | Notice["what"]
    | "router"
    | "worker"
    | "section"
    | "failed"
    | "state"
    | "empty";
  readonly says: string;
}

export interface KeeperOptions {
  readonly router: FleetRouter;
  readonly backends: readonly BackendPlan[];
  /** What is wanted of a backend now. */
  readonly wanted: (backend: string) => Wanted;
  /** Hears of a server whose checks have just found it down. */
  readonly down: (server: ServerView) => void;
  /** The deadline of each exchange with the router; ms. */
  readonly deadlineMs: number;
  /** The pace of looks; ms. */
  readonly everyMs: number;
  readonly tell: (event: RouterEvent) => void;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

export interface BackendState {
  readonly name: string;
  /** The router's configuration has a section for it. */
  readonly hasSection: boolean;
  /** Every server that is wanted is there, and none is told anything still. */
  readonly isInStep: boolean;
  readonly servers: readonly ServerView[];
  /** Clients that wait for a server. */
  readonly waiting: number;
}

export interface RouterState {
  readonly router: string;
  /** When it was looked at last with an answer, ms since the epoch; undefined: never. */
  readonly seenAtMs: number | undefined;
  /** Why the last look had none. */
  readonly error: Error | undefined;
  readonly pid: number | undefined;
  readonly version: string | undefined;
  readonly backends: readonly BackendState[];
}

export interface Keeping extends KeeperOptions {
  readonly clock: Clock;
  /** By backend. */
  readonly memories: Map<string, Memory>;
  /** What was complained of last, by what it is about: nothing is said twice in a row. */
  readonly said: Map<string, string>;
  /** Something has changed since the round began: what can wait waits. */
  isWanted: boolean;
  /** A line of many orders was refused: each goes alone until it is known which is at fault. */
  isOneByOne: boolean;
  state: RouterState;
}

type Said = Omit<RouterEvent, "router">;

/** Tells that something happened at the router. */
export function tell(keeping: Keeping, event: Said): void {
  keeping.tell({ router: keeping.router.name, ...event });
}

/** Tells it unless it was the last that was said of what it is `about`. */
export function sayOnce(keeping: Keeping, about: string, event: Said): void {
  if (keeping.said.get(about) === event.says) return;
  keeping.said.set(about, event.says);
  tell(keeping, event);
}

/** What an order about a server goes by among what was said. */
export function orderKey({ backend, server }: ServerName): string {
  return `order ${backend}/${server}`;
}
