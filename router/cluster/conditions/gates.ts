/** Conditions about the pool-gates beside the edge poolers: whether a flip can hold their clients. */
import { ageInWords } from "../../../config/units.ts";
import type { GateStatus } from "../../../sidecars/pool-gate/contract.ts";
import { valueOf } from "../view.ts";
import type { EdgePoolerView } from "../view.ts";
import type { Condition } from "./condition.ts";

/** A condition over each edge pooler whose gate answered. */
function eachGate(look: (gate: GateStatus) => string | undefined): Condition {
  return (view) =>
    view.edgePoolers.flatMap(({ name, gate }) => {
      const status = gate === null ? null : valueOf(gate);
      const says = status === null ? undefined : look(status);
      return says === undefined ? [] : [{ part: name, says }];
    });
}

/**
 * A gate does not answer, does not take the token, or does not reach its PgBouncer though that
 * answers others.
 */
export const gateUnreachable: Condition = (view) =>
  view.edgePoolers.flatMap(({ name, gate, pooler }) => {
    if (gate?.state === "unreachable") return [{ part: name, says: gate.error }];
    const status = gate === null ? null : valueOf(gate);
    const isCutOff = status?.state === "unreachable" && pooler.state === "known";
    return isCutOff ? [{ part: name, says: status.reason }] : [];
  });

/** A lease holds clients now. */
export const gatePaused: Condition = eachGate((gate) => {
  if (gate.state !== "paused" && gate.state !== "pausing") return undefined;
  const who = gate.holder ?? "a lease that has ended";
  const end =
    gate.expiresInMs === null
      ? ""
      : `, for another ${ageInWords(Math.ceil(gate.expiresInMs / 1000))} unless it is renewed`;
  return `${gate.databases.join(", ")} ${gate.state === "paused" ? "held" : "being paused"} by ${who}${end}; ${gate.waitingClients} clients wait`;
});

/** Somebody paused at PgBouncer's console, past the gate. */
export const gateForeignPause: Condition = eachGate((gate) =>
  gate.state === "foreign" ? gate.reason : undefined,
);

/** Pooled by transaction, and nobody there to hold its clients. */
export const edgePoolerWithoutGate: Condition = (view) =>
  view.edgePoolers.flatMap(({ name, declared, gate }) =>
    gate === null && declared.poolMode === "transaction"
      ? [{ part: name, says: "no gate is declared for it" }]
      : [],
  );

/** True when the gate's own lease has paused `database`: that is reported as the lease's. */
export function isHeldByGate({ gate }: Pick<EdgePoolerView, "gate">, database: string): boolean {
  const status = gate === null ? null : valueOf(gate);
  const holds = status?.state === "paused" || status?.state === "pausing";
  return holds && status.databases.includes(database);
}
