/** The command line: what each line of words becomes, and how a process ends. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { Test } from "tap";
import { parseLine, UsageError } from "../../../bin/cli/command.ts";
import type { CommandRow, ProgramRow } from "../../../bin/cli/command.ts";
import { exitCodeOf, exitCodes } from "../../../bin/cli/exit-codes.ts";
import { commandUsage, programUsage } from "../../../bin/cli/usage.ts";
import { nearest } from "../../../kit/nearest.ts";
import { runChild } from "../../../kit/child.ts";

const load: CommandRow["load"] = () => Promise.resolve({ run: () => Promise.resolve(0) });

const topology: CommandRow = {
  name: "topology",
  summary: "shows the cluster",
  options: {
    json: { type: "boolean", summary: "prints JSON" },
    watch: { type: "boolean", summary: "looks again and again", short: "w" },
    interval: { type: "string", summary: "time between looks", value: "TIME", default: "2s" },
    mode: { type: "string", summary: "how", choices: ["auto", "fast"] },
    resume: { type: "string", summary: "goes on", value: "ID", optionalValue: true },
    risk: { type: "string", summary: "accepts", value: "NAME", repeatable: true },
  },
  details: "More about it.",
  load,
};
const cut: CommandRow = {
  name: "cut",
  summary: "cuts two parts off from each other",
  arguments: [{ name: "PART" }, { name: "PART" }],
  load,
};
const test: CommandRow = {
  name: "test",
  summary: "takes what is there",
  arguments: [
    { name: "KIND", optional: true },
    { name: "FILE", optional: true, rest: true },
  ],
  load,
};

const recovery: ProgramRow = {
  name: "recovery",
  summary: "Looks after a cluster.",
  takesEnvironment: true,
  commands: [topology, cut],
  examples: ["recovery prod topology"],
};
const lab: ProgramRow = {
  ...recovery,
  name: "lab",
  takesEnvironment: false,
  commands: [cut, test],
};

const demo: ProgramRow = {
  ...lab,
  name: "demo",
  commands: [
    {
      name: "",
      summary: "shows it",
      options: { json: topology.options?.["json"] ?? { type: "boolean", summary: "" } },
      load,
    },
  ],
};

const registry: ProgramRow = {
  ...lab,
  name: "registry",
  commands: [{ ...cut, name: "node add", arguments: [{ name: "NAME" }] }],
};

const base = { command: "topology", environment: "prod", arguments: [] };

const parsed: readonly {
  program: ProgramRow;
  line: string;
  want: { command: string; environment: string; arguments: string[]; flags: object };
}[] = [
  {
    program: recovery,
    line: "prod topology --resume",
    want: { ...base, flags: { interval: "2s", resume: true } },
  },
  {
    program: recovery,
    line: "prod topology --resume --json",
    want: { ...base, flags: { interval: "2s", resume: true, json: true } },
  },
  {
    program: recovery,
    line: "prod topology --json --resume 4f1c --risk=a --risk b",
    want: { ...base, flags: { interval: "2s", json: true, resume: "4f1c", risk: ["a", "b"] } },
  },
  {
    program: recovery,
    line: "prod topology",
    want: { command: "topology", environment: "prod", arguments: [], flags: { interval: "2s" } },
  },
  {
    program: recovery,
    line: "prod topology --json -w --interval=5s --mode fast",
    want: {
      command: "topology",
      environment: "prod",
      arguments: [],
      flags: { json: true, watch: true, interval: "5s", mode: "fast" },
    },
  },
  {
    program: recovery,
    line: "topology topology",
    want: {
      command: "topology",
      environment: "topology",
      arguments: [],
      flags: { interval: "2s" },
    },
  },
  {
    program: lab,
    line: "cut dal-01 chi-02",
    want: { command: "cut", environment: "", arguments: ["dal-01", "chi-02"], flags: {} },
  },
  {
    program: lab,
    line: "test unit -- --help -x",
    want: { command: "test", environment: "", arguments: ["unit", "--help", "-x"], flags: {} },
  },
  {
    program: lab,
    line: "test",
    want: { command: "test", environment: "", arguments: [], flags: {} },
  },
  {
    program: registry,
    line: "node add app-01",
    want: { command: "node add", environment: "", arguments: ["app-01"], flags: {} },
  },
  {
    program: demo,
    line: "--json",
    want: { command: "", environment: "", arguments: [], flags: { json: true } },
  },
];

t.test("lines that are understood", (t) => {
  for (const { program, line, want } of parsed) {
    const got = parseLine(program, line.split(" "));
    if ("help" in got) return t.fail(`${line}: taken for a call for help`);
    t.same({ ...got, flags: { ...got.flags }, command: got.command.name }, want, line);
  }
  return t.end();
});

const helped: readonly { program: ProgramRow; line: string; want: string | undefined }[] = [
  { program: recovery, line: "", want: undefined },
  { program: recovery, line: "--help", want: undefined },
  { program: recovery, line: "-h", want: undefined },
  { program: recovery, line: "help", want: undefined },
  { program: recovery, line: "help topology", want: "topology" },
  { program: recovery, line: "prod --help", want: undefined },
  { program: recovery, line: "prod help cut", want: "cut" },
  { program: recovery, line: "topology --help", want: "topology" },
  { program: recovery, line: "prod topology --help", want: "topology" },
  { program: recovery, line: "prod topology --json -h", want: "topology" },
  { program: recovery, line: "prod topology --nonsense --help", want: "topology" },
  { program: lab, line: "cut --help", want: "cut" },
  { program: lab, line: "help nonsense", want: undefined },
  { program: demo, line: "--help", want: "" },
];

t.test("calls for help", (t) => {
  for (const { program, line, want } of helped) {
    const got = parseLine(program, line === "" ? [] : line.split(" "));
    if (!("help" in got)) return t.fail(`${line}: not taken for a call for help`);
    t.equal(got.help?.name, want, line);
  }
  return t.end();
});

const see = "see recovery ENVIRONMENT topology --help";
const refused: readonly { program: ProgramRow; line: string; want: string; hint: string }[] = [
  {
    program: recovery,
    line: "prod",
    want: "what should be done with prod?",
    hint: "see recovery --help",
  },
  {
    program: recovery,
    line: "topology",
    want: "topology of which environment?",
    hint: "write recovery ENVIRONMENT topology; see recovery --help",
  },
  {
    program: recovery,
    line: "topology --json",
    want: "topology of which environment?",
    hint: "write recovery ENVIRONMENT topology; see recovery --help",
  },
  {
    program: recovery,
    line: "--json prod topology",
    want: "expected an environment before --json",
    hint: "see recovery --help",
  },
  {
    program: recovery,
    line: "prod --json topology",
    want: "expected a command before --json",
    hint: "see recovery --help",
  },
  {
    program: recovery,
    line: "prod topolgy",
    want: 'recovery has no command "topolgy"',
    hint: "did you mean topology? see recovery --help",
  },
  {
    program: recovery,
    line: "prod constructor",
    want: 'recovery has no command "constructor"',
    hint: "see recovery --help",
  },
  {
    program: lab,
    line: "--name x cut",
    want: "expected a command before --name",
    hint: "see lab --help",
  },
  {
    program: recovery,
    line: "prod topology --jsn",
    want: "unknown flag --jsn",
    hint: `did you mean --json? ${see}`,
  },
  { program: recovery, line: "prod topology -x", want: "unknown flag -x", hint: see },
  {
    program: recovery,
    line: "prod topology --force=yes",
    want: "unknown flag --force",
    hint: see,
  },
  {
    program: recovery,
    line: "prod topology --json=yes",
    want: "--json takes no value",
    hint: see,
  },
  {
    program: recovery,
    line: "prod topology --interval",
    want: "--interval needs a value",
    hint: see,
  },
  {
    program: recovery,
    line: "prod topology --interval --json",
    want: "--interval needs a value",
    hint: see,
  },
  { program: recovery, line: "prod topology -w -w", want: "--watch stands twice", hint: see },
  {
    program: recovery,
    line: "prod topology --interval=",
    want: "--interval needs a value",
    hint: see,
  },
  {
    program: recovery,
    line: "prod topology --interval 1s --interval 2s",
    want: "--interval stands twice",
    hint: see,
  },
  {
    program: recovery,
    line: "prod topology --mode slow",
    want: '--mode takes auto, fast; got "slow"',
    hint: see,
  },
  {
    program: recovery,
    line: "prod topology now",
    want: 'topology does not take "now"',
    hint: see,
  },
  { program: lab, line: "cut dal-01", want: "cut needs PART", hint: "see lab cut --help" },
  { program: demo, line: "now", want: 'demo does not take "now"', hint: "see demo --help" },
  {
    program: demo,
    line: "--jsn",
    want: "unknown flag --jsn",
    hint: "did you mean --json? see demo --help",
  },
  { program: lab, line: "cut a b c", want: 'cut does not take "c"', hint: "see lab cut --help" },
];

t.test("lines that are not understood", (t) => {
  for (const { program, line, want, hint } of refused) {
    try {
      parseLine(program, line.split(" "));
      t.fail(`${line}: was understood`);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      t.same({ message: error.message, hint: error.hint }, { message: want, hint }, line);
      t.equal(exitCodeOf(error), exitCodes.usage);
    }
  }
  t.end();
});

t.test("help texts come from the tables", (t) => {
  t.equal(
    programUsage(recovery),
    [
      "Looks after a cluster.",
      "",
      "usage: recovery ENVIRONMENT COMMAND [flags]",
      "",
      "  topology  shows the cluster",
      "  cut       cuts two parts off from each other",
      "",
      "recovery ENVIRONMENT COMMAND --help says more about one.",
      "",
      "examples:",
      "  recovery prod topology",
    ].join("\n"),
  );
  t.equal(
    commandUsage(recovery, topology),
    [
      "shows the cluster",
      "",
      "usage: recovery ENVIRONMENT topology [flags]",
      "",
      "  --json           prints JSON",
      "  -w, --watch      looks again and again",
      "  --interval TIME  time between looks [2s]",
      "  --mode VALUE     how (auto | fast)",
      "  --resume [ID]    goes on",
      "  --risk NAME      accepts; may stand several times",
      "",
      "More about it.",
    ].join("\n"),
  );
  t.match(commandUsage(demo, demo.commands[0] ?? cut), /^usage: demo \[flags\]$/m);
  t.match(commandUsage(lab, test), /^usage: lab test \[KIND\] \[FILE \.\.\.\]$/m);
  t.end();
});

t.test("the nearest word", (t) => {
  const known = ["topology", "flip-db", "cut"];
  for (const [word, want] of [
    ["topolgy", "topology"],
    ["flipdb", "flip-db"],
    ["cutt", "cut"],
    ["c", undefined],
    ["", undefined],
    ["rebuild", undefined],
  ] as const) {
    t.equal(nearest(word, known), want, word);
  }
  t.equal(nearest("cut", []), undefined);
  t.end();
});

t.test("exit codes of what can be thrown", (t) => {
  for (const [thrown, want] of [
    [Object.assign(new Error("x"), { code: "ERR_CONFIG" }), 78],
    [Object.assign(new Error("x"), { code: "ERR_LOCKED" }), 75],
    [Object.assign(new Error("x"), { code: "ERR_REFUSED" }), 3],
    [Object.assign(new Error("x"), { code: "ERR_ABORTED" }), 4],
    [Object.assign(new Error("x"), { code: "constructor" }), 1],
    [Object.assign(new Error("x"), { code: 64 }), 1],
    [new Error("x"), 1],
    ["a string", 1],
    [null, 1],
    [undefined, 1],
  ] as const) {
    t.equal(exitCodeOf(thrown), want);
  }
  t.end();
});

const program = fileURLToPath(new URL("../../fixtures/cli/program.ts", import.meta.url));
const deadlineMs = 20_000;

async function run(words: string[], env: Record<string, string> = {}) {
  return await runChild(process.execPath, [program, ...words], {
    deadlineMs,
    env: { PATH: process.env["PATH"] ?? "", ...env },
    accept: [0, 1, 2, 3, 4, 64, 69, 75, 78],
  });
}

t.test("a real process: results, complaints and exit codes", async (t) => {
  t.same(await run(["both"]), { code: 2, stdout: "result\n", stderr: "note\n" });
  t.same(await run([]), { code: 64, stdout: "", stderr: (await run(["--help"])).stdout });
  t.same(await run(["bothh"]), {
    code: 64,
    stdout: "",
    stderr: 'program: program has no command "bothh"\ndid you mean both? see program --help\n',
  });
  t.same(await run(["fail", "ERR_LOCKED"]), {
    code: 75,
    stdout: "",
    stderr: "program: it went wrong:\nprogram: \uFFFD[2Jon a second line\n",
  });
  t.match(await run(["fail", "ENOENT"]), { code: 1, stderr: /^program: ENOENT[^\n]*\n$/ });
  t.match(await run(["missing"]), { code: 69, stdout: "", stderr: /^program: [^\n]*none\.ts/ });
  t.same(await run(["crash"]), {
    code: 1,
    stdout: "",
    stderr:
      "program: nobody waits for this\nthis is a fault in program itself; SWITCHYARD_DEBUG=1 shows where\n",
  });
  t.same(await run(["fail", "several"]), {
    code: 1,
    stdout: "",
    stderr: "program: ::1 refused; 127.0.0.1 refused\n",
  });
});

t.test("a stack is printed when it is asked for, and only then", async (t) => {
  const quiet = await run(["fail", "ERR_X"]);
  t.notMatch(quiet.stderr, /program\.ts:\d+/);
  const loud = await run(["fail", "ERR_X"], { SWITCHYARD_DEBUG: "1" });
  t.match(loud.stderr, /program\.ts:\d+/);
});

t.test("a reader that goes away ends the output, quietly", async (t) => {
  const script = `"$1" "$2" pour | head -n 2; echo "\${PIPESTATUS[0]}"`;
  const got = await runChild("bash", ["-c", script, "bash", process.execPath, program], {
    deadlineMs,
  });
  t.same(got, { code: 0, stdout: "line 0\nline 1\n0\n", stderr: "" });
});

t.test("a result that cannot be written is a failure", async (t) => {
  const script = `"$1" "$2" both > /dev/full`;
  const got = await runChild("bash", ["-c", script, "bash", process.execPath, program], {
    deadlineMs,
    accept: [1],
  });
  t.match(got.stderr, /program: cannot write the result: ENOSPC/);
});

/** Starts a command, sends the signals once it is ready, and resolves with how it ended. */
async function interrupted(t: Test, command: string, signals: NodeJS.Signals[]) {
  const child = spawn(process.execPath, [program, command], { stdio: ["ignore", "pipe", "pipe"] });
  t.teardown(() => child.kill("SIGKILL"));
  const errors: Buffer[] = [];
  child.stderr.on("data", (chunk: Buffer) => errors.push(chunk));
  const ended = once(child, "close");
  await once(createInterface(child.stdout), "line");
  for (const signal of signals) child.kill(signal);
  const [code, killedBy] = (await ended) as [number | null, string | null];
  return { code, killedBy, stderr: Buffer.concat(errors).toString() };
}

t.test("Ctrl-C ends a command with 4, or with what the command returns", async (t) => {
  t.same(await interrupted(t, "wait", ["SIGINT"]), {
    code: 4,
    killedBy: null,
    stderr: "program: interrupted by SIGINT\n",
  });
  t.match(await interrupted(t, "wait", ["SIGTERM"]), { code: 4, stderr: /by SIGTERM/ });
  t.match(await interrupted(t, "watch", ["SIGINT"]), { code: 0, stderr: "" });
});

t.test("a command that does not end can still be left", async (t) => {
  // Signals of one kind that are pending together count once, so three kinds are sent.
  t.match(await interrupted(t, "stubborn", ["SIGINT", "SIGTERM", "SIGHUP"]), { code: 4 });
});

t.test("no colour without a terminal, nor where NO_COLOR or a dumb terminal says so", async (t) => {
  const onTerminal = async (env: Record<string, string>): Promise<string> => {
    const line = `${process.execPath} ${program} both`;
    const { stdout } = await runChild("script", ["-qec", line, "/dev/null"], {
      deadlineMs,
      env: { PATH: process.env["PATH"] ?? "", TERM: "xterm", ...env },
      accept: [2],
    });
    return stdout;
  };
  t.match(await onTerminal({}), "\u001B[31mresult");
  t.notMatch(await onTerminal({ NO_COLOR: "1" }), "\u001B");
  t.match(await onTerminal({ NO_COLOR: "" }), "\u001B[31m", "empty means unset (no-color.org)");
  t.notMatch(await onTerminal({ TERM: "dumb" }), "\u001B");
});
