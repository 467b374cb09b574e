/** A healthy pair as a flip sees it, and what can be different, for the planner's table. */
import type { FlipObservation } from "../../../router/flip-db/observation.ts";
import type { MemberSeen } from "../../../router/member/seen.ts";
import { unknownMember } from "../../../router/member/seen.ts";
import type { FlipRequest } from "../../../router/flip-db/plan/plan-request.ts";
import { signatureOf } from "../../../router/member/signature.ts";
import type { JournalRecord } from "../../../router/operation/records.ts";

type Control = NonNullable<MemberSeen["control"]>;

const identity = { timeline: 3, systemIdentifier: "7" } as const;
const postmaster = [{ pid: 10, kind: "postmaster", title: "postgres -D data" }] as const;

export const control = (state: string, more: Partial<Control> = {}): Control => ({
  ...identity,
  state,
  checkpoint: 100n,
  ...more,
});

export const primary = (more: Partial<MemberSeen> = {}): MemberSeen => ({
  ...unknownMember,
  ...identity,
  reached: true,
  role: "primary",
  writable: true,
  synchronousNames: "",
  process: "alive",
  processes: postmaster,
  archiveReady: 0,
  control: control("in production"),
  armed: null,
  promoteFile: false,
  slots: [],
  ...more,
});

export const standby = (more: Partial<MemberSeen> = {}): MemberSeen => ({
  ...primary(),
  role: "standby",
  writable: false,
  replayLsn: 120n,
  receiveLsn: 120n,
  streamsFrom: "dal-01",
  control: control("in archive recovery"),
  armed: { by: "" },
  ...more,
});

/** Stopped in good order; `by` armed it. */
export const stopped = (more: Partial<MemberSeen> = {}): MemberSeen => ({
  ...unknownMember,
  process: "gone",
  processes: [],
  control: control("shut down"),
  armed: { by: signed },
  promoteFile: false,
  ...more,
});

const ends = { operationId: "f1", run: "r1", from: "dal-01", to: "chi-02", ...identity };

/** What run r1 of flip f1 writes into standby.signal. */
export const signed = signatureOf(ends);

export const router = {
  name: "app-01",
  reached: true,
  up: ["dal-01"],
  passing: ["dal-01"],
  sessions: {},
};
export const gate = { name: "app-01/gate", reached: true, pausedBy: null };

/** The pair with both parts before it, or others instead. */
export const pair = (
  from: MemberSeen,
  to: MemberSeen,
  more: Partial<FlipObservation> = {},
): FlipObservation => ({
  members: { "dal-01": from, "chi-02": to },
  routers: [router],
  gates: [gate],
  journal: [],
  ...more,
});

export const request = (more: Partial<FlipRequest> = {}): FlipRequest => ({
  goal: "flip",
  run: "r2",
  mode: "seamless",
  environment: "prod",
  members: ["dal-01", "chi-02"],
  ...more,
});

/** The journal of a flip that was begun and not ended. */
export const begun = (more: JournalRecord["facts"] = {}): readonly JournalRecord[] => [
  {
    operationId: "f1",
    step: "",
    phase: "intent",
    at: 1,
    facts: { ...ends, mode: "seamless", cause: "planned", loss: "none", hadSlot: false, ...more },
  },
];

/** The standby of the pair, after its promotion. */
export const promoted = primary({
  timeline: 4,
  control: control("in production", { timeline: 4 }),
});

export const lostPrimary = { goal: "failover" } as const;

export interface PlanCase {
  readonly name: string;
  readonly seen: FlipObservation;
  readonly asked?: Partial<FlipRequest>;
  readonly journal?: readonly JournalRecord[];
  /** The steps, or what the refusal says. */
  readonly want: string | RegExp;
}
