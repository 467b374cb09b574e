/** `router ENV apply | check | set | status` on two routers that run what is rendered, and a dead one. */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { eventually } from "../../../kit/clock.ts";
import { inCheckout } from "../../../kit/checkout.ts";
import type { Invocation } from "../../../bin/cli/command.ts";
import { exitCodeOf, exitCodes } from "../../../bin/cli/exit-codes.ts";
import { processOutput } from "../../../bin/cli/output.ts";
import { run as apply } from "../../../bin/commands/router/apply.ts";
import { run as check } from "../../../bin/commands/router/check.ts";
import { run as set } from "../../../bin/commands/router/set.ts";
import { run as status } from "../../../bin/commands/router/status.ts";
import { loadEnvironment } from "../../../config/load.ts";
import { haproxyConfiguration } from "../../../router/haproxy/files.ts";
import { environmentText } from "../../support/environment.ts";
import type { EnvironmentWishes } from "../../support/environment.ts";
import { startFakeMember } from "../../support/fake-member.ts";
import { haproxyPlace, haproxyPrograms, startHaproxy } from "../../support/haproxy.ts";
import type { HaproxyPlace, RunningHaproxy } from "../../support/haproxy.ts";
import { untilStatus } from "../../support/rendered-haproxy.ts";

type Run = (invocation: Invocation) => Promise<number>;

const name = `router-apply-${process.pid}`;
const file = inCheckout(join("config", `${name}.yml`));
const secret = `${file}.secret`;
t.teardown(() => Promise.all([rm(file, { force: true }), rm(secret, { force: true })]));

async function ask(run: Run, words: readonly string[] = [], flags: Invocation["flags"] = {}) {
  const out: string[] = [];
  const notes: string[] = [];
  const output = {
    ...processOutput(),
    result: (line: string) => void out.push(line),
    note: (line: string) => void notes.push(line),
  };
  const rest = { output, signal: new AbortController().signal };
  const invocation = { program: "router", command: "", environment: name, flags, ...rest };
  const code = await run({ ...invocation, arguments: words }).catch((error: Error) => {
    notes.push(error.message);
    return exitCodeOf(error);
  });
  return { code, out: out.join("\n"), notes: notes.join("\n") };
}

interface Wishes extends EnvironmentWishes {
  /** Further keys of the second router's configuration. */
  readonly second?: string;
  readonly dead?: boolean;
}

const hosts = ["127.50.20.1", "127.50.20.2"] as const;

/** Writes the environment: app-01, app-02 and, where wanted, app-03, which nobody runs. */
async function write(program: string, places: readonly HaproxyPlace[], wishes: Wishes = {}) {
  const [one, two] = places;
  const router = (at: string, host: string, place: string, rest: string): string =>
    `  - { name: ${at}, site: dal, runtime: "unix:${place}/admin.sock", master: "unix:${place}/master.sock", adminSocket: ${place}/admin.sock, listen: { write: "${host}:6433", read: "${host}:6434", stats: "${host}:8404" }, configuration: { path: ${place}/haproxy.cfg, ${rest} } }\n`;
  const further = [
    router("app-02", "127.50.21.2", two?.folder ?? "", wishes.second ?? ""),
    wishes.dead === true ? router("app-03", "127.50.21.3", "/nonexistent", "") : "",
  ];
  const text = environmentText({
    hosts,
    listenHost: "127.50.21.1",
    ...wishes,
    adminSocket: one?.admin ?? "",
    path: one?.configuration ?? "",
    router: `master: unix:${one?.master}`,
    haproxy: `program: ${program}, ${wishes.haproxy ?? ""}`,
  })
    .replace("edgePoolers:", `${further.join("")}edgePoolers:`)
    .replaceAll(/"\$\{PASSWORD\}"/g, `"file:${secret}"`);
  await writeFile(secret, "secret", { mode: 0o600 });
  await writeFile(file, text);
}

const soon = { deadlineMs: 60_000, intervalMs: 100 };

const [program] = await haproxyPrograms();
if (program === undefined) t.pass("skipped: no HAProxy", { skip: "no HAProxy at hand" });
else {
  const dal = await startFakeMember("dal-01", hosts[0], "primary");
  t.teardown(dal.stop);
  const chi = await startFakeMember("chi-02", hosts[1], "standby");
  t.teardown(chi.stop);
  const places = [await haproxyPlace(), await haproxyPlace()];
  const write2 = (wishes: Wishes = {}): Promise<void> => write(program.path, places, wishes);
  await write2();
  const environment = await loadEnvironment(name, { folder: inCheckout("config") });
  const routers: RunningHaproxy[] = [];
  for (const [index, place] of places.entries()) {
    const text = await haproxyConfiguration(environment, `app-0${index + 1}`);
    const haproxy = await startHaproxy(program.path, place, text);
    t.teardown(haproxy.stop);
    routers.push(haproxy);
  }
  const settled = async (): Promise<void> => {
    for (const haproxy of routers) {
      await untilStatus(haproxy, "pg-primary/dal-01", dal.health === "primary" ? /^UP/ : /^DOWN/);
      await untilStatus(haproxy, "pg-primary/chi-02", /^DOWN/);
    }
  };
  const texts = async (): Promise<string[]> =>
    await Promise.all(places.map((place) => readFile(place.configuration, "utf8")));
  await settled();

  await t.test("check warns of a flap guard that is slow to go down", async (t) => {
    await write2({
      guard: "{ inter: 5s, fastinter: 300ms, downinter: 500ms, rise: 2, fall: 5, timeout: 1s }",
    });
    const seen = await ask(check);
    t.equal(seen.code, 0, seen.notes);
    t.match(seen.notes, /app-01: warning: .*members\[0\]\.flapGuard: from dal-01 to chi-02, down/);
  });

  await t.test("a refusal of one router changes none", async (t) => {
    const before = await texts();
    const second = `check: [sh, -c, "echo it is bad >&2; exit 1"]`;
    await write2({ haproxy: "clientTimeout: 10h", second });
    const seen = await ask(apply);
    t.equal(seen.code, 3, seen.notes);
    t.match(seen.notes, /^app-01: writes /m);
    t.match(seen.notes, /^app-02: .*it is bad/m);
    t.match(seen.notes, /\nnothing was changed on any router$/);
    t.strictSame(await texts(), before);
  });

  await t.test("a dead router and other servers for writes: not unasked", async (t) => {
    const before = await texts();
    await write2({ hosts: [hosts[0], "127.50.20.9"], dead: true });
    const seen = await ask(apply);
    t.equal(seen.code, 3, seen.notes);
    t.match(seen.notes, /^app-03: not reached: .*no such socket/m);
    t.match(seen.notes, /app-01: would send writes to other servers or addresses than app-03/);
    t.match(seen.notes, /nothing was changed on any router; --yes does it/);
    t.strictSame(await texts(), before);
  });

  await t.test("a dead router keeps nobody else from what moves no writes", async (t) => {
    await write2({ haproxy: "clientTimeout: 10h", dead: true });
    const dry = await ask(apply, [], { "dry-run": true });
    t.equal(dry.code, 1);
    t.match(dry.out, /^would be applied: app-01, app-02; not reached, left as it is: app-03$/);
    const seen = await ask(apply);
    t.equal(seen.code, 1, seen.notes);
    t.match(seen.out, /^app-01: applied; worker [0-9]+ runs it\napp-02: applied; worker [0-9]+/);
    t.match(seen.out, /\napplied: app-01, app-02; not reached, left as it is: app-03$/);
    await settled();
    const again = await ask(apply);
    t.match(again.out, /^right already: app-01, app-02; not reached, left as it is: app-03$/);
    const alone = await ask(apply, [], { router: "app-03" });
    t.equal(alone.code, 69);
  });

  await t.test("the first that fails ends it, and the rest is named", async (t) => {
    const before = await texts();
    await write2({ haproxy: "clientTimeout: 9h", configuration: `reload: ["false"]` });
    const seen = await ask(apply);
    t.equal(seen.code, 1, seen.notes);
    t.match(seen.notes, /^app-01: false: exit code 1.*the file from before is back/m);
    t.match(seen.out, /^failed: app-01; not tried: app-02$/);
    t.strictSame(await texts(), before);
  });

  await t.test("the hold server is not taken away unasked; one that follows", async (t) => {
    await write2();
    for (const state of ["maint", "drain"]) {
      const seen = await ask(set, ["pg-primary/hold", state]);
      t.equal(seen.code, 3);
      t.match(seen.notes, /app-02: pg-primary\/hold keeps clients .* an end of connection instead/);
      t.match(seen.notes, /nothing was changed; --yes does it/);
    }
    const forced = await ask(set, ["pg-primary/hold", "maint"], { yes: true });
    t.equal(forced.code, 0, forced.notes);
    t.equal((await ask(set, ["pg-primary/hold", "ready"])).code, 0);
    const one = await ask(set, ["pg-primary/chi-02", "maint"]);
    t.match(one.out, /; pg-replica\/primary\.chi-02 follows it$/m);
    t.equal((await ask(set, ["pg-primary/chi-02", "ready"])).code, 0);
    await settled();
  });

  await t.test("routers that agree that nobody takes writes are not well", async (t) => {
    // The readers' side may still be coming up on one router after the one before.
    const well = await eventually("both routers agree", soon, async () =>
      (await ask(status)).code === exitCodes.done ? true : undefined,
    );
    t.ok(well);
    dal.health = "standby";
    // The readers' side, too, changes on one router after the other.
    const seen = await eventually("both routers say so", soon, async () => {
      const said = await ask(status);
      return said.out.startsWith("no member takes writes\n") ? said : undefined;
    });
    t.equal(seen.code, 1);
    const json = await eventually("they agree", soon, async () => {
      const { out } = await ask(status, [], { json: true });
      const said = JSON.parse(out) as { readonly agree: boolean };
      return said.agree ? said : undefined;
    });
    t.match(json, { agree: true, routers: [{ takesWrites: [] }, {}] });
    await write2({ haproxy: "clientTimeout: 8h" });
    const refused = await ask(apply);
    t.equal(refused.code, 3, refused.notes);
    t.match(refused.notes, /app-01: no member is up for writes: [^]*app-02: no member is up/);
    t.match(refused.notes, /nothing was changed on any router; --yes does it/);
  });
}
