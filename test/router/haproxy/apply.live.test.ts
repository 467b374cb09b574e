/**
 * check, diff and apply against every HAProxy at hand: what a reload keeps, what it must not bring
 * back, and what happens when it fails. G3 and so on number the facts as docs/router.md does.
 */
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import t from "tap";
import type { Test } from "tap";
import { runChild } from "../../../kit/child.ts";
import { eventually } from "../../../kit/clock.ts";
import { applyPlan, isApplied, objectionTo, planApply } from "../../../router/haproxy/apply.ts";
import { descriptorLimit } from "../../../router/haproxy/descriptors.ts";
import { fenceMarksIn, withFenceMarks } from "../../../router/haproxy/fence-marks.ts";
import { runtimeAddressOf } from "../../../router/haproxy/addresses.ts";
import { checkText, readInstalled, runProgram } from "../../../router/haproxy/install.ts";
import { setServerState } from "../../../router/haproxy/runtime/change.ts";
import { connectRuntime } from "../../../router/haproxy/runtime/client.ts";
import { startFakeMember, visit } from "../../support/fake-member.ts";
import type { EnvironmentWishes } from "../../support/environment.ts";
import { haproxyPrograms } from "../../support/haproxy.ts";
import type { HaproxyProgram } from "../../support/haproxy.ts";
import {
  crowd,
  renderAt,
  renderFor,
  start,
  statusOf,
  untilStatus,
} from "../../support/rendered-haproxy.ts";

const listenHost = "127.50.11.1";
const base: EnvironmentWishes = { hosts: ["127.50.10.1", "127.50.10.2"], listenHost };
const { signal } = new AbortController();
const patience = { deadlineMs: 30_000, intervalMs: 20 };

async function running(t: Test, program: HaproxyProgram, wishes: EnvironmentWishes = {}) {
  const dal = await startFakeMember("dal-01", "127.50.10.1", "primary");
  t.teardown(dal.stop);
  const chi = await startFakeMember("chi-02", "127.50.10.2", "standby");
  t.teardown(chi.stop);
  const rendered = await renderFor(program, { ...base, ...wishes });
  const haproxy = await start(rendered);
  t.teardown(haproxy.stop);
  await untilStatus(haproxy, "boot-window/open", /^DOWN/);
  await untilStatus(haproxy, "pg-primary/chi-02", /^DOWN/);
  // Unchecked it is up, and takes readers as a standby.
  await untilStatus(haproxy, "pg-replica/dal-01", /^DOWN/);
  return { dal, chi, rendered, haproxy };
}

const programs = await haproxyPrograms();
t.ok(programs.length > 0, "there is a HAProxy");

for (const program of programs) {
  t.test(`HAProxy ${program.version}`, async (t) => {
    t.test("G11 every golden passes haproxy -c without a warning", async (t) => {
      const folder = new URL("../../fixtures/haproxy/", import.meta.url);
      for (const name of await readdir(folder)) {
        const args = ["-c", "-f", "/dev/stdin"];
        // The fixtures drop to a user that this machine need not have.
        const text = (await readFile(new URL(name, folder), "utf8")).replace(
          /^ {2}(user|group) haproxy\n| (user|group) haproxy/gm,
          "",
        );
        const result = await runProgram([program.path, ...args], text, signal);
        t.equal(result.code, 0, `${name}: ${result.stderr}`);
        // The names of an example are not known here, which is no reason not to start.
        const warnings = result.stderr
          .split("\n")
          .filter((line) => line.startsWith("[WARNING]") && !line.includes("could not resolve"));
        t.strictSame(warnings, [], name);
      }
    });

    t.test("what HAProxy refuses is said in one line", async (t) => {
      const { environment, router, text, place } = await renderFor(program, base);
      t.teardown(() => runChild("rm", ["-r", place.folder], { deadlineMs: 5000 }));
      t.strictSame(await checkText(environment, router, text, signal), []);
      await t.rejects(
        checkText(environment, router, text.replace("  mode tcp", "  mood tcp"), signal),
        {
          code: "ERR_HAPROXY_CONFIGURATION",
          message: /^app-01: .*haproxy\S* -c -f \/dev\/stdin: exit code 1: .*mood.*$/,
        },
      );
    });

    t.test("G3 G10 apply: keeps sessions and forced servers, takes the new port", async (t) => {
      const { dal, rendered, haproxy } = await running(t, program);
      const { environment, router, text, place } = rendered;
      t.ok(isApplied(await planApply(environment, router, text, signal)), "nothing to do at first");
      await haproxy.askAdmin("set server pg-replica/chi-02 state maint");
      const session = await visit(listenHost, 6433);
      t.equal(session.landed, "dal-01");
      const reader = await visit(listenHost, 6434);
      t.equal(reader.landed, "dal-01", "without a standby the primary serves reads");
      const moved = await startFakeMember("dal-01-moved", "127.50.10.1", "primary", {
        pooler: 6532,
        health: 8108,
      });
      t.teardown(moved.stop);
      const later = await renderAt(program, place, { ...base, haproxy: "hardStopAfter: 2s" });
      const newText = later.text.replaceAll("127.50.10.1:6432", "127.50.10.1:6532");
      const plan = await planApply(later.environment, router, newText, signal);
      t.equal(plan.sessions, 2, "says which sessions stay behind, readers on the primary too");
      t.ok(plan.movesWrites);
      t.match(plan.drift[0], "pg-primary/dal-01 runs at 127.50.10.1:6432 instead of");
      const clients = crowd(listenHost, 6433);
      const { pid, kept } = await applyPlan(later.environment, plan, signal);
      await eventually("the new port serves", patience, () =>
        moved.landed() > 5 ? true : undefined,
      );
      await clients.end();
      t.notOk(clients.visits.includes("none"), "no connection failed over the reload");
      t.not(pid, plan.pid);
      t.strictSame(kept, [{ backend: "pg-replica", server: "chi-02", state: "maint" }]);
      t.match(await statusOf(haproxy, "pg-replica/chi-02"), /^MAINT/);
      t.equal((await visit(listenHost, 6433)).landed, "dal-01-moved", "the new port wins");
      t.equal(await readInstalled(environment, router, signal), newText);
      t.ok(dal.open() > 0, "the old session lives on in the old worker");
      // The old worker has the hard-stop-after of the configuration that it was started with.
      session.socket.destroy();
      reader.socket.destroy();
    });

    t.test("what its worker could not start for want of descriptors is refused", async (t) => {
      const { rendered, haproxy } = await running(t, program);
      const { environment, router, text } = rendered;
      const limit = await descriptorLimit(
        Number(/^Pid: (\d+)$/m.exec(await haproxy.askAdmin("show info"))?.[1]),
      );
      t.equal(await descriptorLimit(process.pid), undefined, "of no HAProxy nothing is known");
      if (limit === undefined) {
        t.pass("this machine lets it raise its limits");
        return;
      }
      const many = text.replace(/^ {2}maxconn \d+$/m, `  maxconn ${limit}`);
      t.strictSame(
        await checkText(environment, router, many, signal),
        [],
        "haproxy -c says nothing",
      );
      await t.rejects(planApply(environment, router, many, signal), {
        code: "ERR_HAPROXY_CONFIGURATION",
        message:
          /^app-01: its worker would not start: .* descriptors.*lower haproxy\.maxConnections/,
      });
    });

    t.test("a fenced member stays down over every reload, until its mark is gone", async (t) => {
      const { rendered, haproxy } = await running(t, program);
      const { environment, router, text } = rendered;
      const at = "2026-11-21T02:00:00.000Z";
      const mark = { member: "chi-02", by: "anna@ops-1", at, why: "its disk" };
      const servers = ["pg-primary/chi-02", "pg-replica/chi-02", "pg-replica/primary.chi-02"];
      await writeFile(haproxy.configuration, withFenceMarks(text, [mark]));
      const later = text.replace("refresh 5s", "refresh 6s");
      const plan = await planApply(environment, router, later, signal);
      await applyPlan(environment, plan, signal);
      t.same(fenceMarksIn((await readInstalled(environment, router, signal)) ?? ""), [mark]);
      for (const name of servers) t.match(await statusOf(haproxy, name), /^MAINT/, name);
      t.equal((await visit(listenHost, 6433)).landed, "dal-01");
      const runtime = connectRuntime(runtimeAddressOf(environment, router), { deadlineMs: 2000 });
      for (const backend of ["pg-primary", "pg-replica"]) {
        await setServerState(runtime, { backend, server: "chi-02" }, "ready");
      }
      await untilStatus(haproxy, "pg-replica/chi-02", /^UP/);
      await untilStatus(haproxy, "pg-primary/chi-02", /^DOWN/);
      const changed = await planApply(environment, router, later, signal);
      await writeFile(haproxy.configuration, withFenceMarks(later, []));
      await t.rejects(applyPlan(environment, { ...changed, text: `${later}# other` }, signal), {
        message: /has changed since it was looked at; nothing was written/,
      });
    });

    t.test("G3 hard-stop-after ends what a reload left behind", async (t) => {
      const { dal, rendered } = await running(t, program, { haproxy: "hardStopAfter: 1s" });
      const session = await visit(listenHost, 6433);
      const text = rendered.text.replace("refresh 5s", "refresh 6s");
      await applyPlan(
        rendered.environment,
        await planApply(rendered.environment, rendered.router, text, signal),
        signal,
      );
      t.equal(session.landed, "dal-01");
      await session.ended;
      await eventually("the member's end", patience, () => (dal.open() === 0 ? true : undefined));
    });

    t.test("a reload is a bad idea while clients wait in the queue", async (t) => {
      const { dal, rendered, haproxy } = await running(t, program);
      const { environment, router, text } = rendered;
      t.equal(objectionTo(await planApply(environment, router, text, signal)), undefined);
      dal.health = "standby";
      await untilStatus(haproxy, "pg-primary/dal-01", /^DOWN/);
      t.match(objectionTo(await planApply(environment, router, text, signal)), /no member is up/);
    });

    t.test("a text that HAProxy refuses changes nothing", async (t) => {
      const { rendered, haproxy } = await running(t, program);
      const { environment, router, text } = rendered;
      const bad = text.replace("backup maxconn 1", "backup maxcon 1");
      await t.rejects(planApply(environment, router, bad, signal), {
        code: "ERR_HAPROXY_CONFIGURATION",
      });
      t.equal(await readFile(haproxy.configuration, "utf8"), text);
    });

    t.test(
      "a reload that fails puts the old file back, and the old worker serves on",
      async (t) => {
        const { rendered, haproxy } = await running(t, program);
        const { environment, router, text } = rendered;
        const taken = createServer();
        await new Promise<void>((resolve) => taken.listen(7433, listenHost, resolve));
        t.teardown(() => taken.close());
        const { mode } = await stat(haproxy.configuration);
        const unloadable = text.replace(`bind ${listenHost}:6434`, `bind ${listenHost}:7433`);
        const plan = await planApply(environment, router, unloadable, signal);
        await t.rejects(applyPlan(environment, plan, signal), {
          code: "ERR_HAPROXY_RELOAD",
          message: /the file from before is back at /,
        });
        t.equal(await readFile(haproxy.configuration, "utf8"), text);
        t.equal((await stat(haproxy.configuration)).mode, mode);
        // While the new one tried to bind, the old one had to let go; it is told to go on by a signal.
        await eventually("the old worker serves on", patience, async () =>
          (await visit(listenHost, 6433)).landed === "dal-01" ? true : undefined,
        );
      },
    );

    t.test("a router that is reached by programs", async (t) => {
      const { rendered, haproxy } = await running(t, program);
      const path = haproxy.configuration;
      const remote = await renderAt(program, rendered.place, {
        ...base,
        configuration: `read: [cat, ${path}], check: [${program.path}, -c, -f, /dev/stdin], write: [dd, status=none, of=${path}], reload: [kill, -USR2, "${haproxy.pid}"]`,
      });
      const text = remote.text.replace("refresh 5s", "refresh 7s");
      const plan = await planApply(remote.environment, remote.router, text, signal);
      t.equal(plan.installed, rendered.text);
      t.notOk(plan.movesWrites, "other numbers move no writes");
      const { pid } = await applyPlan(remote.environment, plan, signal);
      t.not(pid, plan.pid);
      t.equal(await readFile(path, "utf8"), text);
      t.ok(isApplied(await planApply(remote.environment, remote.router, text, signal)));
      const broken = await renderAt(program, rendered.place, {
        ...base,
        configuration: `read: [cat, /nonexistent/haproxy.cfg], reload: ["true"]`,
      });
      await t.rejects(planApply(broken.environment, broken.router, text, signal), {
        code: "ERR_HAPROXY_FILE",
        message: /cat \/nonexistent\/haproxy\.cfg: exit code 1: .*No such file/,
      });
    });
  });
}
