/** Flips as their steps tell of them, and what their reports say. */
import type { FlipPlan } from "../../../router/flip-db/flip-actions.ts";
import type { ReportFacts, TimedStep } from "../../../router/flip-db/report/report-facts.ts";

export const plan: FlipPlan = {
  operationId: "op-1",
  run: "aaaabbbbccccdddd",
  asked: "flip",
  goal: "forward",
  from: "dal-01",
  to: "chi-02",
  mode: "seamless",
  cause: "planned",
  operatorSaysDead: false,
  synchronous: "none",
  names: "none",
  manager: "none",
  timeline: 4,
  systemIdentifier: "7000000000000000001",
  hadSlot: true,
  crossed: false,
  leftOut: [],
  loss: "none",
  steps: ["record", "stop"],
};

export const at = (step: string, phase: TimedStep["phase"], ms: number, facts = {}): TimedStep => ({
  step,
  phase,
  ms: 1,
  at: ms,
  words: `do ${step}`,
  facts,
});

export const whole: readonly TimedStep[] = [
  at("hold", "start", 100),
  at("hold", "done", 110),
  at("stop", "done", 150, { checkpoint: "0/3000060" }),
  at("prove", "skipped", 151, { checkpoint: "0/3000060", replayed: "0/30000D8" }),
  at("promote", "start", 152),
  at("promote", "done", 180, { timeline: 5 }),
  at("route", "done", 184, { sessionsClosed: 3 }),
  at("release", "done", 190, { longestHoldMs: 88 }),
  at("rejoin", "done", 400),
];

export const base: ReportFacts = {
  environment: "lab",
  plan,
  outcome: { result: "done", failed: null, left: [] },
  steps: whole,
  startedAt: "2026-11-21T02:00:00.000Z",
  tookMs: 456.7,
  wasAborted: false,
};

export const failed = { step: "hold", reason: "hold: interrupted by SIGINT" };

const beforeStop = [at("hold", "start", 1), at("hold", "failed", 2), at("release-back", "done", 9)];
const afterSent = [...whole.slice(0, 5), at("promote", "failed", 300)];
const lost = "possible: what dal-01 wrote after that is lost";
const left = [{ step: "rejoin", reason: "diverged" }];
const unheard = { step: "reconnect-old", reason: "dal-01 does not answer as a standby" };
const asked: Partial<FlipPlan> = { manager: "pg_auto_failover", steps: ["ask"] };
/** A flip around a monitor; `held` says whether the gates held their clients all along. */
const around = (held: boolean): readonly TimedStep[] => [
  at("hold", "start", 100),
  at("hold", "done", 110),
  at("ask", "done", 130, { written: "0/3000060" }),
  at("switch", "done", 3130, { timeline: 5 }),
  at("verify-new", "done", 3140, { timeline: 5, held }),
  at("compare", "done", 3145, { promotedAt: "0/30000D8" }),
  at("release", "done", 3150, { longestHoldMs: 3040 }),
  at("follow", "done", 5000),
];
const given = { step: "switch", reason: "switch: the monitor has given it up" };
const named = [
  ...whole,
  at("names", "start", 200),
  at("names", "done", 260, {
    ...{ generation: 8, "acknowledged app-01": 40, "answered app-01": 45, "answered old-01": 50 },
    absent: "app-02",
  }),
];
const late = { step: "names", reason: "lead primary.x to chi-02: still after 3000 ms" };

/** What each report says, and the exit code that follows. */
export const reportRows: readonly {
  name: string;
  facts: Partial<ReportFacts>;
  want: object;
  code: number;
}[] = [
  {
    name: "names that followed",
    facts: { steps: named },
    want: {
      names: {
        ...{ generation: 8, since: "promotion", absent: ["app-02"] },
        resolvers: [
          { name: "app-01", acknowledgedMs: 60, answeredMs: 65 },
          { name: "old-01", acknowledgedMs: null, answeredMs: 70 },
        ],
      },
      problems: [
        { step: "names", reason: /^nobody waited for the resolver of app-02, .* dal-01$/ },
      ],
    },
    code: 1,
  },
  {
    name: "a resolver that nobody waited for, where the names may stay",
    facts: { plan: { ...plan, names: "try" }, steps: named },
    want: { problems: [{ step: "left-out", reason: /app-02, .*; accepted: see to it/ }] },
    code: 0,
  },
  {
    name: "a resolver that went with the host of the lost primary",
    facts: { steps: [...whole, at("names", "done", 260, { generation: 8, gone: "dal-01" })] },
    want: {
      problems: [{ step: "left-out", reason: /resolver of dal-01, which is away as dal-01/ }],
    },
    code: 0,
  },
  {
    name: "names that did not follow",
    facts: { outcome: { result: "done", failed: null, left: [late] } },
    want: { problems: [late], result: "done" },
    code: 1,
  },
  {
    name: "names that did not follow, as accepted",
    facts: {
      plan: { ...plan, names: "try" },
      outcome: { result: "done", failed: null, left: [late] },
    },
    want: { problems: [{ step: "left-out", reason: /still after 3000 ms; accepted: see to it/ }] },
    code: 0,
  },
  {
    name: "a flip that a monitor was asked for",
    facts: { plan: { ...plan, ...asked }, steps: around(true) },
    want: {
      ...{ manager: "pg_auto_failover", pauseMs: 3050, rejoined: true, next: null },
      timelines: { before: 4, after: 5 },
      loss: "none of what came by the gates, proven: dal-01 had written up to 0/3000060, and chi-02 was promoted at 0/30000D8, past it",
    },
    code: 0,
  },
  {
    name: "the same where a gate let its clients go on too early",
    facts: { plan: { ...plan, ...asked }, steps: around(false) },
    want: {
      loss: /^none of what was written before the monitor was asked: .*waited for a standby$/,
    },
    code: 0,
  },
  {
    name: "a monitor that gave the change up",
    facts: {
      plan: { ...plan, ...asked },
      steps: [
        ...around(true).slice(0, 3),
        at("switch", "failed", 9000),
        at("release-back", "done", 9010),
      ],
      outcome: { result: "undone", failed: given, left: [] },
    },
    want: { result: "undone", loss: /^not decided here/, next: /recovery lab topology$/ },
    code: 1,
  },
  {
    name: "a monitor that is not through in time",
    facts: {
      plan: { ...plan, ...asked },
      steps: [...around(true).slice(0, 3), at("switch", "failed", 9000)],
      outcome: {
        ...{ result: "stuck", failed: given },
        left: [{ step: "close-undone", reason: "dal-01 does not take writes" }],
      },
    },
    want: { problems: [given], next: /^bin\/recovery lab flip-db --resume op-1$/ },
    code: 1,
  },
  {
    name: "a monitor that has died while it was at it",
    facts: {
      plan: { ...plan, ...asked },
      steps: [...around(true).slice(0, 3), at("switch", "failed", 9000)],
      outcome: {
        result: "stuck",
        failed: { step: "switch", reason: "switch: nobody (the monitor does not answer)" },
        left: [{ step: "close-undone", reason: "dal-01 does not take writes" }],
      },
    },
    want: {
      loss: /^not decided here: the monitor does not answer, and nothing goes on before it runs/,
      next: /^start the monitor \(pg_autoctl run on its host\), then .*flip-db --resume op-1$/,
    },
    code: 1,
  },
  {
    name: "a whole flip",
    facts: {},
    want: {
      result: "done",
      pauseMs: 90,
      longestHoldMs: 88,
      sessionsClosed: 3,
      timelines: { before: 4, after: 5 },
      lsns: { checkpoint: "0/3000060", replayed: "0/30000D8" },
      loss: /^none, proven by dal-01 .*0\/3000060.*0\/30000D8/,
      rejoined: true,
      problems: [],
      next: null,
      tookMs: 457,
    },
    code: 0,
  },
  {
    name: "the demoted member does not follow",
    facts: { steps: whole.slice(0, -1), outcome: { result: "done", failed: null, left } },
    want: { rejoined: false, problems: left, next: /rebuild-standby --member dal-01$/ },
    code: 1,
  },
  {
    name: "its pooler, which could not be told, is no second problem",
    facts: {
      steps: whole.slice(0, -1),
      outcome: { result: "done", failed: null, left: [...left, unheard] },
    },
    want: { problems: { length: 1, 0: left[0] } },
    code: 1,
  },
  {
    name: "a pooler that does not listen is one of its own",
    facts: { outcome: { result: "done", failed: null, left: [unheard] } },
    want: { rejoined: true, problems: [unheard] },
    code: 1,
  },
  {
    name: "a router that was cut off is left out, as accepted",
    facts: { plan: { ...plan, leftOut: ["router app-02"] } },
    want: { problems: [{ reason: /^router app-02 was cut off and is left out/ }] },
    code: 0,
  },
  {
    name: "aborted by the operator",
    facts: {
      steps: beforeStop,
      outcome: { result: "undone", failed, left: [] },
      wasAborted: true,
    },
    want: { aborted: true, pauseMs: 8, loss: /^none: dal-01 keeps/, problems: [failed] },
    code: 4,
  },
  {
    name: "undone after a failure",
    facts: { steps: beforeStop, outcome: { result: "undone", failed, left: [] } },
    want: { aborted: false, next: /topology$/ },
    code: 1,
  },
  {
    name: "an abort that was asked for",
    facts: {
      plan: { ...plan, asked: "abort", goal: "back" },
      steps: [],
      outcome: { result: "undone", failed: null, left: [] },
    },
    want: { kind: "abort", pauseMs: null },
    code: 0,
  },
  {
    name: "stuck before the promotion was sent",
    facts: { steps: whole.slice(0, 3), outcome: { result: "stuck", failed, left: [] } },
    want: { next: /--resume op-1, or .*--abort op-1$/, loss: /^not decided/, pauseMs: null },
    code: 1,
  },
  {
    name: "stuck after it was sent",
    facts: { steps: afterSent, outcome: { result: "stuck", failed, left: [] } },
    want: { next: /--resume op-1$/, loss: /^none, proven/ },
    code: 1,
  },
  {
    name: "a resume knows the proof from the journal",
    facts: {
      plan: { ...plan, asked: "resume", crossed: true },
      steps: whole.slice(6),
      before: { prove: { checkpoint: "0/3000060", replayed: "0/30000D8" } },
    },
    want: { kind: "resume", loss: /^none, proven/, lsns: { replayed: "0/30000D8" } },
    code: 0,
  },
  {
    name: "a resume after the promotion, by its own word or by the row that it committed",
    facts: {
      plan: { ...plan, asked: "resume", crossed: true },
      steps: [at("verify", "done", 182, { timeline: 5 }), ...whole.slice(6)],
      before: { prove: { checkpoint: "0/3000060", replayed: "0/30000D8" } },
    },
    want: { timelines: { before: 4, after: 5 }, loss: /0\/3000060.*0\/30000D8/ },
    code: 0,
  },
  {
    name: "an earlier proof is worth nothing where this run has yet to prove",
    facts: {
      plan: { ...plan, asked: "resume", crossed: true, steps: ["arm", "stop", "prove"] },
      steps: [],
      before: { prove: { checkpoint: "0/3000060", replayed: "0/30000D8" } },
      outcome: { result: "stuck", failed, left: [] },
    },
    want: { loss: /^not decided/, lsns: { checkpoint: null, replayed: null } },
    code: 1,
  },
  {
    name: "nor on the way back",
    facts: {
      plan: { ...plan, asked: "abort", goal: "back", crossed: true },
      steps: [],
      before: { prove: { checkpoint: "0/3000060", replayed: "0/30000D8" } },
      outcome: { result: "stuck", failed, left: [] },
    },
    want: { loss: /^not decided/, timelines: { after: null } },
    code: 1,
  },
  {
    name: "a resume from another host does not",
    facts: { plan: { ...plan, asked: "resume", crossed: true }, steps: whole.slice(6) },
    want: {
      loss: /^not known here: chi-02 had been promoted before this run began/,
      timelines: { before: 4, after: null },
    },
    code: 0,
  },
  {
    name: "a failover owns up to its loss",
    facts: {
      plan: { ...plan, asked: "failover", cause: "lost", loss: lost },
      steps: whole.slice(4, 8),
    },
    want: { kind: "failover", loss: lost, rejoined: false, next: /rebuild-standby/ },
    code: 0,
  },
];
