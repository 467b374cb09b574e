/** What the planner is asked, and the words that all of its parts use. */
import type { Environment } from "../../../config/schema.ts";
import { isMonitored } from "../../cluster/managers.ts";
import { unfinished } from "../../operation/records.ts";
import type { OperationState } from "../../operation/records.ts";
import type { FlipGoal, FlipPlan } from "../flip-actions.ts";
import type { FlipObservation } from "../observation.ts";
import { memberOf } from "../proof.ts";

export interface FlipRequest {
  readonly goal: FlipGoal;
  /** Signs this run; new for every start of the tool. */
  readonly run: string;
  /** The id of a new flip, or of the one to resume or abort. */
  readonly operationId?: string;
  readonly to?: string;
  readonly mode: "seamless" | "fast";
  /** The environment, for the commands that refusals name. */
  readonly environment: string;
  /** All members, by name. */
  readonly members: readonly string[];
  /** flip.synchronous of the environment. */
  readonly synchronous?: "wait" | "relax";
  /** The cluster has names, which a flip has to move: a registry is declared. */
  readonly hasNames?: boolean;
  /** The monitor is asked for the change: one is declared, and it runs the members. */
  readonly manager?: FlipPlan["manager"];
  /** Names of risks that the operator accepts: what is cut off may then be left out. */
  readonly acceptedRisks?: readonly string[];
  /** failover: the operator has typed that the old primary is dead. */
  readonly operatorSaysDead?: boolean;
}

/** What the operator asked for, as far as the planner is concerned. */
export interface FlipWish {
  readonly goal: FlipGoal;
  /** The flip to resume or abort; undefined for the newest unfinished one. */
  readonly operationId: string | undefined;
  readonly to: string | undefined;
  readonly acceptedRisks: readonly string[];
  /** failover: the operator has typed the name of the old primary. */
  readonly operatorSaysDead?: boolean;
}

/** What a run of the tool adds to a wish. */
export interface FlipRun {
  /** Of a new flip. */
  readonly operationId: string;
  readonly run: string;
  readonly mode: FlipRequest["mode"];
  /** All operations that the journals tell of. */
  readonly states: readonly OperationState[];
}

/** The request for a wish of the operator. */
export function requestFor(
  environment: Environment,
  wish: FlipWish,
  { operationId, run, mode, states }: FlipRun,
): FlipRequest {
  const { name, members, flip } = environment;
  const { goal, to, acceptedRisks, operatorSaysDead = false } = wish;
  const isNew = goal === "flip" || goal === "failover";
  const id = isNew ? operationId : (wish.operationId ?? unfinished(states)?.operationId);
  return {
    goal,
    run,
    mode,
    environment: name,
    members: members.map((one) => one.name),
    synchronous: flip.synchronous,
    hasNames: environment.registry !== undefined,
    manager: isMonitored(environment) ? "pg_auto_failover" : "none",
    operatorSaysDead,
    acceptedRisks,
    ...(id === undefined ? {} : { operationId: id }),
    ...(to === undefined ? {} : { to }),
  };
}

export interface Refusal {
  readonly refused: string;
  /** What stands against it ends by itself soon: a lease of a run that died. */
  readonly passing?: boolean;
}

/** What a plan is made of before its steps are known. */
export type Base = Omit<FlipPlan, "goal" | "crossed" | "steps">;

/** The whole command line of `recovery`, for the operator to copy. */
export function commandFor({ environment }: FlipRequest, words: string): string {
  return `bin/recovery ${environment} ${words}`;
}

/** The risk by whose name the operator lets the names stay behind. */
export const namesRisk = "names";

/** Whether a flip waits for the names. */
export function namesWish({ hasNames, acceptedRisks = [] }: FlipRequest): FlipPlan["names"] {
  if (hasNames !== true) return "none";
  return acceptedRisks.includes(namesRisk) ? "try" : "wait";
}

/** Whether the new primary will ask for a standby's confirmation, and what clients then do. */
export function synchronousOf(
  seen: FlipObservation,
  request: FlipRequest,
  to: string,
): FlipPlan["synchronous"] {
  const { synchronousNames } = memberOf(seen, to);
  return synchronousNames === null || synchronousNames === ""
    ? "none"
    : (request.synchronous ?? "wait");
}
