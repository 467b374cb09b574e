/**
 * bin/maintenance with real programs, a real Postgres and real signals: in order, in reverse order,
 * again after a failure and after kill -9, one at a time, and around a command.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { inCheckout } from "../../../kit/checkout.ts";
import { runChild } from "../../../kit/child.ts";
import { eventually } from "../../../kit/clock.ts";
import { makePatient, withLab } from "../../support/lab.ts";
import type { TestLab } from "../../support/lab.ts";

const patience = { deadlineMs: 60_000, intervalMs: 20 };
const everyCode = Array.from({ length: 256 }, (_, code) => code);

/** One word of each deed goes into a log; `NAME.fails` and `NAME.blocks` make it fail or wait. */
const deedScript = `#!/bin/sh
cd "$(dirname "$0")"
case "$2" in
  on) if [ -p "$1.blocks" ]; then echo "$1 began" >>log; read -r word <"$1.blocks"; fi
      if [ -e "$1.fails" ]; then echo "$1 is broken" >&2; exit 9; fi
      echo "$1 on" >>log; : >"$1.stands" ;;
  off) echo "$1 off" >>log; rm -f "$1.stands" ;;
  is-on) [ -e "$1.stands" ] ;;
esac
`;

/** As much of a container engine's words as a window uses; a container is a file. */
const engineScript = `#!/bin/sh
cd "$(dirname "$0")"
verb=$1; shift
[ "$verb" = inspect ] && shift 2
for name in "$@"; do
  case "$verb" in
    stop) echo "stop $name" >>log; rm -f "$name.runs" ;;
    start) echo "start $name" >>log; : >"$name.runs" ;;
    inspect) if [ -e "$name.runs" ]; then echo true; else echo false; fi ;;
  esac
done
`;

function stepsText(folder: string): string {
  const deed = (name: string, verb: string): string => `[${folder}/deed, ${name}, ${verb}]`;
  return `
maintenance:
  steps:
    - name: page
      do: ${deed("page", "on")}
      undo: ${deed("page", "off")}
      isUp: ${deed("page", "is-on")}
    - name: jobs
      shell: [/bin/sh]
      do: ${deed("jobs", "on")}
      undo: ${deed("jobs", "off")}
    - name: workers
      shell: [/bin/sh]
      stopContainers: { names: [one, two], program: ${folder}/engine }
    - name: reports
      wait: { query: "SELECT pid FROM pg_stat_activity WHERE application_name = 'reports'" }
      deadline: 5s
`;
}

class Place {
  readonly #lab: TestLab;
  readonly folder: string;
  constructor(lab: TestLab, folder: string) {
    this.#lab = lab;
    this.folder = folder;
  }
  /** Runs a program of the checkout to its end; every exit code is a result. */
  async tool(program: string, ...words: string[]) {
    const options = { deadlineMs: 120_000, accept: everyCode, env: this.environment() };
    return await runChild(inCheckout(`bin/${program}`), words, options);
  }
  maintenance = (verb: string, ...words: string[]) =>
    this.tool("maintenance", verb, this.#lab.name, ...words);
  start(verb: string, ...words: string[]) {
    const env = this.environment();
    const args = [verb, this.#lab.name, ...words];
    return spawn(inCheckout("bin/maintenance"), args, { env, stdio: ["ignore", "pipe", "pipe"] });
  }
  environment() {
    return { PATH: process.env["PATH"] ?? "", XDG_STATE_HOME: join(this.folder, "state") };
  }
  path(name: string): string {
    return join(this.folder, name);
  }
  async log(): Promise<string[]> {
    const text = await readFile(this.path("log"), "utf8").catch(() => "");
    return text.split("\n").filter((line) => line !== "");
  }
  async clear(): Promise<void> {
    await writeFile(this.path("log"), "");
  }
  async untilLogged(line: string): Promise<void> {
    await eventually(line, patience, async () =>
      (await this.log()).includes(line) ? true : undefined,
    );
  }
}

const whole = ["page on", "jobs on", "stop one", "stop two"];
const back = ["start one", "start two", "jobs off", "page off"];

t.test("bin/maintenance", async (t) => {
  const lab = await withLab(t);
  const folder = await mkdtemp(join(tmpdir(), "switchyard-maintenance-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "deed"), deedScript, { mode: 0o755 });
  await writeFile(join(folder, "engine"), engineScript, { mode: 0o755 });
  for (const name of ["one", "two"]) await writeFile(join(folder, `${name}.runs`), "");
  await makePatient(lab, stepsText(folder));
  const place = new Place(lab, folder);

  await t.test("up in order, topology tells, down in reverse order; all of it again", async (t) => {
    const up = await place.maintenance("up", "--reason", "new disks", "--json");
    t.equal(up.code, 0, up.stderr);
    const lines = up.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);
    t.match(lines.at(-1), {
      event: "report",
      command: "up",
      result: "done",
      problems: [],
      next: null,
    });
    t.match(lines[0], { event: "step", step: "page", phase: "start" });
    t.same(await place.log(), whole);
    const again = await place.tool("maintenance", lab.name, "up");
    t.equal(again.code, 0, "the environment may stand first");
    t.match(again.stdout, /every step stands/);
    t.same(await place.log(), whole, "nothing is done twice");
    const topology = await place.tool("recovery", lab.name, "topology", "--json");
    const seen = JSON.parse(topology.stdout) as { maintenance: object; findings: object[] };
    t.match(seen.maintenance, { reason: "new disks", steps: [{ name: "page", state: "stands" }] });
    t.match(seen.findings, [{ code: "maintenance-window", severity: "note", says: /new disks/ }]);
    t.equal(topology.code, 0, "a window by itself makes nothing unhealthy");
    t.match(
      (await place.maintenance("status")).stdout,
      /new disks\n {2}page: stands\n {2}jobs: stands/,
    );
    await place.clear();
    t.equal((await place.maintenance("down")).code, 0);
    t.same(await place.log(), back);
    t.match((await place.maintenance("down")).stdout, /no window was open/);
    t.match((await place.maintenance("status")).stdout, /no maintenance window is open/);
    t.same(await place.log(), back);
  });

  await t.test("a failed step stops there; up goes on, down takes back what stands", async (t) => {
    await place.clear();
    await writeFile(place.path("jobs.fails"), "");
    const failed = await place.maintenance("up");
    t.equal(failed.code, 1);
    t.match(failed.stderr, /FAILED jobs: .*exit code 9: jobs is broken/);
    t.match(failed.stdout, /page: stands\n {2}jobs: failed.*\n {2}workers: not begun/);
    t.match(failed.stdout, /next: bin\/maintenance up .* goes on; bin\/maintenance down/);
    t.same(await place.log(), ["page on"]);
    await rm(place.path("jobs.fails"));
    t.equal((await place.maintenance("up")).code, 0);
    t.same(await place.log(), whole);
    await place.clear();
    // Somebody has taken the page down by hand meanwhile: its check tells.
    await rm(place.path("page.stands"));
    t.equal((await place.maintenance("up")).code, 0);
    t.same(await place.log(), ["page on"], "what no longer stands is done again, and nothing else");
    await place.clear();
    t.equal((await place.maintenance("down")).code, 0);
    t.same(await place.log(), back);
  });

  await t.test("one at a time; after kill -9 up goes on where it was", async (t) => {
    await place.clear();
    await runChild("mkfifo", [place.path("jobs.blocks")], { deadlineMs: 60_000 });
    const first = place.start("up");
    await place.untilLogged("jobs began");
    const second = await place.maintenance("up");
    t.equal(second.code, 75);
    t.match(second.stderr, /maintenance up .*\(pid [0-9]+\)/);
    first.kill("SIGKILL");
    await once(first, "exit");
    // The step's own program lives on and comes to its end.
    await writeFile(place.path("jobs.blocks"), "go\n");
    await place.untilLogged("jobs on");
    await rm(place.path("jobs.blocks"));
    t.match((await place.maintenance("status")).stdout, /jobs: begun/);
    await place.clear();
    t.equal((await place.maintenance("up")).code, 0);
    t.same(await place.log(), ["jobs on", "stop one", "stop two"]);
    t.equal((await place.maintenance("down")).code, 0);
  });

  await t.test("Ctrl-C ends up at once, and says what stands", async (t) => {
    await place.clear();
    await runChild("mkfifo", [place.path("jobs.blocks")], { deadlineMs: 60_000 });
    const running = place.start("up");
    await place.untilLogged("jobs began");
    running.kill("SIGINT");
    const [code] = (await once(running, "exit")) as [number | null];
    t.equal(code, 4);
    await rm(place.path("jobs.blocks"));
    t.match((await place.maintenance("status")).stdout, /page: stands\n {2}jobs: failed/);
    t.equal((await place.maintenance("down")).code, 0);
    t.same((await place.log()).slice(-2), ["jobs off", "page off"]);
  });

  await t.test("waits for queries to end, and says which do not", async (t) => {
    const reports = await lab.connect(
      lab.environment.members[0]?.postgres ?? { host: "", port: 0 },
      {
        config: { application_name: "reports" },
      },
    );
    const busy = await place.maintenance("up");
    t.equal(busy.code, 1);
    t.match(busy.stderr, /FAILED reports: .*the query is not done: 1 row is still there: \{"pid":/);
    await reports.end();
    t.equal((await place.maintenance("up")).code, 0);
    t.equal((await place.maintenance("down")).code, 0);
  });

  await t.test("run: the command's own output and exit code, and a closed window", async (t) => {
    for (const [words, code] of [
      [["sh", "-c", `test -e ${folder}/page.stands || exit 3; exit 7`], 7],
      [["sh", "-c", "kill -TERM $$"], 143],
      [[join(folder, "missing")], 69],
    ] as const) {
      await place.clear();
      const ran = await place.maintenance("run", "--", ...words);
      t.equal(ran.code, code, words.join(" "));
      t.same(await place.log(), [...whole, ...back]);
    }
    t.match((await place.maintenance("status")).stdout, /no maintenance window is open/);
    await place.clear();
    await writeFile(place.path("jobs.fails"), "");
    const unopened = await place.maintenance("run", "--", "touch", place.path("ran"));
    t.equal(unopened.code, 1);
    t.match(unopened.stderr, /COMMAND was not run/);
    await t.rejects(access(place.path("ran")));
    t.same(await place.log(), ["page on", "jobs off", "page off"]);
    await rm(place.path("jobs.fails"));
    t.equal((await place.maintenance("up")).code, 0);
    const refused = await place.maintenance("run", "--", "true");
    t.equal(refused.code, 3, "a window that somebody else opened is not closed");
    t.equal((await place.maintenance("down")).code, 0);
  });

  await t.test("run: Ctrl-C ends the command, and the window is closed", async (t) => {
    await place.clear();
    const script = `tail -f /dev/null & trap "kill $!; echo caught >>${folder}/log; exit 5" INT; echo ready >>${folder}/log; wait`;
    const running = place.start("run", "--", "sh", "-c", script);
    await place.untilLogged("ready");
    running.kill("SIGINT");
    const [code] = (await once(running, "exit")) as [number | null];
    t.equal(code, 5);
    t.same(await place.log(), [...whole, "ready", "caught", ...back]);
    t.match((await place.maintenance("status")).stdout, /no maintenance window is open/);
  });
});
