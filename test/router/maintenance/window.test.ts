/** What a journal says of a window's steps, and what up and down make of it; the kinds of steps. */
import t from "tap";
import { contradictions } from "../../../config/consistency.ts";
import { environmentSchema } from "../../../config/schema.ts";
import type { EnvironmentFile, MaintenanceStep } from "../../../config/schema.ts";
import { Secret } from "../../../config/secret.ts";
import type { JournalRecord, Phase } from "../../../router/operation/records.ts";
import { deedsOf } from "../../../router/maintenance/deeds.ts";
import { downRows, upRows } from "../../../router/maintenance/steps.ts";
import { stepStates } from "../../../router/maintenance/window.ts";
import type { MaintenanceWindow, StepState } from "../../../router/maintenance/window.ts";

function environmentWith(steps: readonly object[]): EnvironmentFile {
  return environmentSchema.parse({
    cluster: "orders",
    login: { user: "postgres", password: new Secret("secret") },
    members: [
      {
        name: "dal-01",
        ordinal: 0,
        postgres: "10.0.0.1:5432",
        pooler: { address: "10.0.0.1:6432" },
        health: "http://10.0.0.1:8008",
      },
    ],
    maintenance: { steps },
  });
}

const stepsOf = (steps: readonly object[]): readonly MaintenanceStep[] =>
  environmentWith(steps).maintenance.steps;

const steps = stepsOf([
  { name: "page", do: ["page", "on"], undo: ["page", "off"], isUp: ["page", "is-on"] },
  { name: "jobs", do: ["jobs", "stop"], undo: ["jobs", "start"] },
  { name: "reports", wait: { query: "SELECT 1" } },
  { name: "workers", stopContainers: { names: ["one", "two"] } },
]);
const window: MaintenanceWindow = {
  id: "this",
  environment: "testing",
  since: "2026-11-21T02:00:00.000Z",
  by: "anna@ops-1",
  reason: "",
  steps,
};

const journalOf = (...words: readonly string[]): JournalRecord[] =>
  words.map((word, index) => {
    const [phase = "", step = "", operationId = "this"] = word.split(" ");
    return { operationId, step, phase: phase as Phase, at: index, facts: {} };
  });

interface Case {
  readonly name: string;
  readonly given: readonly string[];
  readonly states: readonly StepState[];
  readonly up: readonly string[];
  readonly down: readonly string[];
}

const whole = ["started page", "done page", "started jobs", "done jobs", "done reports"];
const checked = ["page", "workers"];

const cases: readonly Case[] = [
  {
    name: "nothing was begun",
    given: [],
    states: ["waiting", "waiting", "waiting", "waiting"],
    up: ["page", "jobs", "reports", "workers"],
    down: [],
  },
  {
    name: "a step that stands is left to its check, one without a check is not done again",
    given: whole,
    states: ["stands", "stands", "stands", "waiting"],
    up: ["page", "workers"],
    down: ["jobs:undo", "page:undo"],
  },
  {
    name: "half a step is done again, and undone",
    given: ["done page", "started jobs"],
    states: ["stands", "begun", "waiting", "waiting"],
    up: ["page", "jobs", "reports", "workers"],
    down: ["jobs:undo", "page:undo"],
  },
  {
    name: "a failed step may stand in part",
    given: ["done page", "started jobs", "failed jobs"],
    states: ["stands", "failed", "waiting", "waiting"],
    up: ["page", "jobs", "reports", "workers"],
    down: ["jobs:undo", "page:undo"],
  },
  {
    name: "a step that failed before it was begun does not stand",
    given: ["failed page"],
    states: ["waiting", "waiting", "waiting", "waiting"],
    up: ["page", "jobs", "reports", "workers"],
    down: [],
  },
  {
    name: "down goes on where it stopped",
    given: [...whole, "started jobs:undo", "done jobs:undo", "started page:undo"],
    states: ["stands", "undone", "stands", "waiting"],
    up: ["page", "jobs", "workers"],
    down: ["page:undo"],
  },
  {
    name: "up after down does all of it again",
    given: [...whole, "done jobs:undo", "started jobs", "done jobs"],
    states: ["stands", "stands", "stands", "waiting"],
    up: checked,
    down: ["jobs:undo", "page:undo"],
  },
  {
    name: "another window's records are not this one's",
    given: ["done page another", "done jobs another"],
    states: ["waiting", "waiting", "waiting", "waiting"],
    up: ["page", "jobs", "reports", "workers"],
    down: [],
  },
];

for (const { name, given, states, up, down } of cases) {
  t.test(name, async (t) => {
    const found = stepStates(window, journalOf(...given));
    t.same(
      found.map((one) => one.state),
      states,
    );
    t.same(
      upRows(window, found).map((row) => row.step),
      up,
    );
    t.same(
      downRows(window, found).map((row) => row.step),
      down,
    );
  });
}

t.test("a check that says nothing is neither up nor down", async (t) => {
  const [page] = upRows(window, stepStates(window, []));
  const [pageDown] = downRows(window, stepStates(window, journalOf("done page")));
  const table = [
    { stands: true, up: true, down: false },
    { stands: false, up: false, down: true },
    { stands: undefined, up: false, down: false },
  ];
  for (const { stands, up, down } of table) {
    t.equal(page?.isDone?.(window, { page: stands }), up);
    t.equal(pageDown?.isDone?.(window, { page: stands }), down);
  }
});

t.test("the kinds of steps", async (t) => {
  const [page, , reports, workers] = steps;
  if (page === undefined || reports === undefined || workers === undefined)
    throw new Error("steps");
  const judge = (step: MaintenanceStep, code: number, printed = ""): boolean | undefined =>
    deedsOf(step).check?.judge(code, printed);
  t.same([judge(page, 0), judge(page, 1), judge(page, 2)], [true, false, undefined]);
  t.same(deedsOf(workers).run, ["/usr/bin/docker", "stop", "one", "two"]);
  t.same(deedsOf(workers).undo, ["/usr/bin/docker", "start", "one", "two"]);
  const outputs: readonly (readonly [number, string, boolean | undefined])[] = [
    [0, "false\nfalse\n", true],
    [0, "true\ntrue\n", false],
    [0, "true\nfalse\n", undefined],
    [0, "false\n", undefined],
    [1, "false\nfalse\n", undefined],
  ];
  for (const [code, printed, want] of outputs) t.equal(judge(workers, code, printed), want);
  t.same([deedsOf(reports).run, deedsOf(reports).undo], [undefined, undefined]);
  t.equal(deedsOf(reports).wait?.query, "SELECT 1");
});

t.test("a step does one thing", async (t) => {
  const query = { query: "SELECT 1" };
  const argv = ["true"];
  const cases: readonly (readonly [given: object, says: RegExp])[] = [
    [{}, /expected one of do, stopContainers, wait; it has none/],
    [{ do: argv, wait: query }, /it has do and wait/],
    [{ wait: query, undo: argv }, /undo: does not go with wait/],
    [{ stopContainers: { names: ["a"] }, isUp: argv }, /isUp: does not go with stopContainers/],
    [{ wait: query, shell: argv }, /shell: does not go with wait/],
  ];
  for (const [given, says] of cases) {
    const found = contradictions(environmentWith([{ name: "one", ...given }]));
    t.match(
      found.map(({ path, message }) => `${path.join(".")}: ${message}`),
      [says],
    );
  }
  const twice = environmentWith(
    [steps[0] ?? {}, steps[1] ?? {}].map((one) => ({ ...one, name: "same", deadline: "1m" })),
  );
  t.match(contradictions(twice), [{ path: ["maintenance", "steps", 1, "name"] }]);
  t.same(contradictions(environmentWith([{ name: "one", do: argv, shell: argv }])), []);
  for (const text of ["", " ", "SELECT \u0000", "x".repeat(4001)]) {
    t.throws(() => environmentWith([{ name: "one", wait: { query: text } }]), text.slice(0, 10));
  }
  t.same(
    environmentWith([{ name: "one", wait: { query: "SELECT 1\n  WHERE false" } }]).maintenance.steps
      .length,
    1,
  );
});
