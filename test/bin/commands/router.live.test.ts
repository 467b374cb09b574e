/** `router ENV status | watch | set | sessions` on two real HAProxys, as an operator runs them. */
import t from "tap";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inCheckout } from "../../../kit/checkout.ts";
import type { Invocation } from "../../../bin/cli/command.ts";
import { exitCodeOf } from "../../../bin/cli/exit-codes.ts";
import { processOutput } from "../../../bin/cli/output.ts";
import { run as sessions } from "../../../bin/commands/router/sessions.ts";
import { run as set } from "../../../bin/commands/router/set.ts";
import { run as status } from "../../../bin/commands/router/status.ts";
import { run as watch } from "../../../bin/commands/router/watch.ts";
import { eventually } from "../../../kit/clock.ts";
import { reloadThroughMaster } from "../../../router/haproxy/runtime/master.ts";
import { visit } from "../../support/fake-member.ts";
import { haproxyPrograms } from "../../support/haproxy.ts";
import { serverNow, settled, startRig } from "../../router/haproxy/runtime/rig.ts";
import type { Rig } from "../../router/haproxy/runtime/rig.ts";

type Run = (invocation: Invocation) => Promise<number>;

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly notes: string;
}

const environment = `router-commands-${process.pid}`;
const poll = { deadlineMs: 60_000, intervalMs: 20 };

/** Runs a command as bin/router would, and gathers what it prints. */
async function ask(
  run: Run,
  words: readonly string[],
  flags: Invocation["flags"] = {},
  live: { out?: string[]; signal?: AbortSignal } = {},
): Promise<Outcome> {
  const out = live.out ?? [];
  const notes: string[] = [];
  const output = {
    ...processOutput(),
    result: (line: string) => void out.push(line),
    note: (line: string) => void notes.push(line),
  };
  const invocation: Invocation = {
    program: "router",
    command: "",
    environment,
    arguments: words,
    flags,
    output,
    signal: live.signal ?? new AbortController().signal,
  };
  try {
    return { code: await run(invocation), out: out.join("\n"), notes: notes.join("\n") };
  } catch (error) {
    const { message, hint = "" } = error as Error & { hint?: string };
    return {
      code: exitCodeOf(error),
      out: out.join("\n"),
      notes: [...notes, message, hint].join("\n"),
    };
  }
}

async function writeEnvironment(routers: readonly (readonly [string, string, string])[]) {
  const file = inCheckout(join("config", `${environment}.yml`));
  const password = `${file}.secret`;
  t.teardown(() => Promise.all([rm(file, { force: true }), rm(password, { force: true })]));
  await writeFile(password, "secret", { mode: 0o600 });
  const listed = routers.map(
    ([name, runtime, master]) => `
  - name: ${name}
    listen: { write: "127.60.0.3:6433", read: "127.60.0.3:6434", stats: "127.60.0.3:8404" }
    runtime: "${runtime}"
    master: "${master}"
    configuration: { path: /etc/haproxy/haproxy.cfg }`,
  );
  const text = `cluster: main
login: { user: postgres, password: "file:${password}" }
members:
  - name: dal-01
    ordinal: 0
    postgres: "127.60.0.1:5432"
    pooler: { address: "127.60.0.1:6432" }
    health: "http://127.60.0.1:8008"
routers:${listed.join("")}
`;
  await writeFile(file, text);
}

const [program] = await haproxyPrograms();
if (program === undefined) t.pass("skipped: no HAProxy", { skip: "no HAProxy at hand" });
else {
  const one = await startRig(program.path, "127.60.40");
  t.teardown(one.stop);
  const two = await startRig(program.path, "127.60.41");
  t.teardown(two.stop);
  const rows = (rigs: readonly Rig[]) =>
    rigs.map((rig, index) => [`app-0${index + 1}`, rig.runtime.address.text, rig.master] as const);
  const lost = ["app-03", "unix:/nonexistent/admin.sock", "unix:/nonexistent/master.sock"] as const;
  await writeEnvironment(rows([one, two]));

  await t.test("all well", async (t) => {
    const seen = await ask(status, []);
    t.equal(seen.code, 0, seen.notes);
    t.match(seen.out, /^2 routers answer and agree\n\nrouter app-01 {2}HAProxy 2|^2 routers/);
    t.match(seen.out, /pg-primary\/dal-01 +up +L7OK\/200 in [0-9]+ms +[0-9]+ s +0 +0/);
    t.match(seen.out, /pg-primary\/chi-02 +down +L7STS\/503 in [0-9]+ms/);
    t.ok(seen.out.split("\n").every((line) => line.length <= 100));
    const json = JSON.parse((await ask(status, [], { json: true })).out) as unknown;
    t.match(json, { agree: true, routers: [{ name: "app-01", reachable: true }, {}] });
    t.equal((await ask(status, [], { router: "app-02" })).out.includes("app-01"), false);
  });

  await t.test("words that are wrong", async (t) => {
    const table = [
      { run: status, words: [], flags: { router: "app-1" }, says: /did you mean app-01\?/ },
      { run: set, words: ["pg-primary/dal-01", "rady"], says: /did you mean ready\?/ },
      { run: set, words: ["pg-primary/dal-1", "ready"], says: /did you mean pg-primary\/dal-01\?/ },
      { run: set, words: ["pg-primary;x/y", "ready"], says: /expected BACKEND\/SERVER/ },
      { run: sessions, words: [], flags: { backend: "hel" }, says: /did you mean held\?/ },
    ];
    for (const { run, words, flags, says } of table) {
      const seen = await ask(run, words, flags);
      t.equal(seen.code, 64, seen.notes);
      t.match(seen.notes, says);
    }
  });

  await t.test("the last server for writes is not taken away unasked", async (t) => {
    const held = await visit(two.host, 6433);
    for (const state of ["maint", "drain"]) {
      const seen = await ask(set, ["pg-primary/dal-01", state]);
      t.equal(seen.code, 3);
      t.match(seen.notes, /app-02: pg-primary\/dal-01 is the only server up for writes/);
      t.match(seen.notes, state === "maint" ? /1 session is closed/ : /1 session stays/);
      t.match(seen.notes, /nothing was changed; --yes does it/);
    }
    t.equal((await serverNow(two, "pg-primary/dal-01")).state, "up");
    t.equal((await ask(set, ["pg-primary/chi-02", "maint"])).code, 0, "a standby is no loss");
    t.equal((await ask(set, ["pg-primary/chi-02", "ready"])).code, 0);
    const done = await ask(set, ["pg-primary/dal-01", "maint"], { yes: true });
    t.equal(done.code, 0, done.notes);
    t.match(
      done.out,
      /app-01: pg-primary\/dal-01 up → maint\napp-02: pg-primary\/dal-01 up → maint/,
    );
    await held.ended;
    const back = await ask(set, ["pg-primary/dal-01", "ready"]);
    t.match(back.out, /app-01: pg-primary\/dal-01 maint → down, its checks decide when it is up/);
    await Promise.all([settled(one), settled(two)]);
    t.match((await ask(set, ["pg-primary/dal-01", "ready"])).out, /was up already/);
  });

  await t.test("routers that disagree", async (t) => {
    const seen = await ask(set, ["tracked/dal-01", "maint"], { router: "app-02" });
    t.equal(seen.code, 0);
    const differ = await ask(status, []);
    t.equal(differ.code, 1);
    t.match(differ.out, /routers disagree: tracked\/dal-01 is up on app-01, maint on app-02/);
    t.equal((await ask(set, ["tracked/dal-01", "ready"])).code, 0);
    await settled(two);
  });

  await t.test("sessions, those on an old worker included", async (t) => {
    t.equal((await ask(sessions, [])).out, "no sessions");
    const old = await visit(one.host, 6433);
    await reloadThroughMaster(one.master, { deadlineMs: 10_000 });
    await settled(one);
    const now = await visit(one.host, 6435);
    const seen = await ask(sessions, []);
    t.match(seen.out, /app-01 +127\.[0-9.]+:[0-9]+ +tracked\/dal-01 +[0-9]+ s +[0-9]+$/m);
    t.match(
      seen.out,
      /app-01 +127\.[0-9.]+:[0-9]+ +pg-primary\/dal-01 +[0-9]+ s +[0-9]+ \(old\)$/m,
    );
    t.match((await ask(status, [])).out, /old worker pid [0-9]+ with 1 session, started/);
    const some = await ask(sessions, [], { backend: "tracked", json: true });
    const { sessions: list } = JSON.parse(some.out) as { sessions: unknown[] };
    t.match(list, [{ router: "app-01", backend: "tracked", old: false }]);
    t.equal(list.length, 1);

    const flags = { "close-old-workers": true };
    const refused = await ask(sessions, [], flags);
    t.equal(refused.code, 3);
    t.match(refused.notes, /pg-primary\/dal-01 .*\(old\)\n/, "lists what it would close");
    t.match(refused.notes, /app-01: 1 session on old workers would be closed\nnothing was closed/);
    t.notMatch(refused.notes, /tracked/);
    const only = await ask(sessions, [], { ...flags, backend: "tracked" });
    t.equal(
      only.out,
      "app-01: 0 sessions on old workers closed\napp-02: 0 sessions on old workers closed",
    );
    const closed = await ask(sessions, [], { ...flags, yes: true, json: true });
    t.equal(closed.code, 0, closed.notes);
    t.match(JSON.parse(closed.out), {
      routers: [
        { router: "app-01", closed: 1, waiting: 0, error: null },
        { router: "app-02", closed: 0 },
      ],
    });
    await old.ended;
    t.match((await ask(sessions, [])).out, /tracked\/dal-01/, "the new worker's sessions stay");
    now.socket.destroy();
  });

  await t.test("watch: a line for each change, 0 at Ctrl-C", async (t) => {
    const out: string[] = [];
    const stop = new AbortController();
    const watching = ask(watch, [], {}, { out, signal: stop.signal });
    const line = (is: RegExp): Promise<unknown> =>
      eventually(String(is), poll, () => (out.some((text) => is.test(text)) ? true : undefined));
    await Promise.all([
      line(/app-01 {2}HAProxy .*dal-01 up/),
      line(/app-02 {2}HAProxy .*dal-01 up/),
    ]);
    two.chi.health = "primary";
    await line(/^[0-9:.]{12} {2}app-02 {2}pg-primary\/chi-02 down → up \(L7OK\/200/);
    two.chi.health = "standby";
    await line(/app-02 {2}pg-primary\/chi-02 up → down \(L7STS\/503/);
    await reloadThroughMaster(two.master, { deadlineMs: 10_000 });
    await line(/app-02 {2}a new worker serves/);
    t.notOk(out.some((text) => /app-01 .*chi-02 .*→/.test(text)));
    stop.abort(new Error("SIGINT"));
    t.equal((await watching).code, 0);
    await settled(two);
  });

  await t.test("one router of three is not reached, then all", async (t) => {
    await writeEnvironment([...rows([one, two]), lost]);
    const seen = await ask(status, []);
    t.equal(seen.code, 1);
    t.match(seen.out, /^1 of 3 routers not reached\n/);
    t.match(seen.out, /unix:\/nonexistent\/admin\.sock: no such socket/);
    const part = await ask(set, ["pg-primary/chi-02", "maint"]);
    t.equal(part.code, 1);
    t.match(part.out, /app-01: .*→ maint\napp-02: .*→ maint/);
    t.match(part.notes, /app-03: not done: .*no such socket/);
    t.equal((await ask(sessions, [])).code, 1);
    await writeEnvironment([lost]);
    for (const [run, words] of [
      [status, []],
      [set, ["pg-primary/chi-02", "ready"]],
      [sessions, []],
    ] as const) {
      t.equal((await ask(run, words)).code, 69);
    }
  });
}
