/** What a fence sees, takes as its plan, and can do: plain values and the names of acts. */
import type { FenceMark } from "../haproxy/fence-marks.ts";
import type { MemberSeen } from "../member/seen.ts";
import type { Facts, OperationKind } from "../operation/step.ts";

/** What a look can be asked for. files: the routers' configuration files. */
export type FencePart = "member" | "others" | "routers" | "files";

export interface RouterFence {
  readonly name: string;
  /** Its Runtime API answered. */
  readonly reached: boolean;
  /** Both servers of the member are in maintenance; false while it is not reached. */
  readonly down: boolean;
}

export interface FileFence {
  readonly name: string;
  /** The file was read. */
  readonly read: boolean;
  /** Null when the file does not keep the member down. */
  readonly mark: FenceMark | null;
}

export interface FenceObservation {
  readonly member: MemberSeen;
  readonly others: Readonly<Record<string, MemberSeen>>;
  /** Empty where they were not asked for. */
  readonly routers: readonly RouterFence[];
  readonly files: readonly FileFence[];
}

/** Signatures in standby.signal: what the member was when it was fenced. */
export const fenceSignatures = { primary: "fence", standby: "fence standby" } as const;

/** Signs the standby.signal of an ordinary standby again. */
export const standbySignature = "standby";

/** True for a standby.signal that a fence has signed. */
export function isFenceSignature(by: string): boolean {
  return by === fenceSignatures.primary || by === fenceSignatures.standby;
}

/** What unfence brings back: the member as the primary, as a standby, or its routers alone. */
export type Restores = "primary" | "standby" | "routers";

export interface FencePlan {
  readonly command: "fence" | "unfence";
  readonly operationId: string;
  readonly member: string;
  /** How standby.signal is signed (fence), or is signed now (unfence); "" where it is not. */
  readonly signature: string;
  /** fence: what is written into the routers' files. */
  readonly mark: FenceMark;
  /** unfence alone. */
  readonly restores: Restores;
  /** unfence: members of which nothing is known may be up. */
  readonly othersUnknown: boolean;
}

type Act = (signal: AbortSignal) => Promise<Facts | undefined>;

/** Every act is about the plan's member, and safe to repeat. */
export interface FenceActions {
  readonly arm: (signature: string, signal: AbortSignal) => Promise<Facts | undefined>;
  readonly disarm: (signature: string, signal: AbortSignal) => Promise<Facts | undefined>;
  readonly stop: Act;
  readonly start: Act;
  /** Maintenance at once, on every router; its sessions are closed. */
  readonly takeDown: Act;
  /** Back to what the routers' own checks say. */
  readonly letUp: Act;
  readonly markFiles: (mark: FenceMark, signal: AbortSignal) => Promise<Facts | undefined>;
  readonly unmarkFiles: Act;
}

export interface FenceKind extends OperationKind {
  readonly plan: FencePlan;
  readonly seen: FenceObservation;
  readonly actions: FenceActions;
  readonly part: FencePart;
}
