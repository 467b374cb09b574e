/** The decisions of a rebuild: which ends, which method, which refusal, which risk, which steps. */
import t from "tap";
import { parseLsn } from "../../../kit/lsn.ts";
import { chooseEnds } from "../../../router/rebuild-standby/ends.ts";
import type { Candidate } from "../../../router/rebuild-standby/ends.ts";
import { readLayout } from "../../../router/rebuild-standby/layout.ts";
import { configText, sourceConninfo } from "../../../router/rebuild-standby/place.ts";
import { plan } from "../../../router/rebuild-standby/plan.ts";
import {
  ProgressMeter,
  progressWords,
  readAmount,
} from "../../../router/rebuild-standby/progress.ts";
import { rowsOf } from "../../../router/rebuild-standby/rebuild.ts";
import { readRecordStart } from "../../../router/rebuild-standby/survey.ts";
import { relate, segmentName, segmentStart } from "../../../router/rebuild-standby/timelines.ts";
import { testEnvironment } from "../../support/environment.ts";
import { exportRows } from "./export-rows.ts";
import { rows } from "./plan-rows.ts";
import { caseOf } from "./rebuild-case.ts";
import { testWalRows } from "./wal-cases.ts";

const gigabyte = 1024 ** 3;

t.test("plan", (t) => {
  for (const row of [...rows, ...exportRows]) {
    t.test(row.name, (t) => {
      const { seen, survey, request } = caseOf(row.given);
      const made = plan(seen, survey, request);
      if ("refused" in row.want) {
        t.match("refused" in made ? made.refused : `planned ${made.method}`, row.want.refused);
        t.end();
        return;
      }
      if ("refused" in made) throw new Error(`refused: ${made.refused}`);
      t.equal(made.method, row.want.method, made.why);
      if (row.risks !== undefined)
        t.strictSame(
          made.risks.map(({ word }) => word),
          row.risks,
        );
      if (row.steps !== undefined) t.equal(made.steps.join(" "), row.steps);
      t.match(made, row.plan ?? {});
      t.equal(rowsOf(made).length, made.steps.length, "every step is a row");
      t.end();
    });
  }
  t.end();
});

t.test("rows that judge WAL", testWalRows);

t.test("relate compares histories, not numbers", (t) => {
  const at = (text: string): bigint => parseLsn(text);
  const table = [
    [
      "inside",
      { timeline: 1, history: "", end: at("0/20") },
      { timeline: 1, history: "", end: at("0/30") },
      "part",
    ],
    [
      "a record that starts at the source's end",
      { timeline: 1, history: "", end: at("0/30") },
      { timeline: 1, history: "", end: at("0/30") },
      "ahead",
    ],
    [
      "before the switch",
      { timeline: 1, history: "", end: at("0/2F") },
      { timeline: 2, history: "1\t0/30\tx\n", end: at("0/90") },
      "part",
    ],
    [
      "a record that starts at the switch",
      { timeline: 1, history: "", end: at("0/30") },
      { timeline: 2, history: "1\t0/30\tx\n", end: at("0/90") },
      "diverged",
    ],
    [
      "two switches on",
      { timeline: 1, history: "", end: at("0/20") },
      { timeline: 3, history: "1\t0/30\tx\n2\t0/50\ty\n", end: at("0/90") },
      "part",
    ],
    [
      "on the middle one, past its switch",
      { timeline: 2, history: "1\t0/30\tx\n", end: at("0/60") },
      { timeline: 3, history: "1\t0/30\tx\n2\t0/50\ty\n", end: at("0/90") },
      "diverged",
    ],
    [
      "the same number, promoted elsewhere",
      { timeline: 2, history: "1\t0/40\tx\n", end: at("0/60") },
      { timeline: 2, history: "1\t0/30\tx\n", end: at("0/90") },
      "ahead",
    ],
    [
      "promoted while the source stayed",
      { timeline: 2, history: "1\t0/40\tx\n", end: at("0/60") },
      { timeline: 1, history: "", end: at("0/90") },
      "ahead",
    ],
    [
      "both promoted at one place, by two numbers",
      { timeline: 2, history: "1\t0/40\tx\n", end: at("0/60") },
      { timeline: 3, history: "1\t0/40\tx\n", end: at("0/90") },
      "ahead",
    ],
  ] as const;
  for (const [name, member, source, kind] of table)
    t.equal(relate(member, source).kind, kind, name);
  t.match(relate(table[3][1], table[3][2]), { timeline: 1, at: at("0/30") });
  t.end();
});

t.test("segment names", (t) => {
  const size = 16 * 1024 ** 2;
  t.equal(segmentName(3, parseLsn("1/FF000028"), size), "0000000300000001000000FF");
  t.equal(segmentStart("0000000300000001000000FF", size), parseLsn("1/FF000000"));
  t.equal(segmentStart("00000003.history", size), null);
  const line =
    "rmgr: XLOG        len (rec/tot):    114/   114, tx:          0, lsn: 0/050290A8, prev 0/05029030, desc: CHECKPOINT_SHUTDOWN redo 0/50290A8; tli 2";
  t.equal(readRecordStart(`${line}\n`), parseLsn("0/50290A8"));
  t.equal(readRecordStart("pg_waldump: error: invalid record"), null);
  t.end();
});

t.test("which ends", (t) => {
  const one = (
    name: string,
    writable: boolean | null,
    more: Partial<Candidate> = {},
  ): Candidate => ({
    name,
    writable,
    manager: "none",
    hasControl: true,
    ...more,
  });
  const pair = [one("a", true), one("b", null)];
  t.strictSame(chooseEnds(pair, undefined), { member: "b", source: "a" });
  t.strictSame(chooseEnds([one("a", true), one("b", false), one("c", false)], "c"), {
    member: "c",
    source: "a",
  });
  const refusals: readonly (readonly [readonly Candidate[], string | undefined, RegExp])[] = [
    [[one("a", true), one("b", true)], undefined, /fence one/],
    [[one("a", false), one("b", null)], "b", /nothing to follow/],
    [pair, "a", /is the primary/],
    [pair, "x", /no member x/],
    [[one("a", true)], undefined, /no other member/],
    [[one("a", true), one("b", false), one("c", false)], undefined, /say which/],
    [[one("a", true), one("b", null), one("c", false)], "c", /b does not answer/],
    [[one("a", true), one("b", false, { hasControl: false })], "b", /no control/],
    [[one("a", true, { manager: "patroni" }), one("b", false)], "b", /patronictl reinit/],
  ];
  for (const [members, wanted, want] of refusals) {
    const made = chooseEnds(members, wanted);
    t.match("refused" in made ? made.refused : "chosen", want);
  }
  t.end();
});

t.test("progress: bytes, rate, time left", (t) => {
  t.strictSame(readAmount("  24/103288 kB (0%) copied"), {
    bytes: 24 * 1024,
    totalBytes: 103288 * 1024,
  });
  t.strictSame(readAmount("30419/30419 kB (100%), 1/1 tablespace"), {
    bytes: 30419 * 1024,
    totalBytes: 30419 * 1024,
  });
  t.equal(readAmount("pg_basebackup: checkpoint completed"), undefined);
  const meter = new ProgressMeter();
  const total = 100 * gigabyte;
  t.match(meter.add({ bytes: 0, totalBytes: total }, 0), {
    bytesPerSecond: null,
    secondsLeft: null,
  });
  const later = meter.add({ bytes: gigabyte, totalBytes: total }, 10_000);
  t.match(later, { bytesPerSecond: gigabyte / 10, secondsLeft: 990 });
  t.equal(progressWords(later), "1.0 GB of 100 GB, 102 MB/s, 16 min 30 s left");
  t.equal(
    meter.add({ bytes: gigabyte, totalBytes: total }, 60_000).secondsLeft,
    null,
    "it stands still",
  );
  t.end();
});

t.test("what the layout does not say is taken for the worst", (t) => {
  t.match(readLayout(""), {
    data: "foreign",
    parentWritable: false,
    freeBytes: 0,
    hasConninfo: false,
  });
  const text =
    "data=missing\nleftover=old 7\nleftover=odd 8\nfree=2\nwritable=yes\nsegment=0000000100000002\ntimeline=0000000A\nworker=12\n";
  t.match(readLayout(text), {
    data: "missing",
    leftovers: [{ kind: "old", id: "7" }],
    freeBytes: 2048,
    parentWritable: true,
    oldestSegment: "000000000000000100000002",
    newestTimeline: 10,
    workers: [12],
  });
  t.end();
});

t.test("a connection string is quoted as libpq reads it, and again in a file", async (t) => {
  const environment = await testEnvironment();
  const [source] = environment.members;
  if (source === undefined) throw new TypeError("there is a member");
  const file = "/srv/pass file";
  t.equal(
    sourceConninfo({ environment, source }, "chi-02", file, "/ca.pem"),
    "host=127.50.0.1 port=5432 user=switchyard passfile='/srv/pass file' application_name=chi-02 connect_timeout=10 sslmode=disable",
  );
  const login = { ...environment.login, user: String.raw`o'h\ra`, tlsCa: "/etc/ca.pem" } as const;
  const odd = { environment: { ...environment, login }, source };
  const conninfo = sourceConninfo(odd, "", "/p", "/data 1/ca.pem");
  const quoted = String.raw`user='o\'h\\ra' passfile=/p application_name='' connect_timeout=10 sslmode=disable sslrootcert='/data 1/ca.pem'`;
  t.equal(conninfo, `host=127.50.0.1 port=5432 ${quoted}`);
  t.equal(configText(String.raw`user='o\'h'`), String.raw`user=''o\\''h''`);
});
