/** How the rows of a rebuild judge WAL: what a slot keeps, what is gone, and what waits in vain. */
import type { Test } from "tap";
import { parseLsn } from "../../../kit/lsn.ts";
import { plan } from "../../../router/rebuild-standby/plan.ts";
import type { RebuildPlan } from "../../../router/rebuild-standby/rebuild-actions.ts";
import type {
  MemberSeen,
  RebuildObservation,
  SourceSeen,
} from "../../../router/rebuild-standby/observation.ts";
import { rebuildSteps } from "../../../router/rebuild-standby/steps.ts";
import type { Row } from "../../../router/rebuild-standby/step-row.ts";
import { beginAfter } from "../../../router/rebuild-standby/timelines.ts";
import { caseOf } from "./rebuild-case.ts";
import type { CaseWords } from "./rebuild-case.ts";

const at = parseLsn;

function row(name: string): Row {
  const found = rebuildSteps.find(({ step }) => step === name);
  if (found === undefined) throw new TypeError(`there is no row ${name}`);
  return found;
}

/** The plan for `words`, and what is seen after `source` and `member` have come about. */
function after(
  words: CaseWords,
  source: Partial<SourceSeen>,
  member: Partial<MemberSeen> = {},
): { readonly made: RebuildPlan; readonly seen: RebuildObservation } {
  const { seen, survey, request } = caseOf(words);
  const made = plan(seen, survey, request);
  if ("refused" in made) throw new TypeError(made.refused);
  return {
    made,
    seen: { source: { ...seen.source, ...source }, member: { ...seen.member, ...member } },
  };
}

const slot = (restart: string | null, walStatus: string | null = "reserved") => [
  { name: "b", active: false, walStatus, restartLsn: restart === null ? null : at(restart) },
];

/** Tests those rows, as subtests of `t`. */
export function testWalRows(t: Test): void {
  t.test("a slot is early enough, or it is made anew", (t) => earlySlot(t));
  t.test("a checkpoint on the source only where its control file lacks its timeline", (t) =>
    neededCheckpoint(t),
  );
  t.test("nothing is rewound for which the source has no WAL any more", (t) => keptForRewind(t));
  t.test("who waits for WAL in vain", (t) => waitsInVain(t));
  t.test("where a newer timeline of the member begins", (t) => newerTimeline(t));
  t.end();
}

function earlySlot(t: Test): void {
  const forked = { forked: true };
  const copied = { request: { method: "basebackup" } } as const;
  const table: readonly (readonly [string, CaseWords, Partial<SourceSeen>, boolean])[] = [
    ["at the fork", forked, { slots: slot("0/3000000") }, true],
    ["past the fork", forked, { slots: slot("0/3000008") }, false],
    ["past it, and made just now", forked, { slots: slot("0/5000000"), madeSlot: true }, true],
    ["lost, and made just now", forked, { slots: slot(null, "lost"), madeSlot: true }, false],
    ["it keeps nothing", forked, { slots: slot(null, null) }, false],
    ["none", forked, { slots: [] }, false],
    ["at the end of a member that is only started", {}, { slots: slot("0/3000028") }, true],
    ["past its end", {}, { slots: slot("0/3000030") }, false],
    ["a copy brings along what it needs", copied, { slots: slot("0/7000000") }, true],
  ];
  for (const [name, words, source, want] of table) {
    const { made, seen } = after(words, source);
    t.equal(row("slot").isDone?.(made, seen), want, name);
  }
  t.end();
}

function neededCheckpoint(t: Test): void {
  for (const [controlTimeline, want] of [
    [1, false],
    [2, true],
  ] as const) {
    const { made, seen } = after({ forked: true }, { controlTimeline });
    t.equal(row("checkpoint").isDone?.(made, seen), want, `timeline ${controlTimeline}`);
  }
  t.end();
}

function keptForRewind(t: Test): void {
  const table: readonly (readonly [CaseWords, Partial<SourceSeen>, RegExp | undefined])[] = [
    [{ forked: true }, { oldestWal: at("0/3000000") }, undefined],
    [{ forked: true }, { oldestWal: at("0/4000000") }, /no longer has the WAL that b needs/],
    [{ forked: true }, { oldestWal: null }, undefined],
    [
      { forked: true, layout: { hasRestoreCommand: true } },
      { oldestWal: at("0/4000000") },
      undefined,
    ],
  ];
  for (const [words, source, want] of table) {
    const { made, seen } = after(words, source);
    t.match(row("rewind").whyNot(made, seen) ?? "", want ?? /^$/);
  }
  t.end();
}

function waitsInVain(t: Test): void {
  const standby = (timeline: number, replayed: string): Partial<MemberSeen> => {
    const lsn = at(replayed);
    const end = { timeline, lsn: lsn - 1n };
    return { reached: true, role: "standby", process: "alive", replayLsn: lsn, end };
  };
  const recovering = (timeline: number, needs: string): Partial<MemberSeen> => ({
    process: "alive",
    control: {
      state: "in archive recovery",
      checkpoint: at("0/2000060"),
      timeline: 1,
      minRecoveryEnd: at(needs),
      minRecoveryTimeline: timeline,
      systemIdentifier: "7",
      canRewind: true,
    },
  });
  const forked = { forked: true };
  const archive = { forked: true, layout: { hasRestoreCommand: true } };
  const gone = { oldestWal: at("0/5000000") };
  const waits = { waitsForWal: true };
  const table: readonly {
    readonly name: string;
    readonly words: CaseWords;
    readonly source?: Partial<SourceSeen>;
    readonly member: Partial<MemberSeen>;
    readonly want?: RegExp;
  }[] = [
    { name: "it has replayed up to the fork", words: forked, member: standby(1, "0/3000000") },
    {
      name: "one byte past it",
      words: forked,
      member: standby(1, "0/3000001"),
      want: /b has WAL of timeline 1 past 0\/3000000, where its source left it/,
    },
    {
      name: "past it, and what it takes from an archive cannot be told from its files",
      words: archive,
      member: standby(1, "0/3000001"),
    },
    {
      name: "on a timeline that the source never was on",
      words: forked,
      member: standby(3, "0/2000000"),
      want: /b is on timeline 3, which its source never was/,
    },
    {
      name: "a moment ahead of the look at the source",
      words: forked,
      member: standby(2, "0/8000100"),
    },
    {
      name: "not consistent before what the source never had",
      words: forked,
      member: recovering(1, "0/3000100"),
      want: /past 0\/3000000/,
    },
    {
      name: "not consistent before what the source has",
      words: forked,
      member: recovering(2, "0/3000100"),
    },
    { name: "nothing known of it", words: forked, member: { process: "alive" } },
    {
      name: "the source has removed what it waits for",
      words: forked,
      source: gone,
      member: { ...standby(2, "0/4FFFFF0"), ...waits },
      want: /a no longer has the WAL that b needs, from 0\/4FFFFF0 on/,
    },
    {
      name: "it still replays its own",
      words: forked,
      source: gone,
      member: standby(2, "0/4FFFFF0"),
    },
    {
      name: "the segment that it waits for is the oldest",
      words: forked,
      source: gone,
      member: { ...standby(2, "0/5000000"), ...waits },
    },
    {
      name: "an archive may have it",
      words: archive,
      source: gone,
      member: { ...standby(2, "0/4FFFFF0"), ...waits },
    },
    {
      name: "it is connected, so nobody has listed the WAL",
      words: forked,
      source: { oldestWal: null },
      member: { ...standby(2, "0/4FFFFF0"), ...waits },
    },
    {
      name: "its slot is lost",
      words: forked,
      source: { slots: slot(null, "lost") },
      member: standby(2, "0/4FFFFF0"),
      want: /a has removed WAL that slot b was to keep for b/,
    },
  ];
  for (const { name, words, source = {}, member, want = /^$/ } of table) {
    const { made, seen } = after(words, source, member);
    for (const step of ["start", "stream"]) {
      t.match(row(step).whyLost?.(made, seen) ?? "", want, `${step}: ${name}`);
    }
  }
  t.end();
}

function newerTimeline(t: Test): void {
  const history = "1\t0/3000000\tno\n2\t0/5000000\tno\n";
  const table = [
    ["after the last switch", { timeline: 1, lsn: at("0/2000060") }, at("0/5000000")],
    ["a checkpoint on the middle one", { timeline: 2, lsn: at("0/4000000") }, at("0/5000000")],
    ["a checkpoint past where it left", { timeline: 1, lsn: at("0/3000028") }, null],
    ["another history", { timeline: 7, lsn: at("0/1000000") }, null],
  ] as const;
  for (const [name, from, want] of table) t.equal(beginAfter(3, history, from), want, name);
  t.end();
}
