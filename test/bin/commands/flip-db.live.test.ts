/**
 * `recovery ENV flip-db`, `history` and `failover` as an operator uses them: real processes on a
 * real lab, with real signals.
 */
import { mkdtemp, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import type { Client } from "pg";
import { eventually } from "../../../kit/clock.ts";
import { runChild } from "../../../kit/child.ts";
import { parseEvents } from "../../../router/flip-db/event-log.ts";
import { acquireClusterLock } from "../../../router/postgres/lock.ts";
import { makePatient, withLab } from "../../support/lab.ts";
import { startRecovery } from "../../support/recovery-process.ts";
import type { RecoveryProcess } from "../../support/recovery-process.ts";

const lab = await withLab(t);
// A hold of two seconds would be over before two other operators were refused meanwhile, and a lease
// of five before a watcher on a busy machine lets the clients of a dead executor go on.
await makePatient(lab, "flip:\n  holdDeadline: 20s\n  holdTtl: 20s\n");
const stateHome = await mkdtemp(join(tmpdir(), "switchyard-flip-"));
t.teardown(() => rm(stateHome, { recursive: true, force: true }));

const recovery = (...words: string[]): RecoveryProcess =>
  startRecovery(t, [lab.name, ...words], { stateHome });
const atTerminal = (...words: string[]): RecoveryProcess =>
  startRecovery(t, [lab.name, ...words], { stateHome, terminal: true });

const member = (name: string) => {
  const found = lab.json.members.find((one) => one.name === name);
  if (found === undefined) throw new TypeError(`no member ${name}`);
  return found;
};

async function rowsOn(name: string, text: string): Promise<Record<string, unknown>[]> {
  const client = await lab.connect(member(name).postgres, { as: "superuser" });
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

/** The member that takes writes, as Postgres says it. */
async function primary(): Promise<string> {
  for (const { name } of lab.json.members) {
    const [row] = await rowsOn(name, "SELECT pg_is_in_recovery() AS standby");
    if (row?.["standby"] === false) return name;
  }
  throw new Error("no member takes writes");
}

const other = (name: string): string => (name === "dal-01" ? "chi-02" : "dal-01");

/** A client in a transaction, behind the edge pooler: a hold waits for it. */
async function openTransaction(): Promise<Client> {
  const client = await lab.connect(lab.json.edge);
  await client.query("BEGIN");
  await client.query("SELECT 1");
  return client;
}

const soon = { deadlineMs: 60_000, intervalMs: 300 };

async function untilHealthy(): Promise<void> {
  await eventually("healthy topology", soon, async () => {
    const topology = recovery("topology", "--json");
    return (await topology.end()) === 0 ? true : undefined;
  });
}

const insert = async (): Promise<void> => {
  const client = await lab.connect(lab.json.edge);
  await client.query("CREATE TABLE IF NOT EXISTS flip_seen (at timestamptz DEFAULT now())");
  await client.query("INSERT INTO flip_seen DEFAULT VALUES");
  await client.end();
};

/** What this host keeps of operations. */
async function journals(): Promise<string[]> {
  const files = await readdir(stateHome, { recursive: true });
  return files.filter((one) => one.endsWith(".jsonl"));
}

/** The event files of this host's flips, by age. */
async function openFlips(): Promise<string[]> {
  const files = await journals();
  const events = files.filter((one) => one.endsWith(".events.jsonl")).toSorted();
  return events.map((one) => join(stateHome, one));
}

t.test("words that cannot be meant are refused before anything is looked at", async (t) => {
  const rows = [
    { words: ["filp-db"], code: 64, says: /did you mean flip-db/ },
    { words: ["flip-db", "--dryrun"], code: 64, says: /did you mean --dry-run/ },
    { words: ["flip-db", "--to", "chi-2", "--yes"], code: 64, says: /did you mean chi-02/ },
    { words: ["flip-db", "--mode", "quick"], code: 64, says: /auto, seamless, fast/ },
    { words: ["flip-db", "--accept-risk=lags"], code: 64, says: /did you mean lag\?/ },
    { words: ["flip-db", "--resume", "--abort"], code: 64, says: /give one/ },
    { words: ["flip-db", "--resume", "../x", "--yes"], code: 64, says: /not the id/ },
    { words: ["history", "nobody-knows"], code: 64, says: /no operation/ },
  ];
  for (const { words, code, says } of rows) {
    const one = recovery(...words);
    t.equal(await one.end(), code, words.join(" "));
    t.match(one.notes(), says);
  }
  const nowhere = startRecovery(t, ["nowhere", "flip-db"], { stateHome });
  t.equal(await nowhere.end(), 78);
});

t.test(
  "a dry run, a run that nobody confirms, and a flip to the primary (pitfall 7) change nothing",
  async (t) => {
    const before = await rowsOn(
      "dal-01",
      "SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS x",
    );
    const dry = recovery("flip-db", "--dry-run");
    t.equal(await dry.end(), 0, dry.notes());
    t.match(dry.out(), /H1-one-writer[\s\S]*plan: dal-01 to chi-02, seamless[\s\S]*promote/);
    const asJson = recovery("flip-db", "--dry-run", "--json");
    t.equal(await asJson.end(), 0);
    t.match(JSON.parse(asJson.out()), { event: "dry-run", plan: { from: "dal-01" } });

    const unasked = recovery("flip-db");
    t.equal(await unasked.end(), 3);
    t.match(unasked.notes(), /--yes/);
    const silent = recovery("flip-db", "--json");
    t.equal(await silent.end(), 3);
    t.match(JSON.parse(silent.out()), { event: "failure", code: "ERR_REFUSED" });
    const already = recovery("flip-db", "--to", "dal-01", "--yes");
    t.equal(await already.end(), 3);
    t.match(already.notes(), /is the primary already/);

    const after = await rowsOn(
      "dal-01",
      "SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS x",
    );
    t.same(after, before, "no transaction has written");
    const schema = "SELECT to_regnamespace('switchyard') IS NULL AS none";
    t.same(await rowsOn("dal-01", schema), [{ none: true }], "no journal");
    t.same(await journals(), [], "no journal on this host");
  },
);

t.test("no and Ctrl-C at the question are 4, and nothing was changed", async (t) => {
  const question = /Flip writes from dal-01 to chi-02 \(seamless.*\[y\/N\]/;
  for (const answer of ["n\r", "\r", "\u0003"]) {
    const asked = atTerminal("flip-db");
    await asked.says(question);
    asked.child.stdin?.write(answer);
    t.equal(await asked.end(), 4, asked.out());
  }
  t.equal(await primary(), "dal-01");
  t.same(await journals(), [], "no journal on this host");
});

t.test("an operator at a terminal says yes and sees every step", async (t) => {
  await insert();
  const flip = atTerminal("flip-db");
  await flip.says(/\[y\/N\]/);
  flip.child.stdin?.write("y\r");
  t.equal(await flip.end(), 0, flip.out());
  for (const words of [/ms {2}promote chi-02/, /DONE {2}chi-02 takes writes, and dal-01 follows/]) {
    t.match(flip.out(), words);
  }
  t.match(flip.out(), /loss +none, proven by/);
  t.equal(await primary(), "chi-02");
});

t.test("--json prints a line for each event and the report last", async (t) => {
  const from = await primary();
  const flip = recovery("flip-db", "--yes", "--json");
  t.equal(await flip.end(), 0, flip.notes());
  const [first, ...rest] = flip.events();
  t.match(first, { event: "begin", from, kind: "flip", mode: "seamless" });
  const steps = rest.filter((one) => one.event === "step");
  for (const one of steps) {
    t.match(one, { step: String, phase: String, ms: Number, words: String });
    t.match(one.pids, { executor: Number, watcher: Number });
  }
  for (const name of ["record", "arm", "hold", "stop", "promote", "release", "rejoin", "close"]) {
    t.ok(
      steps.some((one) => one.step === name && one.phase === "done"),
      name,
    );
  }
  const report = flip.report();
  t.match(report, {
    result: "done",
    from,
    to: other(from),
    rejoined: true,
    problems: [],
    next: null,
  });
  t.match(report.loss, /^none, proven by/);
  t.equal(report.timelines.after, report.timelines.before + 1);
  t.type(report.pauseMs, "number");
  t.equal(await primary(), other(from));

  const list = recovery("history", "--json");
  t.equal(await list.end(), 0);
  const { operations } = JSON.parse(list.out()) as { operations: { operationId: string }[] };
  t.equal(operations.length, 2, "the newest first");
  t.equal(operations[0]?.operationId, report.operationId);
  const elsewhere = startRecovery(t, [lab.name, "history"], { stateHome: join(stateHome, "none") });
  t.equal(await elsewhere.end(), 0);
  t.match(elsewhere.out(), new RegExp(`${report.operationId}.*done`), "from the cluster's journal");
});

t.test("the lock of another operation is 75 and says whose", async (t) => {
  const members = lab.environment.members.map((one) => one.name);
  const purpose = { holder: "ann@desk", why: "tidying up" };
  const hold = await acquireClusterLock(lab.environment, members, purpose, { deadlineMs: 5000 });
  try {
    const flip = recovery("flip-db", "--yes");
    t.equal(await flip.end(), 75, flip.notes());
    t.match(flip.notes(), /ann@desk/);
    const words = [lab.name, "apply", "--yes"];
    const apply = startRecovery(t, words, { stateHome, program: "router" });
    t.equal(await apply.end(), 75, "a reload would leave sessions where a flip does not see them");
    t.match(apply.notes(), /ann@desk since .* for tidying up/);
  } finally {
    await hold.release();
  }
});

t.test(
  "a folder that cannot be written to is 69, and the variable that moves it is named",
  async (t) => {
    const flip = startRecovery(t, [lab.name, "flip-db", "--yes"], { stateHome: "/proc/self" });
    t.equal(await flip.end(), 69, flip.notes());
    t.match(flip.notes(), /folder for the journals.*\/proc\/self.*XDG_STATE_HOME moves it/);
  },
);

t.test(
  "an event file that takes nothing more does not end a flip; its journal is told",
  async (t) => {
    const from = await primary();
    const client = await openTransaction();
    const flip = recovery("flip-db", "--yes", "--accept-risk=long-transactions");
    await flip.says(/running transactions behind/);
    const [begun = ""] = (await openFlips()).slice(-1);
    const [first] = parseEvents(await readFile(begun, "utf8"));
    const pid = first?.event === "begin" ? first.pids.executor : 0;
    const { size } = await stat(begun);
    await runChild("prlimit", ["--pid", String(pid), `--fsize=${size * 2}`], { deadlineMs: 5000 });
    process.kill(pid, "SIGINT");
    t.equal(await flip.end(), 1, flip.out() + flip.notes());
    t.match(flip.out(), /note: the executor ended without a word; its log is/);
    t.match(flip.out(), new RegExp(`UNDONE {2}${from} takes writes, as before`));
    t.match(flip.out(), /problem +hold: /);
    await client.query("COMMIT");
    await client.end();
    t.equal(await primary(), from);
    await untilHealthy();
  },
);

t.test("Ctrl-C before the stop takes everything back", async (t) => {
  const from = await primary();
  const client = await openTransaction();
  const flip = recovery("flip-db", "--yes", "--json", "--accept-risk=long-transactions");
  await flip.step("hold", "start");
  // A second operator meanwhile: what looks unfinished is at work.
  const elsewhere = join(stateHome, "elsewhere");
  for (const words of [
    ["flip-db", "--yes"],
    ["unfence", from, "--yes"],
  ]) {
    const second = startRecovery(t, [lab.name, ...words], { stateHome: elsewhere });
    t.equal(await second.end(), 75, second.notes());
    t.match(second.notes(), /held by .* since 2.* for flip .*docs\/runbooks\/flip-db\.md/);
  }
  flip.child.kill("SIGINT");
  t.equal(await flip.end(), 4, flip.out() + flip.notes());
  t.match(flip.report(), { result: "undone", aborted: true, from });
  await client.query("COMMIT");
  await client.end();
  await insert();
  t.equal(await primary(), from);
  t.same(
    (await journals()).filter((one) => one.startsWith("elsewhere")),
    [],
    "what was refused has left nothing",
  );
  await untilHealthy();
});

t.test("pitfall 3: a second Ctrl-C leaves, and what was begun comes to its end", async (t) => {
  const from = await primary();
  const client = await openTransaction();
  const flip = recovery("flip-db", "--yes", "--json", "--accept-risk=long-transactions");
  await flip.step("hold", "start");
  // Until this lets go, nobody can write down that the flip was undone: it has not ended before.
  const keeper = await lab.connect(member(from).postgres, {
    as: "superuser",
    database: "postgres",
  });
  await keeper.query("BEGIN; LOCK TABLE switchyard.operation_record IN EXCLUSIVE MODE");
  flip.child.kill("SIGINT");
  await flip.says(/asked to abort/);
  flip.child.kill("SIGINT");
  t.equal(await flip.end(), 1, flip.out() + flip.notes());
  await keeper.query("ROLLBACK");
  t.match(flip.notes(), /goes on without this terminal; see .* history [0-9T]+-[0-9a-f]+/);
  await eventually("its end", soon, async () => {
    const list = recovery("history");
    await list.end();
    return /seamless +undone/.test(list.out().split("\n")[1] ?? "") ? true : undefined;
  });
  await client.query("COMMIT");
  await client.end();
  t.equal(await primary(), from);
});

t.test("Ctrl-C after the promotion was sent says that it goes on, and it does", async (t) => {
  const to = other(await primary());
  const flip = recovery("flip-db", "--yes", "--json");
  await flip.step("promote", "done");
  flip.child.kill("SIGINT");
  t.equal(await flip.end(), 0, flip.out() + flip.notes());
  t.match(flip.report(), { result: "done", aborted: false, to });
  t.equal(await primary(), to);
});

t.test("a killed terminal does not disturb the flip", async (t) => {
  const to = other(await primary());
  const flip = recovery("flip-db", "--yes", "--json");
  await flip.step("record", "start");
  flip.child.kill("SIGKILL");
  await flip.end();
  await eventually("the flip's end", { deadlineMs: 60_000, intervalMs: 200 }, async () =>
    (await primary().catch(() => "")) === to ? true : undefined,
  );
  await untilHealthy();
  const newest = await eventually("it is told of as ended", soon, async () => {
    const list = recovery("history");
    await list.end();
    const [, line = ""] = list.out().split("\n");
    return / done /.test(line) ? line : undefined;
  });
  t.match(newest, to);
});

t.test("the executor killed before the stop leaves nothing that holds anybody up", async (t) => {
  const from = await primary();
  const client = await openTransaction();
  const flip = recovery("flip-db", "--yes", "--json", "--accept-risk=long-transactions");
  const { pids } = await flip.step("hold", "start");
  process.kill(pids.executor, "SIGKILL");
  t.equal(await flip.end(), 1, flip.out() + flip.notes());
  const report = flip.report();
  t.match(report, { result: "stuck", from });
  t.match(report.next, /--abort/);
  await client.query("COMMIT");
  await client.end();
  await eventually("writes", { deadlineMs: 60_000, intervalMs: 200 }, async () => {
    await insert();
    return true;
  });
  const topology = recovery("topology", "--json");
  await topology.end();
  const { findings } = JSON.parse(topology.out()) as { findings: { code: string }[] };
  t.match(
    findings.find((one) => one.code === "flip-unfinished"),
    { part: report.operationId, todo: new RegExp(`--abort ${report.operationId}`) },
  );
  const again = recovery("flip-db", "--yes");
  t.equal(await again.end(), 3, "an unfinished flip comes first");
  t.match(again.notes(), /--resume|--abort/);
  const abort = recovery("flip-db", "--abort", report.operationId, "--yes", "--json");
  t.equal(await abort.end(), 0, abort.out() + abort.notes());
  t.match(abort.report(), { kind: "abort", result: "undone" });
  t.equal(await primary(), from);
  await untilHealthy();
});

t.test("the watcher goes on when the executor is killed after the stop", async (t) => {
  const from = await primary();
  const to = other(from);
  const find = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'";
  const [row] = await rowsOn(to, find);
  const startup = Number(row?.["pid"]);
  const client = await openTransaction();
  const flip = recovery("flip-db", "--yes", "--json", "--accept-risk=long-transactions");
  await flip.step("hold", "start");
  // Without replay there is no proof, so the flip waits between stop and promotion.
  process.kill(startup, "SIGSTOP");
  t.teardown(() => {
    try {
      process.kill(startup, "SIGCONT");
    } catch {
      // It has ended with the recovery, as it should.
    }
  });
  await client.query("COMMIT");
  await client.end();
  const { pids } = await flip.step("prove", "start");
  process.kill(pids.executor, "SIGKILL");
  process.kill(startup, "SIGCONT");
  t.equal(await flip.end(), 0, flip.out() + flip.notes());
  const report = flip.report();
  t.match(report, { kind: "resume", result: "done", from, to, rejoined: true });
  t.match(report.loss, /^none, proven by/);
  t.equal(flip.events().find((one) => one.event === "note")?.pids.executor, pids.watcher);
  const released = flip.events().filter((one) => one.event === "step" && one.step === "release");
  t.match(released.at(-1), { phase: "done" }, "the clients did not wait for the end of the lease");
  t.equal(await primary(), to);
  await untilHealthy();
});

t.test("a secret that cannot be read, a dead and a frozen member", async (t) => {
  const folder = join(lab.place.root, lab.name, "secrets");
  await rename(folder, `${folder}.away`);
  const blind = recovery("flip-db", "--yes");
  t.equal(await blind.end(), 78);
  await rename(`${folder}.away`, folder);
  t.match(blind.notes(), /secrets/);

  const standby = other(await primary());
  for (const [hurt, mend] of [
    ["freeze", "thaw"],
    ["stop", "start"],
  ] as const) {
    await lab.run(hurt, `${standby}/postgres`);
    const flip = recovery("flip-db", "--yes");
    t.equal(await flip.end(), 3, flip.notes());
    t.match(flip.notes(), new RegExp(`${standby} does not answer`));
    await lab.run(mend, `${standby}/postgres`);
  }
  await untilHealthy();
});

t.test("a part that was silent is looked at once more, and only once", async (t) => {
  const again = "some parts were silent; looking again";
  await lab.run("freeze", "app-01/router");
  try {
    const stays = recovery("flip-db", "--dry-run", "--json");
    t.equal(await stays.end(), 3, stays.notes());
    t.match(stays.out(), /H12-routers/);
    t.equal(stays.notes().split(again).length, 2, "once");
    t.match(JSON.parse(stays.out()), { event: "dry-run" }, "nothing but the object");
    const passes = recovery("flip-db", "--dry-run");
    await passes.says(new RegExp(again));
    await lab.run("thaw", "app-01/router");
    t.equal(await passes.end(), 0, passes.out() + passes.notes());
  } finally {
    await lab.run("thaw", "app-01/router");
  }
});

t.test(
  "pitfall 11: failover wants the operator's word, shows the possible loss, and promotes",
  async (t) => {
    const from = await primary();
    const early = recovery("failover", "--yes");
    t.equal(await early.end(), 3, "a primary that takes writes is flipped instead");
    t.match(early.notes(), /flip-db/);
    await lab.run("kill", `${from}/postgres`);
    for (const words of [[], [`--dead=${other(from)}`]]) {
      const unproven = recovery("failover", "--yes", ...words);
      t.equal(await unproven.end(), 3, unproven.notes());
      t.match(unproven.notes(), /loss of acknowledged rows/);
    }
    const failover = recovery("failover", "--yes", `--dead=${from}`, "--json");
    t.equal(await failover.end(), 0, failover.out() + failover.notes());
    t.match(failover.report(), { kind: "failover", result: "done", to: other(from) });
    t.match(failover.report().next, new RegExp(`rebuild-standby --member ${from}`));
    t.equal(await primary().catch(() => other(from)), other(from));
    await insert();
  },
);
