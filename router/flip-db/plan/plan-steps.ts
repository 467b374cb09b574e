/** Which steps a flip has, in their order, by what kind of flip it is. */
import type { FlipPlan } from "../flip-actions.ts";

type Kind = Pick<FlipPlan, "mode" | "synchronous" | "cause"> & Partial<Pick<FlipPlan, "names">>;

/** Before the rest, where the new primary is found down. */
export const startNewFirst: readonly string[] = ["await-new-end", "start-new"];

/** From a primary that writes to the end. */
export function wholeSteps(kind: Kind): readonly string[] {
  const gate = kind.mode === "seamless" ? ["hold"] : [];
  const before = ["record", "checkpoint", "slot", "warm", "arm", ...gate, "divert", "stop"];
  return [...before, "prove", "promote", ...finishAfter(kind)];
}

/** Where clients must wait for the standby that is to confirm their commits. */
const early = {
  none: [],
  wait: ["await-end-briefly", "stream-first"],
  relax: ["await-end-briefly", "stream-briefly", "relax"],
} as const;

/** From the proof that the new primary takes writes to the end; `again`: what the old one comes back by. */
function leadOver(names: FlipPlan["names"], again: readonly string[]): readonly string[] {
  const follow = names === "none" ? [] : ["names"];
  return ["reconnect", "route", "release", ...follow, "sweep", ...again, "settle", "close"];
}

/** With a monitor: what is done around the change, which it makes itself. */
export function monitoredSteps(
  kind: Pick<FlipPlan, "mode" | "cause" | "names">,
): readonly string[] {
  const gate = kind.mode === "seamless" ? ["hold"] : [];
  const before = kind.cause === "lost" ? [] : ["record", "warm", ...gate];
  return [...before, "ask", ...monitoredAfter(kind)];
}

/** The same once the monitor has been asked. */
export function monitoredAfter({
  cause,
  names,
}: Pick<FlipPlan, "cause" | "names">): readonly string[] {
  const again = cause === "lost" ? [] : ["follow", "reconnect-old"];
  const change = cause === "lost" ? "await-failover" : "switch";
  return [change, "verify-new", "compare", ...leadOver(names, again)];
}

/** After the promotion. A lost primary is not started again: fence and rebuild-standby see to it. */
export function finishAfter({ synchronous, cause, names = "none" }: Kind): readonly string[] {
  const isLost = cause === "lost";
  const lostRelax = synchronous === "relax" ? ["relax"] : [];
  const first = isLost ? lostRelax : early[synchronous];
  const again = isLost ? [] : ["await-end", "rejoin", "reconnect-old"];
  return ["verify", ...first, ...leadOver(names, again)];
}
