/**
 * What a fence or an unfence has to do, and why it must not: pure, over one look. A fence is always
 * allowed, since it can only take writes away; an unfence can give them back, so it has to be sure
 * that nobody else has them.
 */
import type { MemberSeen } from "../member/seen.ts";
import { parseSignature } from "../member/signature.ts";
import { fenceSignatures, isFenceSignature } from "./observation.ts";
import type { FenceObservation, FencePlan, Restores } from "./observation.ts";

export interface FenceRequest {
  readonly environment: string;
  readonly operationId: string;
  readonly member: string;
  readonly by: string;
  /** ISO 8601. */
  readonly at: string;
  readonly why: string;
  /** The operator answers for members of which nothing is known. */
  readonly othersUnknown: boolean;
}

export interface FenceRefusal {
  readonly refused: string;
  /** The name by which the operator may accept it; undefined where nothing helps. */
  readonly risk?: "other-unknown";
}

/** The plan of a fence, and whether it ends all writes. */
export function planFence(
  request: FenceRequest,
  seen: FenceObservation,
): { readonly plan: FencePlan; readonly endsWrites: boolean } {
  const { member, others } = seen;
  const elsewhere = Object.values(others).some((one) => one.writable === true);
  const isStandby = wasStandby(member);
  const signature = isStandby ? fenceSignatures.standby : fenceSignatures.primary;
  return {
    plan: { ...base(request), command: "fence", signature, restores: "routers" },
    // Of a member that does not answer nobody knows that it is a standby.
    endsWrites: !elsewhere && member.role !== "standby" && member.process !== "gone",
  };
}

function base(request: FenceRequest) {
  const { operationId, member, by, at, why, othersUnknown } = request;
  return { operationId, member, mark: { member, by, at, why }, othersUnknown } as const;
}

/** An unfence must bring it back as what it was, so a fence that is repeated must not forget that. */
function wasStandby(member: MemberSeen): boolean {
  const { role, armed, process, control } = member;
  const by = armed === null || armed === "unknown" ? null : armed.by;
  if (by === fenceSignatures.standby) return true;
  if (by === fenceSignatures.primary || role === "primary") return false;
  // A flip arms its primary: restarted or down and armed by it, the member was the primary.
  if (isArmedByOpenFlip(member)) return false;
  if (role === "standby") return true;
  return by !== null && process === "gone" && control?.state !== "shut down";
}

/**
 * True when a flip armed it that may be unfinished. The signature of one that was finished stays where
 * it is, and names an older timeline than the member is on now.
 */
function isArmedByOpenFlip(member: MemberSeen): boolean {
  const { armed } = member;
  if (armed === null || armed === "unknown") return false;
  const signature = parseSignature(armed.by);
  return signature !== undefined && (timelineOf(member) ?? 0) <= signature.timeline;
}

/** The plan of an unfence, or why there is none. */
export function planUnfence(
  request: FenceRequest,
  seen: FenceObservation,
): { readonly plan: FencePlan } | FenceRefusal {
  const command = (words: string): string => `bin/recovery ${request.environment} ${words}`;
  const { member } = seen;
  const name = request.member;
  if (member.armed === "unknown" || member.process === "unknown") {
    const why = member.hostFault === null ? "" : ` (${member.hostFault})`;
    return { refused: `nothing is known of the host of ${name}${why}: ${command("topology")}` };
  }
  if (member.process === "stopping") {
    return { refused: `Postgres on ${name} is being stopped: try again when it has ended` };
  }
  if (isArmedByOpenFlip(member)) {
    const ways = `${command("flip-db --resume")} or ${command("flip-db --abort")}`;
    return { refused: `${name} is armed by a flip that is not finished: ${ways}` };
  }
  const restores = whatToRestore(seen, member.armed?.by ?? null);
  const plan: FencePlan = {
    ...base(request),
    command: "unfence",
    signature: member.armed?.by ?? "",
    restores,
  };
  const why = whyNotRestore(plan, seen);
  if (why === undefined) return { plan };
  if (why.unknown) {
    const risk = "other-unknown";
    const words = `if you know that it cannot write, --accept-risk=${risk}`;
    return { refused: `${why.says}; ${words}`, risk };
  }
  const rebuild = command(`rebuild-standby --member ${name}`);
  return { refused: `${why.says}: ${rebuild} makes it a standby` };
}

function whatToRestore({ member, others }: FenceObservation, by: string | null): Restores {
  const { process, role, writable, streamsFrom } = member;
  if (process === "alive" && role === "primary") {
    return by === null && writable === true ? "routers" : "primary";
  }
  if (by === fenceSignatures.standby) return "standby";
  const follows = streamsFrom !== null && others[streamsFrom]?.writable === true;
  if (process === "alive") {
    if (by === fenceSignatures.primary) return follows ? "standby" : "primary";
    return "routers";
  }
  return by === null || isFenceSignature(by) ? "primary" : "standby";
}

interface Why {
  readonly says: string;
  /** It is a want of knowledge, which an operator may make up for. */
  readonly unknown: boolean;
}

/** Why the member must not take writes now; undefined where it will not, or may. */
export function whyNotRestore(plan: FencePlan, seen: FenceObservation): Why | undefined {
  if (plan.restores !== "primary") return undefined;
  for (const [name, other] of Object.entries(seen.others)) {
    if (other.role === "primary") {
      return { says: `${name} is a primary, and two must never take writes`, unknown: false };
    }
    const ahead = timelineOf(other);
    const own = timelineOf(seen.member);
    if (ahead !== null && own !== null && ahead > own) {
      const says = `${name} is on timeline ${ahead}, ${plan.member} on ${own}: ${name} was promoted since`;
      return { says, unknown: false };
    }
    const isKnown = (other.reached && other.role === "standby") || other.process === "gone";
    if (!isKnown && !plan.othersUnknown) {
      return { says: `nothing is known of ${name}: it may take writes`, unknown: true };
    }
  }
  return undefined;
}

function timelineOf({ timeline, control }: MemberSeen): number | null {
  if (timeline === null && control === null) return null;
  return Math.max(timeline ?? 0, control?.timeline ?? 0);
}
