/**
 * What a driver does for a lab: it makes the parts, tells how they are, and breaks and mends them.
 * Everything above (names, state, locks, verbs, the wait until a lab is whole) is the same for all.
 */
import type { Environment } from "../../config/schema.ts";
import type { Address } from "../../kit/address.ts";
import type { DriverKind } from "../addresses.ts";
import type { ClusterKind, LabModel, Part, PartKind } from "../model.ts";
import type { LabPlace } from "../place.ts";
import type { LabSecrets } from "../secrets.ts";
import type { LabState } from "../state.ts";

export type PartState = "running" | "stopped" | "frozen" | "crashed";

export interface PartStatus {
  readonly part: string;
  readonly state: PartState;
  /** Its main process, as this machine counts; null when there is none. */
  readonly pid: number | null;
  readonly address: Address;
}

/** A lab that is being made. */
export interface Making {
  readonly model: LabModel;
  readonly place: LabPlace;
  readonly secrets: LabSecrets;
  /** The folder with the lab's environment file. */
  readonly configFolder: string;
  readonly signal: AbortSignal;
  /** Gets a line for each thing that is done. */
  readonly note: (line: string) => void;
}

/** The main process of each part, as lab.json keeps them; none where another keeps them. */
export type MainProcesses = LabState["processes"];

/** What a driver alone knows of a lab's environment file. */
export interface EnvironmentKeys {
  /** Keys of the file itself. */
  readonly whole: object;
  member(name: string): object;
  router(name: string): { readonly runtime: string };
  /** Of the edge pooler on the app host `host`. */
  edgePooler(host: string): object;
}

export interface PrepareOptions {
  readonly cluster: ClusterKind;
  readonly note: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface LabDriver {
  readonly kind: DriverKind;
  /**
   * Sees to it that this machine has what parts are made from.
   * @throws LabUnavailableError saying what is missing and how to get it
   */
  prepare(options: PrepareOptions): Promise<void>;
  /**
   * Nothing that is there already may be taken for the lab's, wherever that comes to stand.
   * @throws LabUnavailableError naming it, and what to do
   */
  checkNames(model: LabModel): Promise<void>;
  /** @throws LabUnavailableError when something has a place of the lab already */
  checkPlace(model: LabModel): Promise<void>;
  environmentKeys(model: LabModel): Promise<EnvironmentKeys>;
  /** Makes and starts all parts of a lab whose environment file is written; each answers then. */
  make(making: Making, environment: Environment): Promise<MainProcesses>;
  /** Ends everything of the lab called `name`, whatever is left; true when there was something. */
  destroy(name: string, state: LabState | undefined): Promise<boolean>;

  states(model: LabModel, state: LabState): Promise<PartStatus[]>;
  /** Stops one part in good order; resolves when it has ended. */
  stop(model: LabModel, part: Part, signal: AbortSignal): Promise<void>;
  /** Ends parts at once; they stay down. */
  kill(model: LabModel, parts: readonly Part[]): Promise<void>;
  /** Starts parts of which nothing runs; does not wait until they answer. */
  start(model: LabModel, state: LabState, parts: readonly Part[]): Promise<MainProcesses>;
  /** @throws PartError when a started part ends, or does not answer in time */
  awaitPart(model: LabModel, part: Part, signal: AbortSignal): Promise<void>;
  freeze(model: LabModel, parts: readonly Part[]): Promise<void>;
  thaw(model: LabModel, parts: readonly Part[]): Promise<void>;

  /** False when they are cut off already. @throws CutError */
  cut(model: LabModel, one: string, other: string): Promise<boolean>;
  /** False when there is no such cut. @throws CutError */
  heal(model: LabModel, one: string, other: string): Promise<boolean>;
  cuts(model: LabModel): Promise<[string, string][]>;

  /** Lets go of what it keeps open. */
  close(): void;
}

/** A part could not be started or stopped. */
export class PartError extends Error {
  override readonly name = "PartError";
  readonly code = "ERR_LAB_PART";
  readonly part: string;
  constructor(part: string, message: string, cause?: unknown) {
    super(`${part}: ${message}`, { cause });
    this.part = part;
  }
}

// Fast shutdown for Postgres and for a keeper, which stops its Postgres so; HAProxy would wait for its clients on a softer one. PgBouncer 1.23 and
// newer waits for its clients too, until it is told a second time.
const stopSignals: Readonly<Record<PartKind, NodeJS.Signals>> = {
  postgres: "SIGINT",
  pooler: "SIGTERM",
  edge: "SIGTERM",
  router: "SIGTERM",
  health: "SIGTERM",
  gate: "SIGTERM",
  monitor: "SIGINT",
  registry: "SIGTERM",
  resolver: "SIGTERM",
};

/** How a part is asked to stop in good order, and whether it has to be asked until it is gone. */
export function stopOrder(kind: PartKind): { signal: NodeJS.Signals; again: boolean } {
  return { signal: stopSignals[kind], again: kind === "pooler" || kind === "edge" };
}

/** The line of a part's output that says best why it ended. */
export function tellingLine(output: string): string {
  const lines = output.trimEnd().split("\n").slice(-20);
  const telling = lines.findLast((line) => /fatal|alert|error|panic/i.test(line));
  const line = telling ?? lines.at(-1) ?? "";
  return line === "" ? "it printed nothing" : line.trim();
}

// A fast shutdown waits for the checkpoint and for walsenders, up to wal_sender_timeout (60 s).
export const stopDeadlineMs = 90_000;
export const startDeadlineMs = 60_000;

/**
 * As Promise.all, but it waits for all of them also when one has failed: what is cleared away then
 * must not be made meanwhile.
 */
export async function settled<const T extends readonly unknown[]>(
  work: T,
): Promise<{ -readonly [index in keyof T]: Awaited<T[index]> }> {
  await Promise.allSettled(work);
  return await Promise.all(work);
}
