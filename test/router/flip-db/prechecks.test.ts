/** Every precheck is made to fire over a cluster that is ready for a flip; what is unknown never passes. */
import t from "tap";
import { precheckRows, risks, runPrechecks } from "../../../router/flip-db/prechecks.ts";
import type { PrecheckRequest } from "../../../router/flip-db/prechecks/judge.ts";
import { helps } from "../../../router/flip-db/prechecks/help.ts";
import {
  conninfoVariables,
  freeBytesOf,
  restoreWords,
} from "../../../router/flip-db/prechecks/host-words.ts";
import { chooseMode } from "../../../router/flip-db/prechecks/mode.ts";
import { readClients, readServers } from "../../../router/pooler/sessions.ts";
import { precheckCases } from "./precheck-cases.ts";
import { factsOf, fineWorld, handlesOf, unknowns } from "./precheck-world.ts";
import type { PrecheckWorld } from "./precheck-world.ts";

const request: PrecheckRequest = { mode: "seamless", wanted: "auto", acceptedRisks: [] };
/** Told always: nothing has to be found for it. */
const always = ["S2-not-replicated"];

function judged(one: PrecheckWorld, asked: Partial<PrecheckRequest> = {}) {
  return runPrechecks(factsOf(one), { ...request, ...asked });
}

/** A world that a case has broken. */
function broken(index: number): PrecheckWorld {
  const one = fineWorld();
  precheckCases[index]?.breaks(handlesOf(one));
  return one;
}

t.test("a cluster that is ready has no finding", async (t) => {
  const found = judged(fineWorld()).filter((one) => one.outcome !== "ok");
  t.same(
    found.map((one) => one.code),
    always,
  );
  t.same(chooseMode(factsOf(fineWorld()), "auto"), { mode: "seamless", why: [] });
});

t.test("every row has a case, words for people and a help of its own", async (t) => {
  const codes = precheckRows.map((one) => one.code);
  t.equal(new Set(codes).size, codes.length);
  t.same(
    codes.toSorted(),
    [...new Set(precheckCases.map((one) => one.code)), ...always].toSorted(),
  );
  t.same(Object.keys(helps).toSorted(), codes.toSorted());
  for (const row of precheckRows) {
    t.match(row.code, /^[HS][0-9]+(-[a-z]+)+$/);
    t.match(row.help, /[.a-z]$/i, row.code);
    t.ok(row.risk === undefined || row.weight === "refuse", row.code);
  }
  for (const name of risks) t.match(name, /^[a-z]+(-[a-z]+)*$/);
});

for (const [index, { code, says, also = [] }] of precheckCases.entries()) {
  t.test(`${code}, case ${index + 1}`, async (t) => {
    const found = judged(broken(index));
    const row = precheckRows.find((one) => one.code === code);
    const check = found.find((one) => one.code === code);
    t.match(check?.finding, says);
    t.notMatch(check?.help, /\b(ENV|FROM|TO)\b/);
    t.equal(check?.refuses, row?.weight === "refuse");
    t.not(check?.outcome, "unknown");
    const others = found.filter((one) => !["ok", "unknown"].includes(one.outcome));
    t.same(
      others.map((one) => one.code).toSorted(),
      [...new Set([code, ...also, ...always])].toSorted(),
    );
    const accepted = judged(broken(index), { acceptedRisks: risks });
    const again = accepted.find((one) => one.code === code);
    const isRisk = row?.risk !== undefined;
    t.equal(again?.refuses, row?.weight === "refuse" && !isRisk);
    if (isRisk) t.equal(again?.outcome, "accepted");
  });
}

t.test("what is not known never passes where a finding would refuse", async (t) => {
  const dark = fineWorld();
  for (const one of unknowns(dark)) one.make();
  const seesNothing = judged({ ...dark, extra: { ...dark.extra, from: null, to: null } });
  const passed = seesNothing.filter((one) => one.outcome === "ok");
  // How many members and routers there are stands in the environment.
  t.same(
    passed.map((one) => one.code),
    ["H1-two-members", "H1-monitor", "H12-no-router", "H16-registry", "H16-resolvers"],
  );

  for (const [index, { code }] of precheckCases.entries()) {
    const parts = unknowns(broken(index)).length;
    for (let part = 0; part < parts; part += 1) {
      const one = broken(index);
      const hidden = unknowns(one)[part];
      hidden?.make();
      const check = judged(one).find((found) => found.code === code);
      if (check?.outcome === "ok") t.fail(`${code}, case ${index + 1}, without ${hidden?.name}`);
    }
  }
});

t.test("by name, seamless refuses what auto only tells", async (t) => {
  const index = precheckCases.findIndex((one) => one.code === "H11-direct");
  const weigh = (asked: Partial<PrecheckRequest>) =>
    judged(broken(index), asked).find((one) => one.code === "H11-direct");
  t.match(weigh({ wanted: "auto" }), { outcome: "warned", refuses: false });
  t.match(weigh({ wanted: "seamless" }), { outcome: "refused", refuses: true });
  t.equal(chooseMode(factsOf(broken(index)), "auto").mode, "seamless");

  const ungated = precheckCases.findIndex((one) => one.code === "H11-seamless");
  t.match(chooseMode(factsOf(broken(ungated)), "auto"), { mode: "fast", why: [/pools app/] });
  t.equal(chooseMode(factsOf(broken(ungated)), "seamless").mode, "seamless");
  t.match(
    judged(broken(ungated), { wanted: "seamless" }).find((one) => one.code === "H11-seamless"),
    { refuses: true },
  );
  t.notOk(judged(fineWorld(), { mode: "fast" }).some((one) => one.code === "H11-gate"));
});

t.test("sessions that come or go between the looks are not counted", async (t) => {
  const one = fineWorld();
  const { backends, nodeClients, sessions } = handlesOf(one);
  backends.first.push({ pid: 1, user: "a", database: "b", application: "", address: "c" });
  nodeClients.last.push({ id: "c9", user: "a", database: "b", application: "", address: "c" });
  sessions("app-01").last.push({ source: "10.9.9.9:1", server: "dal-01", old: false });
  const found = judged(one).filter((check) => check.outcome !== "ok");
  t.same(
    found.map((check) => check.code),
    always,
  );
});

t.test("connection strings become variables", async (t) => {
  const cases = [
    { given: "", want: null },
    { given: "postgresql://a/b", want: null },
    {
      given: String.raw`host=10.0.0.2 port = 5432 user=r password='it''s' options='-c x'`,
      want: { PGHOST: "10.0.0.2", PGPORT: "5432", PGUSER: "r", PGPASSWORD: "it" },
    },
    {
      given: String.raw`host=a password='a\'b \\c' sslmode=require connect_timeout=9`,
      want: { PGHOST: "a", PGPASSWORD: String.raw`a'b \c`, PGSSLMODE: "require" },
    },
  ];
  for (const { given, want } of cases) t.match(conninfoVariables(given), want, given);
  t.equal(conninfoVariables("host=a connect_timeout=9")?.["PGCONNECT_TIMEOUT"], "9");
});

t.test("the words and the output of programs", async (t) => {
  t.equal(restoreWords("  ", "/data", "/tmp/x"), null);
  t.match(restoreWords("cp /a%%/%f %p", "/data", "/tmp/x"), [
    "sh",
    "-c",
    /cp \/a%\/FFFFFFFF\.history \/tmp\/x/,
    "sh",
    "/data",
    "/tmp/x",
  ]);
  const printed =
    "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 100 40 60 40% /\nmissing x\n";
  t.equal(freeBytesOf(printed), 60 * 1024);
  t.equal(freeBytesOf("df: no such file"), null);
  t.same(
    readServers([
      { database: "app", local_addr: "::ffff:10.0.1.1", local_port: 4000, remote_pid: 7 },
      { database: "pgbouncer", local_addr: "x", local_port: 1 },
    ]),
    [{ database: "app", local: "10.0.1.1:4000", backendPid: 7 }],
  );
  t.match(readClients([{ ptr: "0x1", database: "app", user: "u", addr: "a", port: 1 }]), [
    { user: "u", database: "app", address: "a", application: "" },
  ]);
});
