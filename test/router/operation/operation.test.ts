/** The journal survives torn lines and doubles; the executor undoes what was started. */
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { systemClock, withDeadline } from "../../../kit/clock.ts";
import { execute } from "../../../router/operation/execute.ts";
import { FileJournal, parseJournal, readJournal } from "../../../router/operation/journal-file.ts";
import { fold, unfinished } from "../../../router/operation/records.ts";
import type { JournalRecord, Phase } from "../../../router/operation/records.ts";
import type { StepRow } from "../../../router/operation/step.ts";

const record = (phase: Phase, step = "", facts: JournalRecord["facts"] = {}): JournalRecord => ({
  operationId: "one",
  step,
  phase,
  at: 1,
  facts,
});

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

interface Toy {
  readonly plan: string;
  readonly seen: ReadonlySet<string>;
  readonly actions: Set<string>;
  readonly part: "all";
}

const row = (step: string, more: Partial<StepRow<Toy>> = {}): StepRow<Toy> => ({
  step,
  deadlineMs: 200,
  lookEveryMs: 1,
  looksAt: ["all"],
  needsLock: false,
  describe: () => step,
  whyNot: () => undefined,
  isDone: (_plan, seen) => seen.has(step),
  run: ({ actions }) => void actions.add(step),
  undo: [],
  ...more,
});

const back = (step: string): StepRow<Toy> =>
  row(`un${step}`, {
    isDone: (_plan, seen) => !seen.has(step),
    run: ({ actions }) => void actions.delete(step),
  });

const fails = (step: string, isDoneFirst: boolean): StepRow<Toy> =>
  row(step, {
    run: ({ actions }) => {
      if (isDoneFirst) actions.add(step);
      throw new Error("no");
    },
    undo: [back(step)],
  });

const cases: readonly {
  readonly name: string;
  readonly rows: readonly StepRow<Toy>[];
  readonly result: string;
  readonly world: readonly string[];
}[] = [
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
];

for (const { name, rows, result, world } of cases) {
  t.test(name, async (t) => {
    const actions = new Set<string>();
    const hold = {
      session: null,
      stillHeld: () => Promise.resolve(false),
      release: () => Promise.resolve(),
    };
    const outcome = await execute<Toy>({
      operationId: "one",
      plan: name,
      rows,
      direction: "forward",
      crossed: false,
      actions,
      observe: () => Promise.resolve(new Set(actions)),
      hold,
      relock: () => Promise.resolve(hold),
      journal: { append: () => Promise.resolve() },
      timing: { clock: systemClock, limit: withDeadline },
      signal: new AbortController().signal,
      onEvent: () => undefined,
    });
    t.equal(outcome.result, result);
    t.same([...actions], world);
  });
}
