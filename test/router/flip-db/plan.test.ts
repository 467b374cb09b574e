/** The planner: what is planned for which world, and every refusal with the command that helps. */
import t from "tap";
import { deathReport } from "../../../router/flip-db/report/death-report.ts";
import type { FlipPlan } from "../../../router/flip-db/flip-actions.ts";
import { unknownMember } from "../../../router/member/seen.ts";
import { intentFacts, plan } from "../../../router/flip-db/plan.ts";
import { parseSignature, signatureOf } from "../../../router/member/signature.ts";
import { flipSteps, rowsNamed } from "../../../router/flip-db/steps.ts";
import { waitsForRecord } from "../../../router/flip-db/report/waiting-words.ts";
import { fold, operationRecord } from "../../../router/operation/records.ts";
import {
  begun,
  control,
  gate,
  lostPrimary,
  pair,
  primary,
  promoted,
  request,
  router,
  signed,
  standby,
  stopped,
} from "./plan-cases.ts";
import type { PlanCase } from "./plan-cases.ts";
import {
  askedAlready,
  monitoredPlans,
  monitoredRefusals,
  monitorLost,
} from "./plan-monitored-cases.ts";
import { refusals } from "./plan-refusals.ts";
import "./gates-cases.ts";
import "./silence-cases.ts";

const open = "record checkpoint slot warm arm";
const cross = "divert stop prove promote verify";
const end = "reconnect route release sweep await-end rejoin reconnect-old settle close";

const plans: readonly PlanCase[] = [
  { name: "a whole flip", seen: pair(primary(), standby()), want: `${open} hold ${cross} ${end}` },
  {
    name: "a fast flip holds nobody",
    seen: pair(primary(), standby(), { gates: [] }),
    asked: { mode: "fast" },
    want: `${open} ${cross} ${end}`,
  },
  {
    name: "a synchronous pair streams before clients go on",
    seen: pair(primary(), standby({ synchronousNames: "*" })),
    want: `${open} hold ${cross} await-end-briefly stream-first ${end}`,
  },
  {
    name: "or is relaxed",
    seen: pair(primary(), standby({ synchronousNames: "*" })),
    asked: { synchronous: "relax" },
    want: `${open} hold ${cross} await-end-briefly stream-briefly relax ${end}`,
  },
  {
    name: "resume before the stop begins again",
    seen: pair(primary({ armed: { by: signed } }), standby()),
    asked: { goal: "resume" },
    journal: begun(),
    want: `${open} hold ${cross} ${end}`,
  },
  {
    name: "resume during the shutdown waits for its end",
    seen: pair(stopped({ process: "stopping", control: control("in production") }), standby()),
    asked: { goal: "resume" },
    journal: begun(),
    want: `await-shutdown arm stop prove promote verify ${end}`,
  },
  {
    name: "resume after the stop proves again",
    seen: pair(stopped(), standby({ streamsFrom: null })),
    asked: { goal: "resume" },
    journal: begun(),
    want: `arm stop prove promote verify ${end}`,
  },
  {
    name: "resume elsewhere, by the signature alone",
    seen: pair(stopped(), standby({ streamsFrom: null })),
    asked: { goal: "resume" },
    want: `arm stop prove promote verify ${end}`,
  },
  {
    name: "resume after the promotion",
    seen: pair(stopped(), promoted),
    asked: { goal: "resume" },
    journal: begun(),
    want: `verify ${end}`,
  },
  {
    name: "resume where the new primary is down",
    seen: pair(stopped(), stopped({ armed: null, control: control("in production") })),
    asked: { goal: "resume" },
    journal: begun(),
    want: `await-new-end start-new verify ${end}`,
  },
  {
    name: "abort looks for every trace",
    seen: pair(primary(), standby()),
    asked: { goal: "abort" },
    journal: begun(),
    want: "stop divert hold arm slot record",
  },
  {
    name: "abort of an abort, elsewhere: both are down, and the signature is there",
    seen: pair(
      stopped(),
      stopped({ control: control("shut down in recovery"), armed: { by: "" } }),
    ),
    asked: { goal: "abort" },
    want: "stop divert hold arm slot record",
  },
  {
    name: "failover from a fenced primary",
    seen: pair(stopped({ control: control("in production") }), standby({ streamsFrom: null })),
    asked: lostPrimary,
    want: "keep-down drain promote verify reconnect route release sweep settle close",
  },
  {
    name: "failover on the operator's word",
    seen: pair(unknownMember, standby({ streamsFrom: null, synchronousNames: "*" })),
    asked: { ...lostPrimary, operatorSaysDead: true, synchronous: "relax" },
    want: "drain promote verify relax reconnect route release sweep settle close",
  },
  {
    name: "the rest of a failover",
    seen: pair(unknownMember, promoted),
    asked: { goal: "resume" },
    journal: begun({ cause: "lost", operatorSaysDead: true }),
    want: "verify reconnect route release sweep settle close",
  },
];

for (const { name, seen, asked, journal, want } of [...plans, ...monitoredPlans]) {
  t.test(name, (t) => {
    const chosen = plan(seen, fold(journal ?? []), request(asked));
    t.equal("steps" in chosen ? chosen.steps.join(" ") : chosen.refused, want);
    if ("steps" in chosen)
      t.equal(rowsNamed(flipSteps(), chosen.steps).length, chosen.steps.length);
    t.end();
  });
}

for (const { name, seen, want } of askedAlready) {
  t.test(`whether a monitor has to be asked for a failover: ${name}`, (t) => {
    const asked = { manager: "pg_auto_failover", goal: "failover" } as const;
    const chosen = plan(monitorLost, [], request(asked));
    if (!("steps" in chosen)) throw new Error(chosen.refused);
    const [ask] = rowsNamed(flipSteps(), ["ask"]);
    t.equal(ask?.isDone?.(chosen, seen), want);
    t.end();
  });
}

for (const { name, seen, asked, journal, want } of refusals) {
  t.test(`refused: ${name}`, (t) => {
    const chosen = plan(seen, fold(journal ?? []), request(asked));
    const words = "refused" in chosen ? chosen.refused : chosen.steps.join(" ");
    t.match(words, want);
    t.match(words, /bin\/recovery prod [a-z-]+|docs\/runbooks\//, "it names what helps");
    const passes = "refused" in chosen && chosen.passing === true;
    t.equal(passes, words.includes("until its lease ends"), "a watcher waits for a lease alone");
    t.end();
  });
}

for (const { name, seen, asked, journal, want, passes } of monitoredRefusals) {
  t.test(`refused with a monitor: ${name}`, (t) => {
    const chosen = plan(seen, fold(journal ?? []), request(asked));
    t.match("refused" in chosen ? chosen.refused : chosen.steps.join(" "), want);
    const isPassing = "refused" in chosen && chosen.passing === true;
    t.equal(isPassing, passes === true, "whether a watcher waits for it");
    t.end();
  });
}

const losses = [
  {
    name: "shut down, and the standby has it all",
    from: stopped(),
    to: standby(),
    want: /^none: dal-01 was shut down at 0\/64, and the standby has everything up to 0\/78$/,
  },
  {
    name: "shut down, and the standby stands at the checkpoint's start",
    from: stopped(),
    to: standby({ replayLsn: 100n, receiveLsn: 100n }),
    want: /^likely: .*at least 0 bytes of WAL are lost$/,
  },
  {
    name: "crashed",
    from: stopped({ control: control("in production") }),
    to: standby(),
    want: /^possible: dal-01 crashed/,
  },
  {
    name: "received and not yet replayed counts",
    from: stopped(),
    to: standby({ replayLsn: 90n, receiveLsn: 120n }),
    want: /^none: .*0\/78$/,
  },
  {
    name: "another history, on the operator's word",
    from: stopped(),
    to: standby({ timeline: 2, control: control("in archive recovery", { timeline: 2 }) }),
    asked: { operatorSaysDead: true },
    want: /^certain: chi-02 is on timeline 2, dal-01 on 3, and what only dal-01 has is lost$/,
  },
  {
    name: "a standby that cannot say",
    from: stopped(),
    to: standby({ replayLsn: null, receiveLsn: null }),
    want: /^not known/,
  },
] as const;

for (const { name, from, to, want, ...more } of losses) {
  t.test(`loss: ${name}`, (t) => {
    const asked = { ...lostPrimary, ...("asked" in more ? more.asked : {}) };
    const chosen = plan(pair(from, to), [], request(asked));
    t.match("steps" in chosen ? chosen.loss : chosen.refused, want);
    t.end();
  });
}

t.test("a router and a gate that are cut off are left out where the risk is accepted", (t) => {
  const silent = { routers: [router, { ...router, name: "app-02", reached: false }] };
  const gates = [gate, { ...gate, name: "app-02/gate", reached: false }];
  const seen = pair(primary(), standby(), { ...silent, gates });
  const chosen = plan(seen, [], request({ acceptedRisks: ["routers", "edge-poolers"] }));
  t.same("steps" in chosen && chosen.leftOut, ["router app-02", "gate app-02/gate"]);
  const half = plan(seen, [], request({ acceptedRisks: ["routers"] }));
  t.match(half, { refused: /^gate app-02\/gate does not answer/ });
  t.end();
});

t.test("the intent brings the same flip back, and the signature its ends", (t) => {
  const first = plan(pair(primary(), standby()), [], request({ operationId: "f1" })) as FlipPlan;
  const facts = intentFacts(first);
  const journal = fold([{ operationId: "f1", step: "", phase: "intent", at: 1, facts }]);
  const again = plan(pair(primary(), standby()), journal, request({ goal: "resume", run: "r3" }));
  t.same(again, { ...first, asked: "resume", run: "r3" });
  const { operationId, run, from, to, timeline, systemIdentifier } = first;
  const ends = { operationId, run, from, to, timeline, systemIdentifier };
  t.same(parseSignature(signatureOf(first)), ends);
  for (const foreign of ["", "fence 1", `${signatureOf(first)}\nx`]) {
    t.equal(parseSignature(foreign), undefined);
  }
  t.end();
});

t.test("a row that the standby does not replay is told with how far it came, and why", (t) => {
  const rows = [
    {
      to: {},
      says: /replayed up to 0\/78 of 0\/A0 on dal-01, and nothing more comes through: look at the network between the two$/,
    },
    {
      to: { receiveLsn: 0x90n },
      says: /replayed up to 0\/78 of 0\/A0 on dal-01, and has received up to 0\/90: see what holds/,
    },
    { to: { streamsFrom: null }, says: /does not stream from dal-01: read its Postgres log$/ },
    { to: { replayLsn: null }, says: /^chi-02 does not answer as a standby$/ },
  ];
  const chosen = plan(pair(primary(), standby()), [], request());
  if ("refused" in chosen) throw new Error(chosen.refused);
  for (const { to, says } of rows) {
    const seen = pair(primary({ writeLsn: 0xa0n }), standby({ ...to }));
    t.match(waitsForRecord(chosen, seen), says);
  }
  t.end();
});

t.test("the report after the executor's death names what helps", async (t) => {
  const asked = {
    ...({ goal: "flip", mode: "seamless", environment: "lab" } as const),
    ...{ run: "run-1", operationId: "op-1", members: ["dal-01", "chi-02"] },
  };
  const ends = { from: "dal-01", to: "chi-02", timeline: 4 };
  const begun = [
    operationRecord("op-1", "intent", 10_000, ends),
    { operationId: "op-1", step: "arm", phase: "started", at: 10_050, facts: {} },
  ] as const;
  t.match(deathReport("lab", asked, begun, 12_000), {
    ...{ result: "stuck", next: /--abort op-1$/, loss: /^none/, from: "dal-01" },
    ...{ startedAt: "1970-01-01T00:00:10.000Z", tookMs: 2000 },
  });
  t.match(deathReport("lab", asked, [], 12_000), {
    ...{ result: "undone", next: /topology$/ },
    ...{ startedAt: "1970-01-01T00:00:12.000Z", tookMs: 0 },
  });
  const outcome = operationRecord("op-1", "outcome", 10_400, { result: "done" });
  t.match(deathReport("lab", asked, [...begun, outcome], 12_000), {
    ...{ result: "done", rejoined: true, tookMs: 400 },
  });
});
