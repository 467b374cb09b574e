/**
 * The test run itself: what counts as passed, failed and skipped, how a file that hangs or leaves
 * processes behind is ended, and which files a command line means.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { Output } from "../../../bin/cli/output.ts";
import { whyNoDocker } from "../../../bin/testing/docker.ts";
import { printCount } from "../../../bin/testing/report.ts";
import { runJob } from "../../../bin/testing/run-file.ts";
import { select } from "../../../bin/testing/select.ts";
import { readVerdict } from "../../../bin/testing/verdict.ts";
import type { Ending, Test } from "../../../bin/testing/verdict.ts";
import { runChild } from "../../../kit/child.ts";
import { eventually } from "../../../kit/clock.ts";

const well: Ending = { code: 0, signal: null };
const badly: Ending = { code: 1, signal: null };
const waiting = { deadlineMs: 20_000, intervalMs: 20 };

/** One line a test: outcome, path, first reason. */
const shown = (tests: readonly Test[]): string[] =>
  tests.map((one) =>
    [one.outcome, one.path.join(" > "), ...one.reasons.slice(0, 1)].filter(Boolean).join(": "),
  );

const nested = `TAP version 14
# Subtest: outer
    # Subtest: inner
        ok 1 - fine
        1..1
    ok 1 - inner # time=1ms
    # Subtest: wrong
        not ok 1 - should be equal
          ---
          diff: "2 is not 1"
          ...
        1..1
        # failed 1 test
    not ok 2 - wrong # time=1ms
    ok 3 - beside
    1..3
not ok 1 - outer # time=2ms

ok 2 - there # SKIP no such program
ok 3 - bare # SKIP
# Subtest: empty
    1..0
ok 4 - empty # SKIP no tests found
1..4
`;

t.test("what a file printed", async (t) => {
  const rows: readonly { name: string; given: string; ending: Ending; want: string[] }[] = [
    {
      name: "nested tests, skips, nothing asserted",
      given: nested,
      ending: badly,
      want: [
        "passed: f > outer > inner",
        "failed: f > outer > wrong: not ok: should be equal",
        "passed: f > outer",
        "skipped: f > there: no such program",
        "failed: f > bare: skipped without a reason",
        "failed: f > empty: it asserts nothing",
      ],
    },
    {
      name: "the end is missing",
      given: "TAP version 14\nok 1 - a\n",
      ending: well,
      want: ["failed: f: no plan"],
    },
    {
      name: "fewer tests than planned",
      given: "TAP version 14\n1..2\nok 1 - a\n",
      ending: well,
      want: ["failed: f: incorrect number of tests"],
    },
    {
      name: "nothing at all",
      given: "",
      ending: well,
      want: ["failed: f: there is no test in it"],
    },
    {
      name: "all well, but the process failed",
      given: "TAP version 14\nok 1 - a\n1..1\n",
      ending: badly,
      want: ["passed: f", "failed: f: ended with exit code 1"],
    },
    {
      name: "all well, but killed",
      given: "TAP version 14\nok 1 - a\n1..1\n",
      ending: { code: null, signal: "SIGSEGV" },
      want: ["passed: f", "failed: f: ended by SIGSEGV"],
    },
    {
      name: "a failure is not counted twice",
      given: "TAP version 14\nnot ok 1 - a\n1..1\n",
      ending: badly,
      want: ["failed: f: not ok: a"],
    },
  ];
  for (const { name, given, ending, want } of rows) {
    await t.test(name, async (t) => {
      const whole = readVerdict("f");
      whole.write(given);
      t.same(shown(whole.end(ending)), want);
      const byCharacter = readVerdict("f");
      for (const character of given) byCharacter.write(character);
      t.same(shown(byCharacter.end(ending)), want, "in pieces of one character");
    });
  }
});

t.test("the last line is the count, alone", async (t) => {
  const test = (outcome: Test["outcome"]): Test => ({ path: ["f"], outcome, reasons: ["why"] });
  const rows: readonly { given: Test["outcome"][]; last: string; good: boolean }[] = [
    { given: [], last: "0 passed, 0 failed", good: false },
    { given: ["passed", "passed"], last: "2 passed, 0 failed", good: true },
    { given: ["passed", "failed"], last: "1 passed, 1 failed", good: false },
    { given: ["passed", "skipped"], last: "1 passed, 0 failed", good: true },
    { given: ["skipped"], last: "0 passed, 0 failed", good: false },
  ];
  for (const { given, last, good } of rows) {
    const lines: string[] = [];
    const report = { name: "f", tests: given.map(test), tookMs: 1, stderr: "" };
    t.equal(printCount([report], outputInto(lines)), good, last);
    t.equal(lines.at(-1), last);
    t.equal(lines.includes("skipped: f: why"), given.includes("skipped"), "reasons are printed");
  }
});

t.test(
  "a file over its deadline is ended with all it started, and so is what is left",
  async (t) => {
    const folder = t.testdir({
      // Its child is in a process group of its own and does not want to end.
      "hangs.mjs": `
      import { spawn } from "node:child_process";
      import { writeFileSync } from "node:fs";
      process.on("SIGTERM", () => {});
      const script = "trap '' TERM; echo ready; exec sleep 600";
      const child = spawn("sh", ["-c", script], { stdio: ["ignore", "pipe", "ignore"], detached: true });
      child.stdout.once("data", () => {
        writeFileSync("pid", String(child.pid));
        console.log("started");
        if (process.argv[2] === "leave") process.exit(0);
      });
      setInterval(() => {}, 1000);`,
    });
    const rows = [
      {
        name: "hangs",
        words: ["hangs.mjs"],
        // On a machine where it has not even started by then, it is given longer.
        deadlinesMs: [2000, 8000, 32_000],
        want: /^not done after \d+ s; it was ended$/,
      },
      {
        name: "leaves",
        words: ["hangs.mjs", "leave"],
        deadlinesMs: [60_000],
        want: /^left running and ended: (sh|sleep) \(\d+\)$/,
      },
    ];
    for (const { name, words, deadlinesMs, want } of rows) {
      await t.test(name, async (t) => {
        let said = "";
        const hear = (text: string): void => void (said += text);
        for (const deadlineMs of deadlinesMs) {
          if (said !== "") break;
          const job = { name, words, deadlineMs, environment: {}, graceMs: 300 };
          const ended = await runJob(job, folder, hear, new AbortController().signal);
          t.match(ended.trouble, want);
        }
        t.equal(said, "started\n");
        const { stdout } = await runChild("cat", ["pid"], { deadlineMs: 5000, cwd: folder });
        await eventually("its child is gone", waiting, () =>
          isThere(Number(stdout)) ? undefined : true,
        );
      });
    }
  },
);

t.test("an interrupted run names the file", async (t) => {
  const folder = t.testdir({ "waits.mjs": 'console.log("up"); setInterval(() => {}, 1000);' });
  const controller = new AbortController();
  const job = { name: "waits", words: ["waits.mjs"], deadlineMs: 60_000, environment: {} };
  const ended = await runJob(
    job,
    folder,
    () => controller.abort(new Error("Ctrl-C")),
    controller.signal,
  );
  t.equal(ended.trouble, "the run was interrupted");
  // What comes after it is not begun, and says so: the count is printed in any case.
  const none = { name: "none", words: ["no-such-file"], deadlineMs: 60_000, environment: {} };
  const { signal } = controller;
  t.match(await runJob(none, folder, () => undefined, signal), {
    code: null,
    trouble: "the run was interrupted",
    tookMs: 0,
  });
  t.equal(await whyNoDocker(outputInto([]), signal), undefined);
});

t.test("which files a command line means", async (t) => {
  const root = t.testdir({
    test: {
      "a.test.ts": "",
      kit: { "b.test.ts": "", "c.live.test.ts": "" },
      docker: { "e.live.test.ts": "" },
      router: { "docker.live.test.ts": "", "docker-file.test.ts": "" },
      support: { "d.ts": "" },
    },
  });
  const unit = ["test/a.test.ts", "test/kit/b.test.ts", "test/router/docker-file.test.ts"];
  const live = ["test/kit/c.live.test.ts"];
  const docker = ["test/docker/e.live.test.ts", "test/router/docker.live.test.ts"];
  const rows: readonly {
    words: string[];
    unit?: string[];
    live?: string[];
    docker?: string[];
    checks: boolean;
  }[] = [
    { words: [], unit, live, docker, checks: true },
    { words: ["unit"], unit, checks: true },
    { words: ["live"], live, checks: false },
    { words: ["docker"], docker, checks: false },
    { words: ["full"], unit, live, docker, checks: true },
    { words: ["unit", "test/kit"], unit: ["test/kit/b.test.ts"], checks: false },
    {
      words: ["test/kit/b.test.ts", "test/kit"],
      unit: ["test/kit/b.test.ts"],
      live: ["test/kit/c.live.test.ts"],
      checks: false,
    },
  ];
  for (const { words, unit = [], live = [], docker = [], checks } of rows) {
    const selection = select(words, root, root);
    t.same(
      selection,
      { files: { unit, live, docker }, checks, full: words[0] === "full" },
      words.join(" "),
    );
  }
  t.same(select(["b.test.ts"], root, join(root, "test/kit")).files.unit, ["test/kit/b.test.ts"]);
  for (const words of [
    ["unti"],
    ["test/none.test.ts"],
    ["test/support/d.ts"],
    ["live", "test/a.test.ts"],
    ["unit", "live"],
  ]) {
    t.throws(() => select(words, root, root), { code: "ERR_USAGE" }, words.join(" "));
  }
});

t.test("bin/test as a program", async (t) => {
  const root = fileURLToPath(new URL("../../../", import.meta.url));
  const binTest = async (...words: string[]) =>
    await runChild(join(root, "bin/test"), words, { deadlineMs: 60_000, accept: [0, 1, 64] });
  const help = await binTest("--help");
  t.equal(help.code, 0);
  t.match(help.stdout, "The last line is the count");
  t.equal((await binTest("nothing-of-ours")).code, 64);
  t.equal((await binTest("--jobs", "0", "unit")).code, 64);
});

function outputInto(lines: string[]): Output {
  const plain = (text: string): string => text;
  const style = { good: plain, bad: plain, warn: plain, dim: plain, bold: plain };
  const result = (line: string): void => void lines.push(line);
  return { result, note: result, columns: 100, interactive: false, style };
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
