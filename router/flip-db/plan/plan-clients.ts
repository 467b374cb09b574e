/**
 * Whether the parts between the clients and the members can take part in a flip: the routers that
 * lead them, and the gates that hold them. Pure.
 */
import type { FlipObservation } from "../observation.ts";
import { gateWord, routerWord } from "./plan-cut-off.ts";
import { commandFor } from "./plan-request.ts";
import type { Base, FlipRequest } from "./plan-request.ts";

/** A router, or a gate, that does not answer and is not let go. */
export function whyNotReachable(
  seen: FlipObservation,
  base: Base,
  request: FlipRequest,
): string | undefined {
  const topology = commandFor(request, "topology");
  const routers = seen.routers.filter((one) => !base.leftOut.includes(routerWord(one)));
  const silentRouters = routers.filter((one) => !one.reached);
  if (silentRouters.length > 0) {
    const without = commandFor(request, "flip-db --accept-risk=routers");
    return `${doNotAnswer("router", silentRouters)}: ${topology}, or to go without ${without}`;
  }
  if (base.mode === "fast") return undefined;
  const fast = commandFor(request, "flip-db --mode fast");
  const gates = seen.gates.filter((one) => !base.leftOut.includes(gateWord(one)));
  const silentGates = gates.filter((one) => !one.reached);
  if (silentGates.length > 0) {
    const without = commandFor(request, "flip-db --accept-risk=edge-poolers");
    return `${doNotAnswer("gate", silentGates)}: ${fast}, or to go without ${without}`;
  }
  return gates.length === 0 ? `no gate holds the clients: ${fast}` : undefined;
}

/** Such as `gates app-01-edge, app-02-edge do not answer`. */
function doNotAnswer(
  part: "router" | "gate",
  silent: readonly { readonly name: string }[],
): string {
  const names = silent.map(({ name }) => name).join(", ");
  return silent.length === 1
    ? `${part} ${names} does not answer`
    : `${part}s ${names} do not answer`;
}

/** A gate that somebody holds already, until the lease ends. */
export function whyHeld(
  seen: FlipObservation,
  base: Base,
  request: FlipRequest,
): string | undefined {
  if (base.mode === "fast") return undefined;
  const gates = seen.gates.filter((one) => !base.leftOut.includes(gateWord(one)));
  const paused = gates.find((one) => one.pausedBy !== null);
  if (paused === undefined) return undefined;
  const ends = `until its lease ends${againWhen(gates)}`;
  return `gate ${paused.name} is paused by ${paused.pausedBy} ${ends}: ${commandFor(request, "topology")}`;
}

/** When every lease has ended unless somebody renews it; nothing where one does not say when. */
function againWhen(gates: FlipObservation["gates"]): string {
  const paused = gates.filter((one) => one.pausedBy !== null);
  const left = paused.map((one) => one.endsInMs ?? Infinity);
  const seconds = Math.ceil(Math.max(...left) / 1000);
  return Number.isFinite(seconds) ? `; run this again in ${Math.max(1, seconds)} s, or see` : "";
}
