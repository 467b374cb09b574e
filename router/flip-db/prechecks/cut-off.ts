/** Which routers and edge poolers are cut off, and the facts without those that the operator lets go. */
import type { EdgePoolerView, RouterView } from "../../cluster/view.ts";
import { cutOffRisks } from "../plan/plan-cut-off.ts";
import type { PrecheckFacts } from "./facts.ts";

/** Why a router is cut off: it does not answer, or none of its own checks reaches a member. */
export function whyRouterCutOff({ name, runtime, write }: RouterView): string | undefined {
  if (runtime.state === "unreachable") return `${name}: ${runtime.error}`;
  const isBlind = write.length > 0 && write.every((one) => one.state === "down");
  return isBlind ? `${name} sees no member: its checks fail for all of them` : undefined;
}

function isEdgeCutOff(
  { gates }: PrecheckFacts,
  { name, declared, pooler }: EdgePoolerView,
): boolean {
  if (declared.gate === undefined) return pooler.state === "unreachable";
  const gate = gates[name];
  return gate?.state !== "known" || gate.value.state === "unreachable";
}

/** The facts without what is cut off, for each sort whose risk is accepted. */
export function withoutCutOff(
  facts: PrecheckFacts,
  acceptedRisks: readonly string[],
): PrecheckFacts {
  const { routers, edgePoolers } = facts.view;
  const view = {
    ...facts.view,
    routers: acceptedRisks.includes(cutOffRisks.routers)
      ? routers.filter((one) => whyRouterCutOff(one) === undefined)
      : routers,
    edgePoolers: acceptedRisks.includes(cutOffRisks.gates)
      ? edgePoolers.filter((one) => !isEdgeCutOff(facts, one))
      : edgePoolers,
  };
  return { ...facts, view };
}
