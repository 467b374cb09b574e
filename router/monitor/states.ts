/**
 * What the states of pg_auto_failover mean: who takes writes, who answers reads, who rests. Its
 * documentation, "Failover State Machine"; its source, CanTakeWritesInState in node_metadata.c. Pure.
 */

/** The states in which a node takes writes. */
const writable: ReadonlySet<string> = new Set([
  "single",
  "wait_primary",
  "primary",
  "join_primary",
  "apply_settings",
]);

/**
 * The states in which a node answers reads of this cluster's data: as a standby, or on its way through
 * a failover. A node that catches up may be copying its data directory.
 */
const readable: ReadonlySet<string> = new Set([
  "secondary",
  "prepare_promotion",
  "stop_replication",
  "report_lsn",
  "fast_forward",
  "join_secondary",
]);

const maintenance: ReadonlySet<string> = new Set([
  "prepare_maintenance",
  "wait_maintenance",
  "maintenance",
]);

/** States in which a node stays while all is well. */
const rest: ReadonlySet<string> = new Set(["single", "primary", "secondary"]);

const words: Readonly<Record<string, string>> = {
  init: "is being set up",
  wait_standby: "waits to be made a standby",
  catchingup: "is catching up",
  draining: "is giving up writes",
  demote_timeout: "is giving up writes",
  demoted: "has given up writes",
  prepare_maintenance: "is going into maintenance",
  wait_maintenance: "is going into maintenance",
  maintenance: "is in maintenance",
  dropped: "has been dropped",
};

/** True where a node in this state takes writes. */
export function takesWrites(state: string): boolean {
  return writable.has(state);
}

/** True where a node in this state answers reads. */
export function takesReads(state: string): boolean {
  return readable.has(state);
}

/** True where a node in this state takes no part for now, or is about to. */
export function isMaintenance(state: string): boolean {
  return maintenance.has(state);
}

/** True for a state in which a node of a whole cluster stays. */
export function isRest(state: string): boolean {
  return rest.has(state);
}

/** A state in words, such as "is catching up"; of a state that nobody here knows, that it is in it. */
export function inWords(state: string): string {
  return words[state] ?? `is in state ${state}`;
}
