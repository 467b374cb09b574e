/** The journal survives torn lines and doubles; the executor undoes what was started. */
import { appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { systemClock, systemTiming } from "../../../kit/clock.ts";
import { execute } from "../../../router/operation/execute.ts";
import { LockedError, relockAs } from "../../../router/operation/lock.ts";
import { FileJournal, parseJournal, readJournal } from "../../../router/operation/journal-file.ts";
import { fold, unfinished } from "../../../router/operation/records.ts";
import type { JournalRecord } from "../../../router/operation/records.ts";
import type { StepEvent } from "../../../router/operation/run-step.ts";
import type { StepRow } from "../../../router/operation/step.ts";
import {
  listOperations,
  makeOperationFolder,
  operationFiles,
  pruneOperations,
} from "../../../router/operation/store.ts";
import { patience } from "./patience-cases.ts";
import type { StepCase } from "./patience-cases.ts";
import { back, fails, operationOf, record, row } from "./toy.ts";
import type { Toy } from "./toy.ts";

t.test("a journal cut at any byte gives the records before the cut", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-journal-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, "journal");
  const written = [record("intent"), record("started", "stop"), record("done", "stop")];
  t.same(await readJournal(path), []);
  const journal = await FileJournal.open(path);
  for (const one of written) await journal.append(one);
  await journal.close();
  t.equal((await stat(path)).mode & 0o777, 0o600);
  const text = await readFile(path, "utf8");
  for (let cut = 0; cut <= text.length; cut += 1) {
    const part = text.slice(0, cut);
    const whole = part.split("\n").length - 1;
    const isWhole = part !== "" && text[cut] === "\n" ? 1 : 0;
    t.same(parseJournal(part, path), written.slice(0, whole + isWhole), `cut at ${cut}`);
  }
  await writeFile(path, text.slice(0, -10));
  const again = await FileJournal.open(path);
  await again.append(record("outcome", "", { result: "done" }));
  await again.close();
  t.same((await readJournal(path)).length, 3);
  await appendFile(path, '{"not":"a record"}\n');
  await t.rejects(readJournal(path), { code: "ERR_JOURNAL", line: 5 });
});

t.test("fold counts a record from two places once, and stuck is not an end", (t) => {
  const list = [record("intent"), record("intent"), record("started", "arm")];
  const stuck = record("outcome", "", { result: "stuck" });
  t.equal(unfinished(fold([...list, stuck]))?.operationId, "one");
  t.same(fold(list)[0]?.started, ["arm"]);
  t.equal(unfinished(fold([...list, record("outcome", "", { result: "undone" })])), undefined);
  t.end();
});

t.test(
  "what a step that was skipped has shown is on the disk before the next one acts",
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "switchyard-journal-"));
    t.teardown(() => rm(folder, { recursive: true }));
    const path = join(folder, "journal");
    const journal = await FileJournal.open(path);
    let then: JournalRecord[] = [];
    const shows = row("proof", { isDone: () => true, factsOf: () => ({ upTo: "0/30000D8" }) });
    const acts = row("act", {
      run: async ({ actions }) => {
        then = await readJournal(path);
        actions.add("act");
        return undefined;
      },
    });
    const rows = [shows, row("told", { isDone: () => true }), acts];
    await execute(operationOf(rows, new Set(), { journal }));
    await journal.close();
    t.match(then, [
      { step: "proof", phase: "done", facts: { upTo: "0/30000D8" } },
      { step: "act", phase: "started" },
    ]);
    t.equal(then.length, 2);
  },
);

const cases: readonly StepCase[] = [
  { name: "all done", rows: [row("a"), row("b")], result: "done", world: ["a", "b"] },
  {
    name: "done though it said it failed",
    rows: [fails("a", true)],
    result: "done",
    world: ["a"],
  },
  {
    name: "what was started is undone, latest first",
    rows: [row("a", { undo: [back("a")] }), fails("b", false)],
    result: "undone",
    world: [],
  },
  {
    name: "after the point of no return nothing is undone",
    rows: [row("a", { pointOfNoReturn: true, undo: [back("a")] }), fails("b", false)],
    result: "stuck",
    world: ["a"],
  },
  {
    name: "a step that may fail does not end it",
    rows: [row("a", { mayFail: true, whyNot: () => "no" }), row("b")],
    result: "done",
    world: ["b"],
  },
  {
    name: "without the lock nothing is done",
    rows: [row("a", { undo: [back("a")] }), row("b", { needsLock: true })],
    result: "undone",
    world: [],
  },
  ...patience,
];

for (const { name, rows, result, world = ["a"], hold } of cases) {
  t.test(name, async (t) => {
    const actions = new Set<string>();
    const outcome = await execute(operationOf(rows, actions, hold && { hold: hold() }));
    t.equal(outcome.result, result);
    t.same([...actions], world);
  });
}

t.test(
  "the look that confirms a step serves the next one, unless something was done",
  async (t) => {
    const looks: string[] = [];
    const actions = new Set<string>();
    const waits = row("waits", { isDone: (_plan, seen) => seen.has("a"), run: () => undefined });
    const rows = [row("a"), waits, row("b", { keepsLook: true }), row("c")];
    // What was seen serves for a moment only, and that must not pass here.
    const clock = { ...systemClock, monotonic: () => 0 };
    await execute(
      operationOf(rows, actions, {
        timing: { ...systemTiming, clock },
        observe: (parts) => {
          looks.push(parts.join());
          return Promise.resolve(new Set(actions));
        },
      }),
    );
    // Before and after a; waits is there already; after b; after c.
    t.equal(looks.length, 4);
  },
);

t.test("past the point of no return a step is tried again, before it is not", async (t) => {
  const tries = { before: 0, after: 0 };
  const flaky = (step: "before" | "after"): StepRow<Toy> =>
    row(step, {
      deadlineMs: 5000,
      run: ({ actions }) => {
        tries[step] += 1;
        if (step === "after" && tries.after > 1) return void actions.add(step);
        throw new Error("no");
      },
    });
  const point = row("point", { pointOfNoReturn: true });
  const past = await execute(operationOf([point, flaky("after")], new Set()));
  t.equal(past.result, "done");
  const back = await execute(operationOf([flaky("before"), point], new Set()));
  t.equal(back.result, "undone");
  t.same(tries, { before: 1, after: 2 });
});

t.test(
  "a row that sees to its own tries is not tried again, also past the point of no return",
  async (t) => {
    for (const [once, want] of [
      [{ once: true }, 1],
      [{}, 3],
    ] as const) {
      let tries = 0;
      const own = row("own", {
        ...{ mayFail: true, isDone: () => false, deadlineMs: 5000 },
        ...once,
        whyNot: () => {
          tries += 1;
          return "not now";
        },
      });
      const crossing = row("cross", { pointOfNoReturn: true });
      const { result } = await execute(operationOf([crossing, own, row("last")], new Set()));
      t.equal(result, "done");
      t.equal(tries, want);
    }
  },
);

t.test(
  "a lock whose session others may end is taken anew after that row, and only then",
  async (t) => {
    const taken: string[] = [];
    const actions = new Set<string>();
    const rows = [row("one"), row("two", { mayEndLock: true }), row("three")];
    const relock = () => {
      taken.push([...actions].join(" "));
      return Promise.reject(new Error("not to be had"));
    };
    const { result } = await execute(operationOf(rows, actions, { relock }));
    t.equal(result, "done");
    t.same(taken, ["one two"]);
  },
);

t.test("what is taken back without a lock, and what another operation stops", async (t) => {
  const held = { holder: "ann@desk", since: "2026-11-21T02:00:00Z", why: "abort one" };
  const ours = { holder: "bob@desk", why: "flip one" };
  const rows: { name: string; throws: Error; world: string[]; result: string; left: RegExp }[] = [
    {
      name: "another operation",
      throws: new LockedError("dal-01", held),
      world: ["a", "b"],
      result: "stuck",
      left: /^another operation holds the lock: .* held by ann@desk since .* for abort one/,
    },
    {
      name: "a lock that is not to be had",
      throws: new Error("connection refused"),
      world: ["b"],
      result: "stuck",
      left: /the session that holds the lock is gone/,
    },
    {
      name: "a lost session of our own",
      throws: new LockedError("dal-01", { ...ours, since: held.since }),
      world: ["b"],
      result: "stuck",
      left: /the session that holds the lock is gone/,
    },
  ];
  for (const { name, throws, world, result, left } of rows) {
    const actions = new Set<string>();
    const phases: string[] = [];
    const locked = { ...back("b"), needsLock: true };
    const ended = await execute(
      operationOf(
        [row("a", { undo: [back("a")] }), row("b", { undo: [locked] }), fails("c", false)],
        actions,
        {
          relock: () => relockAs(ours, () => Promise.reject(throws)),
          journal: {
            append: ({ step, phase }) => Promise.resolve(void phases.push(`${phase} ${step}`)),
          },
        },
      ),
    );
    t.equal(ended.result, result, name);
    t.same([...actions], world, name);
    t.match(ended.left.map((one) => one.reason).join(), left, name);
    t.equal(ended.left.length, 1, name);
    t.equal(phases.includes("undone a"), !world.includes("a"), name);
  }
});

t.test(
  "a disk that is full stops what was begun, not its undoing, nor what was crossed",
  async (t) => {
    const actions = new Set<string>();
    const isFull = (): boolean => actions.has("b");
    const append = (): Promise<void> =>
      isFull() ? Promise.reject(new Error("ENOSPC")) : Promise.resolve();
    const rows = [row("a", { undo: [back("a")] }), row("b", { undo: [back("b")] }), row("c")];
    const ended = await execute(operationOf(rows, actions, { journal: { append } }));
    t.match(ended, { result: "undone", failed: { step: "c", reason: /ENOSPC/ } });
    t.same([...actions], []);
    const crossing = [row("b", { pointOfNoReturn: true }), row("c"), row("d")];
    const crossed = await execute(operationOf(crossing, actions, { journal: { append } }));
    t.equal(crossed.result, "done");
  },
);

t.test("takeBack undoes what an earlier run has left", async (t) => {
  const actions = new Set(["left by an earlier run"]);
  const left = back("left by an earlier run");
  const takeBack = [
    {
      ...left,
      isDone: (_plan: string, seen: Toy["seen"]) => seen.size === 0,
      run: ({ actions: world }: { actions: Set<string> }): undefined => {
        world.clear();
      },
    },
  ];
  const outcome = await execute(
    operationOf([row("a", { whyNot: () => "no" })], actions, { takeBack }),
  );
  t.equal(outcome.result, "undone");
  t.same([...actions], []);
});

t.test("an abort is heard before the point of no return, and not once that is sent", async (t) => {
  for (const { at, result } of [
    { at: "a", result: "undone" },
    { at: "point", result: "done" },
  ]) {
    const interruption = new AbortController();
    const rows = [
      row("a", { undo: [back("a")] }),
      row("point", { pointOfNoReturn: true }),
      row("z"),
    ];
    const outcome = await execute(
      operationOf(rows, new Set(), {
        signal: interruption.signal,
        onEvent: ({ step, phase }) => {
          if (step === at && phase === "start") interruption.abort(new Error("interrupted"));
        },
      }),
    );
    t.equal(outcome.result, result, `interrupted in ${at}`);
  }
});

t.test(
  "what others see to may stay undone where the operator has aborted, and only there",
  async (t) => {
    for (const { isAborted, isTheirs, result } of [
      { isAborted: true, isTheirs: true, result: "undone" },
      { isAborted: true, isTheirs: false, result: "stuck" },
      { isAborted: false, isTheirs: true, result: "stuck" },
    ]) {
      const interruption = new AbortController();
      const close = row("close", { whyNot: () => "nobody writes", mayFailAborted: () => isTheirs });
      const asks = row("ask", {
        undo: [close],
        run: () => {
          if (isAborted) interruption.abort(new Error("interrupted"));
          return Promise.reject(new Error("no"));
        },
      });
      const { signal } = interruption;
      const outcome = await execute(operationOf([asks], new Set(), { signal }));
      t.equal(outcome.result, result, `aborted: ${isAborted}, theirs: ${isTheirs}`);
      t.same(outcome.left, [{ step: "close", reason: "close: nobody writes" }], "it is told");
    }
  },
);

t.test("a slow step says what it waits for, in its act and after it", async (t) => {
  const events: StepEvent[] = [];
  const waiting = (): StepEvent[] => events.filter((one) => one.phase === "waiting");
  const told = { inAct: 0 };
  const slow = row("slow", {
    deadlineMs: 30_000,
    lookEveryMs: 5,
    isDone: () => told.inAct > 0 && waiting().length > told.inAct,
    waitsFor: () => "walsender 7",
    factsOf: () => ({ checkpoint: "0/64" }),
    run: async (_context, signal) => {
      while (waiting().length === 0) await systemClock.sleep(10, signal);
      told.inAct = waiting().length;
      return { sent: true };
    },
  });
  await execute(operationOf([slow], new Set(), { onEvent: (event) => events.push(event) }));
  t.ok(told.inAct >= 1, "while it acts");
  t.ok(waiting().length > told.inAct, "and while its effect does not show");
  t.ok(waiting().every((one) => one.words === "walsender 7"));
  const done = events.at(-1);
  t.same(done?.facts, { sent: true, checkpoint: "0/64" });
  t.equal(done?.words, "slow");
});

t.test("what is only noted is on the disk with the next record, and at the end", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-journal-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, "journal");
  const journal = await FileJournal.open(path);
  journal.note(record("done", "arm"));
  t.same(await readJournal(path), []);
  await journal.append(record("started", "stop"));
  t.same(
    (await readJournal(path)).map((one) => one.step),
    ["arm", "stop"],
  );
  journal.note(record("done", "stop"));
  await journal.close();
  t.same((await readJournal(path)).length, 3);
});

t.test("a host lists its operations, newest last, also one that it cannot read", async (t) => {
  const home = await mkdtemp(join(tmpdir(), "switchyard-store-"));
  t.teardown(() => rm(home, { recursive: true }));
  const folder = join(home, "operations", "lab");
  t.same(await listOperations(folder), []);
  // Several programs may begin at once.
  await Promise.all(Array.from({ length: 4 }, () => makeOperationFolder(folder)));
  t.equal((await stat(folder)).mode & 0o777, 0o700);
  for (const [id, at] of [
    ["b-late", 30],
    ["c-early", 20],
  ] as const) {
    const journal = await FileJournal.open(operationFiles(folder, id).journal);
    await journal.append({ ...record("intent"), operationId: id, at });
    await journal.close();
  }
  await writeFile(operationFiles(folder, "a-odd").journal, '{"not":"a record"}\n{}\n');
  await writeFile(join(folder, "notes.txt"), "");
  const found = await listOperations(folder);
  t.same(
    found.map((one) => one.id),
    ["a-odd", "c-early", "b-late"],
  );
  t.equal(found[0]?.state, undefined);
  t.match(found[0]?.fault, /line 1 is not a record/);
  t.equal(found[2]?.state?.operationId, "b-late");
  t.same(
    (await listOperations(folder, 1)).map((one) => one.id),
    ["c-early"],
  );
  for (const id of ["", "../x", "a/b", "-x", "x".repeat(65)]) {
    t.throws(() => operationFiles(folder, id), { code: "ERR_OPERATION_ID" });
  }
});

t.test("a host keeps its newest operations, and all that are unfinished", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-prune-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const outcomes: Readonly<Record<string, string | undefined>> = {
    ...{ "20260101T000000-aa": "done", "20260102T000000-aa": undefined },
    ...{ "20260103T000000-aa": "stuck", "20260104T000000-aa": "undone" },
    ...{ "20260107T000000-aa": "done", "20260108T000000-aa": "done" },
  };
  for (const [id, result] of Object.entries(outcomes)) {
    const { journal: path, events } = operationFiles(folder, id);
    const journal = await FileJournal.open(path);
    await journal.append({ ...record("intent"), operationId: id });
    if (result !== undefined) {
      await journal.append({ ...record("outcome", "", { result }), operationId: id, at: 9 });
    }
    await journal.close();
    await writeFile(events, "");
  }
  const odd = operationFiles(folder, "20260105T000000-aa").journal;
  await writeFile(odd, '{"not":"a record"}\n{}\n');
  await writeFile(operationFiles(folder, "20260106T000000-aa").journal, "");
  await writeFile(join(folder, "notes.txt"), "");
  t.same(await pruneOperations(folder, 8), [], "there are no more than are kept");
  t.same(
    await pruneOperations(folder, 2),
    ["20260101T000000-aa", "20260104T000000-aa", "20260106T000000-aa"],
    "unfinished, stuck and unreadable ones stay",
  );
  const left = ["02", "03", "05", "07", "08"].map((day) => `202601${day}T000000-aa`);
  const names = left.flatMap((id) => [`${id}.events.jsonl`, `${id}.journal.jsonl`]);
  t.same(
    (await readdir(folder)).toSorted(),
    [...names.filter((name) => name !== "20260105T000000-aa.events.jsonl"), "notes.txt"],
    "the files of all others are as they were",
  );
  t.same(
    (await listOperations(folder, 2)).map((one) => one.id),
    ["20260107T000000-aa", "20260108T000000-aa"],
    "what is not asked for is not read",
  );
  t.same(await pruneOperations(join(folder, "none")), []);
});

t.test("an operation that is stuck later than it was closed is open again", (t) => {
  const undone = { ...record("outcome", "", { result: "undone" }), at: 5 };
  const stuck = { ...record("outcome", "", { result: "stuck" }), at: 9 };
  t.equal(unfinished(fold([record("intent"), stuck, undone]))?.operationId, "one");
  t.equal(unfinished(fold([record("intent"), { ...stuck, at: 2 }, undone])), undefined);
  t.end();
});
