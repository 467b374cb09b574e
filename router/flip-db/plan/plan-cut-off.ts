/**
 * What of the app hosts a flip can do without: routers and gates that are cut off. The old primary
 * is stopped before the new one is promoted, so a router that hears nothing of it leads nobody to
 * two writers; its own checks find the new primary once it is back.
 */
import type { FlipObservation, GateSeen, RouterSeen } from "../observation.ts";
import type { FlipRequest } from "./plan-request.ts";

/** The risks by whose names the operator lets routers, or gates with their poolers, go. */
export const cutOffRisks = { routers: "routers", gates: "edge-poolers" } as const;

/** How a router is named among what is left out. */
export function routerWord({ name }: Pick<RouterSeen, "name">): string {
  return `router ${name}`;
}

/** How a gate is named among what is left out. */
export function gateWord({ name }: Pick<GateSeen, "name">): string {
  return `gate ${name}`;
}

/**
 * What is to be left out: routers that do not answer, or see no member at all, and gates that do
 * not answer; none of a sort whose risk is not accepted.
 */
export function cutOff(
  { routers, gates }: FlipObservation,
  { acceptedRisks = [] }: FlipRequest,
): readonly string[] {
  const isBlind = ({ reached, up, passing }: RouterSeen): boolean =>
    !reached || (up.length === 0 && passing.length === 0);
  return [
    ...(acceptedRisks.includes(cutOffRisks.routers) ? routers.filter(isBlind).map(routerWord) : []),
    ...(acceptedRisks.includes(cutOffRisks.gates)
      ? gates.filter((one) => !one.reached).map(gateWord)
      : []),
  ];
}
