/** Conditions about the monitor of pg_auto_failover that runs the cluster. */
import { isAtRest, isInMaintenance, nodeOf, stateWords, whyUnsound } from "../../monitor/nodes.ts";
import { valueOf } from "../view.ts";
import type { Condition } from "./condition.ts";

/** The monitor does not answer. */
export const monitorUnreachable: Condition = ({ monitor }) =>
  monitor?.state === "unreachable" ? [{ part: "monitor", says: monitor.error }] : [];

/** A member is not known to it, is not sound, or is not in a state to stay in. */
export const monitorUnsettled: Condition = ({ monitor, members }) => {
  const nodes = monitor === null ? null : valueOf(monitor);
  if (nodes === null) return [];
  return members.flatMap(({ name }) => {
    const node = nodeOf(nodes, name);
    if (node === undefined) return [{ part: name, says: "the monitor knows no node of this name" }];
    if (isInMaintenance(node))
      return [{ part: name, says: `is ${stateWords(node)} to the monitor` }];
    const why = whyUnsound(node);
    if (why !== undefined) return [{ part: name, says: why }];
    return isAtRest(node) ? [] : [{ part: name, says: `is ${stateWords(node)}, to the monitor` }];
  });
};
