/** What a fence and an unfence decide from one look, and the marks in a router's file. */
import t from "tap";
import { parseLsn } from "../../../kit/lsn.ts";
import { unknownMember } from "../../../router/member/seen.ts";
import type { MemberSeen } from "../../../router/member/seen.ts";
import { signatureOf } from "../../../router/member/signature.ts";
import type { FenceObservation } from "../../../router/fence/observation.ts";
import { planFence, planUnfence } from "../../../router/fence/plan.ts";
import type { FenceRequest } from "../../../router/fence/plan.ts";
import { fenceRows, unfenceRows } from "../../../router/fence/steps.ts";
import { fenceMarksIn, keepFences, withFenceMarks } from "../../../router/haproxy/fence-marks.ts";

const request: FenceRequest = {
  environment: "prod",
  operationId: "one",
  member: "dal-01",
  by: "anna@ops-1",
  at: "2026-11-21T02:00:00.000Z",
  why: "its disk",
  othersUnknown: false,
};

const control = (state: string, timeline = 1) => ({
  state,
  timeline,
  checkpoint: parseLsn("0/3000000"),
  systemIdentifier: "7",
});

const primary: MemberSeen = {
  ...unknownMember,
  reached: true,
  role: "primary",
  writable: true,
  timeline: 1,
  process: "alive",
  control: control("in production"),
  armed: null,
};
const standby: MemberSeen = {
  ...primary,
  role: "standby",
  writable: false,
  streamsFrom: "dal-01",
  control: control("in archive recovery"),
  armed: { by: "" },
};
const down = { ...unknownMember, process: "gone", promoteFile: false } as const;
const stopped: MemberSeen = { ...down, control: control("shut down"), armed: { by: "fence" } };
const flipArms = signatureOf({
  operationId: "20261121T020000-abcd",
  run: "0123456789abcdef",
  from: "dal-01",
  to: "chi-02",
  timeline: 1,
  systemIdentifier: "7",
});

const seen = (member: MemberSeen, other: MemberSeen): FenceObservation => ({
  member,
  others: { "chi-02": other },
  routers: [],
  files: [],
});

const newer: MemberSeen = { ...primary, timeline: 2, control: control("in production", 2) };

t.test("fence", async (t) => {
  const cases = [
    { name: "the only primary", at: seen(primary, standby), sign: "fence", ends: true },
    { name: "a standby", at: seen(standby, primary), sign: "fence standby", ends: false },
    { name: "one of two primaries", at: seen(primary, newer), sign: "fence", ends: false },
    { name: "nobody answers", at: seen(unknownMember, unknownMember), sign: "fence", ends: true },
    {
      name: "unknown beside a primary",
      at: seen(unknownMember, newer),
      sign: "fence",
      ends: false,
    },
    {
      name: "a primary that is down",
      at: seen({ ...stopped, armed: null }, standby),
      sign: "fence",
      ends: false,
    },
    {
      name: "down and armed by a flip",
      at: seen({ ...stopped, armed: { by: flipArms } }, standby),
      sign: "fence",
      ends: false,
    },
    {
      name: "a standby since a flip, whose signature stays",
      at: seen({ ...standby, timeline: 2, armed: { by: flipArms } }, newer),
      sign: "fence standby",
      ends: false,
    },
    {
      name: "the same, down",
      at: seen(
        { ...stopped, armed: { by: flipArms }, control: control("shut down in recovery", 2) },
        newer,
      ),
      sign: "fence standby",
      ends: false,
    },
    {
      name: "an old primary that came up read-only in the middle of a flip",
      at: seen({ ...standby, armed: { by: flipArms }, streamsFrom: null }, standby),
      sign: "fence",
      ends: false,
    },
    {
      name: "a standby that is down",
      at: seen(
        { ...stopped, armed: { by: "" }, control: control("shut down in recovery") },
        primary,
      ),
      sign: "fence standby",
      ends: false,
    },
    {
      name: "fenced before as a primary",
      at: seen({ ...standby, armed: { by: "fence" } }, standby),
      sign: "fence",
      ends: false,
    },
    {
      name: "fenced before as a standby",
      at: seen({ ...stopped, armed: { by: "fence standby" } }, primary),
      sign: "fence standby",
      ends: false,
    },
  ] as const;
  for (const { name, at, sign, ends } of cases) {
    const { plan, endsWrites } = planFence(request, at);
    t.same([plan.signature, endsWrites], [sign, ends], name);
  }
  const other = planFence(request, seen({ ...standby, armed: null }, primary));
  t.equal(other.plan.signature, "fence standby", "a standby by recovery.signal alone");
  t.same(
    fenceRows.map((row) => row.step),
    ["arm", "take-down", "stop", "prove", "mark-files"],
  );
});

t.test("unfence brings it back as what it was", async (t) => {
  const cases = [
    { name: "stopped beside its standby", at: seen(stopped, standby), restores: "primary" },
    {
      name: "killed after it was disarmed",
      at: seen({ ...stopped, armed: null }, standby),
      restores: "primary",
    },
    {
      name: "restarted by force, read-only",
      at: seen({ ...standby, armed: { by: "fence" }, streamsFrom: null }, standby),
      restores: "primary",
    },
    {
      name: "armed and never stopped",
      at: seen({ ...primary, armed: { by: "fence" } }, standby),
      restores: "primary",
    },
    {
      name: "a primary that somebody armed by hand",
      at: seen({ ...primary, armed: { by: "" } }, standby),
      restores: "primary",
    },
    {
      name: "a primary that only the routers hold down",
      at: seen(primary, standby),
      restores: "routers",
    },
    {
      name: "beside another that is proven down",
      at: seen(stopped, { ...down, armed: { by: "" }, control: control("shut down in recovery") }),
      restores: "primary",
    },
    {
      name: "a fenced standby beside its primary",
      at: seen({ ...stopped, armed: { by: "fence standby" } }, primary),
      restores: "standby",
    },
    {
      name: "rebuilt, and streaming from the new primary",
      at: seen({ ...standby, streamsFrom: "chi-02" }, newer),
      restores: "routers",
    },
    {
      name: "a standby since a flip, whose signature stays, held down by the routers alone",
      at: seen({ ...standby, timeline: 2, streamsFrom: "chi-02", armed: { by: flipArms } }, newer),
      restores: "routers",
    },
    {
      name: "started as a standby of the new primary",
      at: seen({ ...standby, streamsFrom: "chi-02", armed: { by: "fence" } }, newer),
      restores: "standby",
    },
  ] as const;
  for (const { name, at, restores } of cases) {
    const decided = planUnfence(request, at);
    t.equal("plan" in decided ? decided.plan.restores : decided.refused, restores, name);
  }
});

t.test("unfence never makes two primaries", async (t) => {
  const rebuild = /bin\/recovery prod rebuild-standby --member dal-01/;
  const cases = [
    { name: "another takes writes", at: seen(stopped, newer), says: rebuild },
    {
      name: "another is a read-only primary",
      at: seen(stopped, { ...newer, writable: false }),
      says: rebuild,
    },
    {
      name: "another was promoted, and is down",
      at: seen(stopped, { ...down, armed: null, control: control("shut down", 2) }),
      says: rebuild,
    },
    {
      name: "another is unknown",
      at: seen(stopped, unknownMember),
      says: /nothing is known of chi-02.*--accept-risk=other-unknown/,
    },
    {
      name: "another is alive and does not answer",
      at: seen(stopped, { ...unknownMember, process: "alive" }),
      says: /nothing is known of chi-02/,
    },
    {
      name: "its own host is unknown",
      at: seen(unknownMember, standby),
      says: /nothing is known of the host of dal-01/,
    },
    {
      name: "it is being stopped",
      at: seen({ ...stopped, process: "stopping" }, standby),
      says: /is being stopped/,
    },
    {
      name: "a flip has armed it",
      at: seen({ ...stopped, armed: { by: flipArms } }, standby),
      says: /flip-db --resume or .*--abort/,
    },
    {
      name: "fenced, running and armed beside another primary",
      at: seen({ ...primary, armed: { by: "fence" } }, newer),
      says: rebuild,
    },
  ] as const;
  for (const { name, at, says } of cases) {
    const decided = planUnfence(request, at);
    t.match("refused" in decided ? decided.refused : "it was allowed", says, name);
  }
  const risky = planUnfence({ ...request, othersUnknown: true }, seen(stopped, unknownMember));
  t.ok("plan" in risky, "the operator may answer for what is not known");
  t.ok("refused" in planUnfence({ ...request, othersUnknown: true }, seen(stopped, newer)));
});

t.test("every row of an unfence that starts a primary looks again", async (t) => {
  const decided = planUnfence(request, seen(stopped, standby));
  if (!("plan" in decided)) throw new Error(decided.refused);
  const rows = unfenceRows(decided.plan, true, "standby");
  t.same(
    rows.map((row) => row.step),
    ["stop-read-only", "disarm", "start", "unmark-files", "let-up"],
  );
  for (const row of rows.slice(0, 3)) {
    const disarmed = { ...stopped, armed: null };
    t.equal(row.whyNot(decided.plan, seen(disarmed, standby)), undefined, row.step);
    t.match(
      row.whyNot(decided.plan, seen(disarmed, newer)),
      /two must never take writes/,
      row.step,
    );
    t.ok(row.needsLock, row.step);
  }
  const [, , start] = rows;
  t.match(start?.whyNot(decided.plan, seen(stopped, standby)), /is armed, or may be/);
  t.notOk(start?.isDone?.(decided.plan, seen({ ...standby, armed: null }, standby)));
});

const text = `frontend stats
  bind 10.0.0.1:8404
listen pg-primary
  server dal-01 10.0.0.1:6432 check addr 10.0.0.1 port 8008
  server chi-02 10.0.0.2:6432 check addr 10.0.0.2 port 8008
  server hold 10.0.0.9:6433 backup maxconn 1
listen pg-replica
  server dal-01 10.0.0.1:6432 track replica-probe-dal-01/probe
  server primary.dal-01 10.0.0.1:6432 track pg-primary/dal-01 backup
`;
const mark = { member: "dal-01", by: "anna@ops-1", at: request.at, why: "its disk: old" };

t.test("fence marks", async (t) => {
  const fenced = withFenceMarks(text, [mark]);
  t.same(fenceMarksIn(fenced), [mark], "what was written is read");
  t.same(
    fenced
      .split("\n")
      .filter((line) => line.endsWith(" disabled"))
      .map((line) => line.split(" ")[3]),
    ["dal-01", "dal-01"],
    "writes and reads, and nothing else",
  );
  t.equal(withFenceMarks(fenced, [mark]), fenced, "a second time changes nothing");
  t.equal(withFenceMarks(fenced, []), text, "lifted, nothing is left of it");
  t.equal(keepFences(text, fenced), fenced, "a new text takes the marks over");
  t.equal(keepFences(fenced, text), text);
  t.equal(keepFences(text, undefined), text);
  const wicked = {
    ...mark,
    by: "anna: \u202Eb",
    why: "a\n  server x 10.9.9.9:1\u0000 " + "y".repeat(500),
  };
  const marked = withFenceMarks(text, [wicked]);
  t.equal(marked.split("\n").length, fenced.split("\n").length, "no text adds a line");
  t.match(fenceMarksIn(marked), [{ member: "dal-01", at: mark.at, why: /^a {3}server x/ }]);
  t.equal(withFenceMarks(marked, []), text);
});
