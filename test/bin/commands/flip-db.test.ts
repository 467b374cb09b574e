/** flip-db, failover and history without a cluster: words, questions, reports, lines and JSON. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import t from "tap";
import { confirm, confirmWord, saidYes } from "../../../bin/cli/confirm.ts";
import { exitCodeOf } from "../../../bin/cli/exit-codes.ts";
import { processOutput } from "../../../bin/cli/output.ts";
import { eventPrinter, reportLines } from "../../../bin/commands/flip-db/screen.ts";
import { dryLines, dryObject, findingLines } from "../../../bin/commands/flip-db/findings.ts";
import { linesOf, nextOrder, orderLine } from "../../../bin/commands/flip-db/order.ts";
import { newOperationId } from "../../../bin/commands/operation-place.ts";
import { readAsked } from "../../../bin/commands/flip-db/request.ts";
import { exitCodeOfEnding } from "../../../bin/commands/flip-db/run.ts";
import type { Flag } from "../../../bin/cli/command.ts";
import { EventLog, parseEvents, readEvents } from "../../../router/flip-db/event-log.ts";
import type { FlipEvent, FlipReport, FlipStepEvent } from "../../../router/flip-db/events.ts";
import { lostReport } from "../../../router/flip-db/report/lost-report.ts";
import { mergeHistory } from "../../../router/flip-db/history.ts";
import type { FlipRequest } from "../../../router/flip-db/plan/plan-request.ts";
import type { Precheck } from "../../../router/flip-db/prechecks.ts";
import { isSilenceAlone } from "../../../router/flip-db/prechecks/judge.ts";
import { flipReport } from "../../../router/flip-db/report.ts";
import type { ReportFacts } from "../../../router/flip-db/report/report-facts.ts";
import { unfinishedOf } from "../../../router/cluster/conditions/operations.ts";
import type { JournalRecord } from "../../../router/operation/records.ts";
import { at, base, failed, plan, reportRows, whole } from "./flip-report-cases.ts";
import { lateWords, noProgress } from "../../../router/names/progress.ts";
import type { FollowProgress } from "../../../router/names/progress.ts";

const { style: plain } = processOutput();

t.test("what the flags ask for", async (t) => {
  const flip = { goal: "flip", wanted: "auto", acceptedRisks: [], isDry: false, json: false };
  const rows: { flags: Record<string, Flag>; want: object }[] = [
    { flags: {}, want: flip },
    { flags: { to: "chi-02", mode: "fast" }, want: { ...flip, to: "chi-02", wanted: "fast" } },
    { flags: { resume: true }, want: { goal: "resume", operationId: undefined } },
    { flags: { abort: "20261121T071659-1be2" }, want: { operationId: "20261121T071659-1be2" } },
    { flags: { "accept-risk": ["lag", "archiver"] }, want: { acceptedRisks: ["lag", "archiver"] } },
  ];
  for (const { flags, want } of rows) t.match(readAsked({ flags }), want, JSON.stringify(flags));
  const wrong: { flags: Record<string, Flag>; says: RegExp }[] = [
    { flags: { resume: true, abort: true }, says: /give one/ },
    { flags: { resume: true, to: "chi-02" }, says: /--to has no say/ },
    { flags: { abort: "a/../b" }, says: /not the id of a flip/ },
    { flags: { "accept-risk": ["logical-slot"] }, says: /no risk "logical-slot"/ },
  ];
  for (const { flags, says } of wrong) {
    t.throws(() => readAsked({ flags }), { code: "ERR_USAGE", message: says });
  }
  t.match(newOperationId(), /^[0-9]{8}T[0-9]{6}-[0-9a-f]{4}$/);
});

t.test("without a terminal nothing dangerous is confirmed", async (t) => {
  const { signal } = new AbortController();
  const asking = (flags: Record<string, Flag>) => ({ flags, output: processOutput(), signal });
  const question = { text: "Sure?", otherwise: "--yes does it" };
  t.equal(saidYes({ flags: { yes: true } }), true);
  t.equal(saidYes({ flags: {} }), false);
  await confirm(asking({ yes: true }), question);
  await t.rejects(confirm(asking({ json: true }), question), { code: "ERR_REFUSED" });
  await confirmWord(asking({}), "dal-01", "dal-01", question);
  await t.rejects(confirmWord(asking({ yes: true }), "dal-01", "dal-1", question), {
    code: "ERR_REFUSED",
    message: /"dal-1", not dal-01/,
  });
  await t.rejects(confirmWord(asking({ yes: true, json: true }), "dal-01", undefined, question), {
    code: "ERR_REFUSED",
  });
});

const asRequest: FlipRequest & { readonly operationId: string } = {
  goal: "flip",
  run: "aaaabbbbccccdddd",
  operationId: "op-1",
  mode: "seamless",
  environment: "lab",
  members: ["dal-01", "chi-02"],
};

t.test("the report says what happened, and the exit code follows from it", async (t) => {
  for (const { name, facts, want, code } of reportRows) {
    const report = flipReport({ ...base, ...facts });
    t.match(report, want, name);
    t.equal(exitCodeOfEnding(report), code, `${name}: exit code`);
    t.same(JSON.parse(JSON.stringify(report)), report, `${name}: plain JSON`);
  }
  const locked = { event: "failure", code: "ERR_LOCKED", message: "held by ann" } as const;
  t.throws(() => exitCodeOfEnding(locked), { code: "ERR_LOCKED", message: "held by ann" });
  t.equal(exitCodeOf({ code: "ERR_LOCKED" }), 75);
});

t.test("names that are late: what is missing, and by whose fault", async (t) => {
  const address = { host: "10.0.1.1", port: 53 };
  const names = { deadlineMs: 3000, resolvers: [{ name: "app-01", address }] };
  const published = { ...noProgress(), waiting: undefined, generation: 8 };
  const rows: { given: FollowProgress; want: string }[] = [
    {
      given: { ...noProgress(), fault: "connection refused" },
      want: "the registry does not answer (connection refused)",
    },
    {
      given: { ...noProgress(), waiting: "the registry has no address of chi-02" },
      want: "the registry has no address of chi-02",
    },
    {
      given: {
        ...published,
        late: ["app-02"],
        acknowledged: { "app-01": 9 },
        answered: { "app-01": 9 },
      },
      want: "app-02 has not acknowledged generation 8; app-01 has it",
    },
    {
      given: { ...published, faults: { "app-01": "refused" } },
      want: "app-01 does not answer with it (refused)",
    },
    {
      given: { ...published, fault: "no answer", answered: { "app-01": 9 } },
      want: "the registry does not answer (no answer)",
    },
    {
      given: { ...published, gone: new Set(["app-01"]), late: ["x"] },
      want: "x has not acknowledged generation 8",
    },
  ];
  for (const { given, want } of rows)
    t.equal(lateWords(names, given), `still after 3000 ms ${want}`);
});

t.test("the keys of the JSON lines are those of docs/cli-json.md", async (t) => {
  t.same(Object.keys(flipReport(base)).toSorted(), [
    ...["aborted", "event", "from", "kind", "longestHoldMs", "loss", "lsns", "mode", "next"],
    ...["operationId", "pauseMs", "problems", "rejoined", "result", "sessionsClosed", "startedAt"],
    ...["steps", "timelines", "to", "tookMs"],
  ]);
});

t.test("what the disk does not take is dropped and told once, and the rest follows", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-events-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const note = (words: string): FlipEvent => ({ event: "note", pids, words });
  const lost: string[] = [];
  const full = await EventLog.open("/dev/full", (error) => lost.push(error.message));
  for (const words of ["one", "two"]) full.append(note(words));
  await full.close();
  t.equal(lost.length, 1);
  t.match(lost[0], /ENOSPC/);
  const none = await EventLog.open(join(folder, "no", "such"), (error) => lost.push(error.message));
  none.append(note("one"));
  await none.close();
  t.equal(lost.length, 2);
  const path = join(folder, "events");
  const log = await EventLog.open(path, (error) => t.fail(error));
  log.append(note("three"));
  await log.close();
  t.match(await readEvents(path), [{ words: "three" }]);
});

t.test("a flip whose report is lost ends as its journals say", async (t) => {
  const intent = { from: "dal-01", to: "chi-02", timeline: 4 };
  const begun = record("op-1", "intent", 1, intent);
  const started = { ...record("op-1", "started", 2, {}), step: "arm" };
  const rejoined = { ...record("op-1", "done", 3, {}), step: "rejoin" };
  const outcome = (facts: JournalRecord["facts"]): JournalRecord =>
    record("op-1", "outcome", 4, facts);
  const rows: { records: JournalRecord[]; want: object; code: number }[] = [
    {
      records: [begun, started, rejoined, outcome({ result: "done" })],
      want: { result: "done", from: "dal-01", rejoined: true, problems: [] },
      code: 0,
    },
    {
      records: [begun, started, outcome({ result: "done" })],
      want: { result: "done", rejoined: false, next: /topology$/ },
      code: 1,
    },
    {
      records: [begun, started, outcome({ result: "undone", step: "hold", reason: "busy" })],
      want: {
        result: "undone",
        loss: /^none: dal-01 keeps/,
        problems: [{ step: "hold", reason: "busy" }],
      },
      code: 1,
    },
    {
      records: [begun, started],
      want: {
        result: "stuck",
        problems: [{ step: "report", reason: "the disk is full" }],
        next: /--resume op-1, or .* --abort op-1$/,
      },
      code: 1,
    },
  ];
  const why = { cause: "the disk is full", now: 9 };
  for (const { records, want, code } of rows) {
    const ending = lostReport("lab", asRequest, records, why);
    t.match(ending, { event: "report", operationId: "op-1", ...want });
    t.equal(exitCodeOfEnding(ending), code);
  }
  for (const records of [[], [begun]]) {
    t.throws(() => exitCodeOfEnding(lostReport("lab", asRequest, records, why)), {
      code: "ERR_FLIP_PROCESS",
      message: "flip op-1 was not begun, and nothing was changed: the disk is full",
    });
  }
});

const pids = { executor: 7, watcher: 8 };
const step = (phase: FlipStepEvent["phase"], more: Partial<FlipStepEvent> = {}): FlipStepEvent => ({
  event: "step",
  step: "stop",
  phase,
  pids,
  ms: 34.4,
  words: "stop Postgres on dal-01",
  ...more,
});

t.test("a line for each event, right in a pipe as well", async (t) => {
  const rows: { event: FlipEvent; want: string[] }[] = [
    { event: step("start"), want: [] },
    { event: step("done"), want: ["  34 ms  stop Postgres on dal-01"] },
    { event: step("skipped"), want: ["         stop Postgres on dal-01: is so already"] },
    {
      event: step("waiting", { ms: 1500, words: "walsender 77" }),
      want: ["1500 ms  ... walsender 77"],
    },
    {
      event: step("failed", { reason: "no\u001B[2J answer" }),
      want: ["  34 ms  FAILED stop Postgres on dal-01: no\uFFFD[2J answer"],
    },
    { event: { event: "note", pids, words: "too late" }, want: ["         note: too late"] },
    {
      event: { ...base.plan, event: "begin", kind: "flip", startedAt: base.startedAt, pids },
      want: ["flip op-1: dal-01 to chi-02, seamless"],
    },
  ];
  for (const { event, want } of rows) t.same(eventPrinter(plain)(event), want);
  const print = eventPrinter(plain);
  const waits = (ms: number, words: string): FlipEvent => step("waiting", { ms, words });
  const undo = (name: string): FlipEvent => step("skipped", { step: name, words: name });
  const run: [FlipEvent, string[]][] = [
    [waits(500, "walsender 7"), [" 500 ms  ... walsender 7"]],
    [waits(1500, "walsender 7"), []],
    [waits(2500, "archiver"), ["2500 ms  ... archiver"]],
    [waits(11_500, "archiver"), []],
    [waits(12_500, "archiver"), [" 12.5 s  ... archiver"]],
    [step("skipped", { step: "prove", words: "prove it" }), ["  34 ms  prove it: proven"]],
    [undo("await-stop"), []],
    [undo("disarm"), []],
    [undo("await-stop"), []],
    [step("done", { step: "drop-slot", words: "drop it" }), ["  34 ms  drop it"]],
    [flipReport(base), ["         2 steps: nothing to take back"]],
  ];
  for (const [event, want] of run) t.same(print(event), want);
  const lines = reportLines(flipReport(base), plain, true).join("\n");
  for (const words of [
    /^DONE {2}chi-02 takes writes, and dal-01 follows/,
    /pause +90 ms/,
    /88 ms/,
  ]) {
    t.match(lines, words);
  }
  t.match(lines, /promote {2}timeline 5/);
  const part = (facts: Partial<ReportFacts>): string =>
    reportLines(flipReport({ ...base, ...facts }), plain, false).join("\n");
  t.match(part({ steps: whole.slice(6) }), /timelines +4 to unknown$/m);
  t.match(
    part({ steps: [], outcome: { result: "undone", failed, left: [] } }),
    /timelines +4, as before$/m,
  );
  const drained = at("drain", "done", 9, { replayed: "0/30000D8" });
  t.match(part({ steps: [drained] }), /LSNs +chi-02 had replayed to 0\/30000D8$/m);
  const stuck: FlipReport = { ...flipReport(base), result: "stuck", problems: [failed], next: "x" };
  t.match(
    reportLines(stuck, plain, false).join("\n"),
    /^STUCK[\s\S]*problem +hold: [\s\S]*next +x/,
  );
});

t.test("events survive a torn end and foreign lines", async (t) => {
  const text = `${JSON.stringify(step("done"))}\nnonsense\n{"a":1}\nnull\n${JSON.stringify(step("start"))}`;
  const all = parseEvents(text);
  t.equal(all.length, 2);
  for (let cut = 0; cut <= text.length; cut += 1) {
    const some = parseEvents(text.slice(0, cut));
    t.same(some, all.slice(0, some.length), `cut at ${cut}`);
  }
});

t.test("prechecks: what is not known for one reason is told once", async (t) => {
  const one = (code: string, more: Partial<Precheck>): Precheck => ({
    ...{
      code,
      title: `title of ${code}`,
      outcome: "ok",
      refuses: false,
      finding: "",
      help: "Mend.",
    },
    ...{ risk: null, ...more },
  });
  const silent = { outcome: "unknown", refuses: true, finding: "chi-02 does not answer" } as const;
  const prechecks = [
    one("H1-a", silent),
    one("H2-b", silent),
    one("H3-lag", { outcome: "refused", refuses: true, finding: "far behind", risk: "lag" }),
    one("H4-c", {}),
  ];
  const request = asRequest;
  const prepared = { request, prechecks, plan: { refused: "no" }, holder: null };
  t.same(findingLines(prepared, plain), [
    "unknown   H1-a                  and 1 more: chi-02 does not answer",
    "refused   H3-lag                far behind",
    "          Mend. Or: --accept-risk=lag",
  ]);
  t.match(dryLines(prepared, plain).join("\n"), /ok +H4-c +title of H4-c[\s\S]*REFUSED {2}no/);
  t.match(dryObject(prepared), { event: "dry-run", plan: null, refused: "no" });
  const planned = { ...prepared, plan };
  t.match(dryLines(planned, plain).join("\n"), /record .*journal\n +stop +stop Postgres on dal-01/);
  t.match(dryObject(planned), { plan: { from: "dal-01", steps: [{ step: "record" }, {}] } });
});

t.test("prechecks: another look is for silence alone", async (t) => {
  const one = (outcome: Precheck["outcome"], finding: string): Precheck => ({
    ...{ code: "H1-a", title: "", help: "", risk: null, finding, outcome },
    refuses: ["refused", "unknown"].includes(outcome),
  });
  const late = one("refused", "app-01: no answer within 1000 ms");
  const derived = one("unknown", "the ends are not known");
  for (const { name, given, want } of [
    { name: "nothing refuses", given: [one("ok", "")], want: false },
    { name: "a late part", given: [one("ok", ""), late], want: true },
    { name: "a late router", given: [one("refused", "no reply within 1000 ms")], want: true },
    { name: "late parts, and what hangs on them", given: [late, derived], want: true },
    { name: "a late part that does not refuse", given: [{ ...late, refuses: false }], want: false },
    { name: "something wrong besides", given: [late, one("refused", "far behind")], want: false },
    { name: "a part that is down", given: [one("unknown", "connection refused")], want: false },
  ]) {
    t.equal(isSilenceAlone(given), want, name);
  }
});

const record = (
  operationId: string,
  phase: JournalRecord["phase"],
  time: number,
  facts = {},
): JournalRecord => ({ operationId, step: "", phase, at: time, facts });

t.test("history joins this host's files with the cluster's journal", async (t) => {
  const ends = { from: "dal-01", to: "chi-02", mode: "fast" };
  const records = [
    record("there", "intent", 1000, ends),
    record("there", "outcome", 2000, { result: "done" }),
    record("here", "intent", 3000, ends),
    record("here", "outcome", 4000, { result: "undone" }),
    record("open", "intent", 5000, ends),
  ];
  const files = { journal: "", events: "" };
  const intent = { operationId: "here", intent: ends, started: [], done: [], undone: [] };
  const state = { ...intent, failed: null, outcome: null };
  const refused = { id: "refused", files, state: undefined, fault: undefined };
  const local = [
    { stored: { id: "here", files, state, fault: undefined }, reports: [] },
    { stored: refused, reports: [] },
  ];
  const all = mergeHistory(local, records);
  t.same(
    all.map(({ operationId, source, result }) => [operationId, source, result]),
    [
      ["open", "cluster", "unfinished"],
      ["here", "here", "undone"],
      ["there", "cluster", "done"],
    ],
    "newest first; another host has ended the one that this host left open",
  );
  t.match(unfinishedOf(all, "ann@desk"), [
    { operationId: "open", holder: "ann@desk", from: "dal-01" },
  ]);
});

t.test("an order is one line, and the end of the pipe is none", async (t) => {
  const pipe = new PassThrough();
  const lines = linesOf(pipe);
  const request = asRequest;
  const order = { request, holder: "ann@desk" };
  pipe.end(orderLine(order));
  t.same(await nextOrder(lines), order);
  t.equal(await nextOrder(lines), undefined);
});
