/**
 * What an unfinished flip is about: from its journal, or, where no journal is at hand, from the
 * traces that it left on the members.
 */
import { parseSignature } from "../../member/signature.ts";
import type { Signature } from "../../member/signature.ts";
import type { OperationState } from "../../operation/records.ts";
import type { FlipObservation } from "../observation.ts";
import { commandFor, namesWish, synchronousOf } from "./plan-request.ts";
import type { Base, FlipRequest, Refusal } from "./plan-request.ts";
import { memberOf } from "../proof.ts";

/** From the intent in a journal. */
export function fromIntent(open: OperationState, request: FlipRequest): Base | Refusal {
  const { intent, operationId } = open;
  const history = commandFor(request, "history");
  if (intent === null) {
    return { refused: `the intent of flip ${operationId} is not known: ${history}` };
  }
  const text = (key: string): string => String(intent[key] ?? "");
  const [from, to] = [text("from"), text("to")];
  if (!request.members.includes(from) || !request.members.includes(to)) {
    const now = request.members.join(" and ");
    return { refused: `flip ${operationId} is between ${from} and ${to}, not ${now}: ${history}` };
  }
  const synchronous = text("synchronous");
  return {
    operationId,
    run: request.run,
    asked: request.goal,
    from,
    to,
    mode: intent["mode"] === "seamless" ? "seamless" : "fast",
    cause: intent["cause"] === "lost" ? "lost" : "planned",
    operatorSaysDead: intent["operatorSaysDead"] === true,
    synchronous: synchronous === "wait" || synchronous === "relax" ? synchronous : "none",
    names: intent["names"] === "try" && request.hasNames === true ? "try" : namesWish(request),
    manager: intent["manager"] === "pg_auto_failover" ? "pg_auto_failover" : "none",
    timeline: Number(intent["timeline"]),
    systemIdentifier: text("systemIdentifier"),
    hadSlot: intent["hadSlot"] === true,
    leftOut: text("leftOut")
      .split(", ")
      .filter((one) => one !== ""),
    loss: text("loss") || "none",
  };
}

/**
 * From the signature with which a flip armed its old primary. One of a flip that was finished names
 * an older timeline than its member is on now, and is passed over.
 */
export function fromTraces(seen: FlipObservation, request: FlipRequest): Base | Refusal {
  const { members, operationId } = request;
  const signed = members.flatMap((name) => signatureOn(seen, name) ?? []);
  const [begun] = signed.filter(
    (one) => operationId === undefined || one.operationId === operationId,
  );
  if (begun === undefined || signed.length > 1) return { refused: nothingKnown(seen, request) };
  return {
    ...begun,
    run: request.run,
    asked: request.goal,
    mode: request.mode,
    cause: "planned",
    operatorSaysDead: false,
    synchronous: synchronousOf(seen, request, begun.to),
    names: namesWish(request),
    manager: "none",
    // Not known: a slot too many is bounded, one too few lets WAL go that is still needed.
    hadSlot: true,
    leftOut: [],
    loss: "none",
  };
}

function signatureOn(seen: FlipObservation, name: string): Signature | undefined {
  const { armed, control, timeline } = memberOf(seen, name);
  if (armed === null || armed === "unknown" || control === null) return undefined;
  const one = parseSignature(armed.by);
  const isCurrent =
    one !== undefined &&
    one.from === name &&
    one.systemIdentifier === control.systemIdentifier &&
    one.timeline === Math.max(control.timeline, timeline ?? 0);
  return isCurrent ? one : undefined;
}

/** Nobody writes, and the one that was the primary is down and disarmed: an abort was nearly through. */
function nothingKnown(seen: FlipObservation, request: FlipRequest): string {
  const { goal, members, operationId } = request;
  const none = members.every((name) => memberOf(seen, name).writable !== true);
  const primary = members.find((name) => {
    const { process, control, armed } = memberOf(seen, name);
    return process === "gone" && control?.state === "shut down" && armed === null;
  });
  if (none && primary !== undefined) {
    const unfence = commandFor(request, `unfence ${primary}`);
    const there = `flip-db --${goal} on the host where a flip was run`;
    return `no journal of a flip is here; ${primary} is stopped, as the primary: ${there}, or ${unfence}`;
  }
  const which =
    operationId === undefined ? "no unfinished flip" : `no unfinished flip ${operationId}`;
  return `${which} is known: ${commandFor(request, "history")}`;
}
