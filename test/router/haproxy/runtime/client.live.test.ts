/** The Runtime API client against every real HAProxy at hand: orders, readback, refusals. */
import t from "tap";
import { chmod } from "node:fs/promises";
import { runChild } from "../../../../kit/child.ts";
import { eventually } from "../../../../kit/clock.ts";
import { setServerState } from "../../../../router/haproxy/runtime/change.ts";
import {
  change,
  connectRuntime,
  send,
  showRouter,
  showServers,
  showSessions,
} from "../../../../router/haproxy/runtime/client.ts";
import { commands } from "../../../../router/haproxy/runtime/commands.ts";
import type { Command } from "../../../../router/haproxy/runtime/commands.ts";
import { commandsForHealth } from "../../../../router/haproxy/runtime/orders.ts";
import { visit } from "../../../support/fake-member.ts";
import { haproxyPrograms } from "../../../support/haproxy.ts";
import { chi02, dal01, quiet, serverNow, settled, startRig } from "./rig.ts";
import type { Rig } from "./rig.ts";

const tracker = { backend: "tracked", server: "dal-01" };
const probe = { backend: "probe-dal-01", server: "probe" };

/** Connections, one after the other, until the checks have judged chi-02 again. */
async function visitUntilChecked(rig: Rig): Promise<string[]> {
  const landed: string[] = [];
  await eventually("a check of chi-02", { deadlineMs: 30_000, intervalMs: 5 }, async () => {
    const one = await visit(rig.host, 6433);
    one.socket.destroy();
    landed.push(one.landed);
    const { check, state } = await serverNow(rig, "pg-primary/chi-02");
    return check.startsWith("L7STS") && state === "down" && landed.length > 10 ? true : undefined;
  });
  return landed;
}

const programs = await haproxyPrograms();
if (programs.length === 0) t.pass("skipped: no HAProxy", { skip: "no HAProxy at hand" });

for (const [index, { path, version }] of programs.entries()) {
  void t.test(`HAProxy ${version}`, async (t) => {
    const rig = await startRig(path, `127.60.${20 + index}`);
    t.teardown(rig.stop);

    await t.test("G2: out of maint, no connection reaches a standby", async (t) => {
      // The window ends with the next check, which may be due at once.
      await rig.chi.hold(1);
      await setServerState(rig.runtime, chi02, "maint");
      await rig.haproxy.askAdmin("set server pg-primary/chi-02 state ready");
      const control = await Promise.all(Array.from({ length: 8 }, () => visit(rig.host, 6433)));
      rig.chi.letGo();
      for (const one of control) one.socket.destroy();
      t.ok(
        control.some((one) => one.landed === "chi-02"),
        "the plain command opens the window",
      );
      await settled(rig);
      for (const way of [["ready"], ["drain", "ready"]] as const) {
        await setServerState(rig.runtime, chi02, "maint");
        t.equal((await serverNow(rig, "pg-primary/chi-02")).check, "checks paused");
        const before = rig.chi.landed();
        for (const state of way) await setServerState(rig.runtime, chi02, state);
        const landed = await visitUntilChecked(rig);
        t.same([...new Set(landed)], ["dal-01"], `maint → ${way.join(" → ")}`);
        t.equal(rig.chi.landed(), before);
      }
    });

    await t.test("out of drain, sessions stay", async (t) => {
      await quiet(rig);
      const held = await visit(rig.host, 6433);
      t.equal((await setServerState(rig.runtime, dal01, "drain")).after.state, "drain");
      const back = await setServerState(rig.runtime, dal01, "ready");
      t.match(back, { before: { state: "drain" }, after: { state: "up", sessions: 1 } });
      t.same((await setServerState(rig.runtime, dal01, "ready")).sent, [], "it is ready already");
      t.equal(rig.dal.open(), 1);
      held.socket.destroy();
    });

    await t.test("old down and new up in one line", async (t) => {
      const held = await visit(rig.host, 6433);
      const before = await showServers(rig.runtime);
      rig.dal.health = "standby";
      rig.chi.health = "primary";
      const { servers: after } = await change(
        rig.runtime,
        commandsForHealth(before, [
          { of: dal01, health: "down" },
          { of: chi02, health: "up" },
        ]),
      );
      const states = after.filter((one) => one.backend === "pg-primary").map((one) => one.state);
      t.same(states, ["down", "up"], "as read back in that line");
      await held.ended;
      const next = await visit(rig.host, 6433);
      t.equal(next.landed, "chi-02");
      next.socket.destroy();
      await settled(rig);
      rig.dal.health = "primary";
      rig.chi.health = "standby";
      await settled(rig);
    });

    await t.test("a tracked server: orders go to where they have an effect", async (t) => {
      const down = await setServerState(rig.runtime, tracker, "maint");
      t.match(down.after, { state: "maint", admin: ["maint"] });
      t.equal((await serverNow(rig, "probe-dal-01/probe")).state, "up", "the probe stays");
      t.equal((await setServerState(rig.runtime, tracker, "ready")).after.state, "up");
      const byProbe = await setServerState(rig.runtime, probe, "maint");
      t.same(byProbe.followers, ["tracked/dal-01"]);
      t.match(await serverNow(rig, "tracked/dal-01"), { admin: ["maint-tracked"] });
      const back = await setServerState(rig.runtime, tracker, "ready");
      t.match(
        back,
        { after: { state: "down", admin: [] } },
        "down until the probe's checks say up",
      );
      await settled(rig);
      const orders = commandsForHealth(await showServers(rig.runtime), [
        { of: tracker, health: "down" },
      ]);
      await change(rig.runtime, orders);
      await settled(rig);
    });

    await t.test("silent nonsense is found by the readback", async (t) => {
      const good = commands.setServerAddress(dal01, rig.dal.host, 6432);
      const port = `set server pg-primary/dal-01 addr ${rig.dal.host} port 99999`;
      await t.rejects(change(rig.runtime, [{ ...good, line: port }]), {
        code: "ERR_HAPROXY_READBACK",
        message: /port 99999 on unix:.*HAProxy took it, but reads .*:34463/,
      });
      await change(rig.runtime, [good]);
      const weights = [commands.setServerWeight(dal01, 7), commands.setServerWeight(dal01, 1)];
      const { servers } = await change(rig.runtime, weights);
      t.equal(servers[0]?.weight, 1, "of two orders the later one counts");
      await change(rig.runtime, [commands.setServerMaxConnections(dal01, 900)]);
      t.equal((await serverNow(rig, "pg-primary/dal-01")).maxConnections, 900);
      await settled(rig);
    });

    await t.test("refusals", async (t) => {
      const plain = (line: string): Command => ({
        line,
        level: "user",
        idempotent: true,
        answers: false,
      });
      const table = [
        { line: "set server nosuch/x state ready", code: "ERR_HAPROXY_REFUSED" },
        { line: "set server pg-primary/x state ready", code: "ERR_HAPROXY_REFUSED" },
        { line: "set server pg-primary/dal-01 state no", code: "ERR_HAPROXY_REFUSED" },
        { line: "set server pg-primary/dal-01 addr x", code: "ERR_HAPROXY_REFUSED" },
        { line: "set weight pg-primary/dal-01 abc", code: "ERR_HAPROXY_REFUSED" },
        { line: "set server tracked/dal-01 health up", code: "ERR_HAPROXY_REFUSED" },
        { line: "shutdown session 0x12", code: "ERR_HAPROXY_REFUSED" },
        { line: "bogus", code: "ERR_HAPROXY_VERSION" },
      ];
      for (const { line, code } of table) {
        await t.rejects(send(rig.runtime, [plain(line)]), { code }, line);
        const chained = [plain(line), commands.showInfo()];
        await t.rejects(send(rig.runtime, chained), { code }, `${line}, with more behind it`);
      }
      await t.rejects(setServerState(rig.runtime, { backend: "b", server: "s" }, "maint"), {
        code: "ERR_HAPROXY_REFUSED",
        message: /b\/s on unix:.*: no such server; there is pg-primary\/dal-01/,
      });
    });

    await t.test("levels of the socket, and its file", async (t) => {
      await quiet(rig);
      const user = connectRuntime(rig.socket("user.sock"));
      const operator = connectRuntime(rig.socket("operator.sock"));
      const denied = { code: "ERR_HAPROXY_PERMISSION", message: /level is too low/ };
      t.ok((await showRouter(user)).servers.length > 0, "looking needs the level user");
      await t.rejects(showSessions(user), denied);
      t.same(await showSessions(operator), []);
      await t.rejects(setServerState(operator, dal01, "maint"), denied);
      t.equal((await serverNow(rig, "pg-primary/dal-01")).state, "up");
      await t.test("permission denied on the file", async (t) => {
        t.match(await asNobody(rig), /^ERR_HAPROXY_PERMISSION .*permission denied on the socket/);
      });
    });

    await t.test("an answer of many buffers", async (t) => {
      await quiet(rig);
      const held = await Promise.all(Array.from({ length: 120 }, () => visit(rig.host, 6433)));
      const sessions = await showSessions(rig.runtime);
      t.equal(sessions.filter((one) => one.server === "dal-01").length, 120);
      for (const one of held) one.socket.destroy();
    });
  });
}

/** Asks the rig's socket from a process that may not; prints code and message. */
async function asNobody(rig: Rig): Promise<string> {
  const client = new URL("../../../../router/haproxy/runtime/client.ts", import.meta.url);
  const isRoot = process.getuid?.() === 0;
  // It drops its rights only once it is loaded: nobody may not read a checkout in root's home.
  const script = `
    const { connectRuntime, showInfo } = await import(${JSON.stringify(client.href)});
    if (${isRoot}) {
      process.setgroups([]);
      process.setgid(65534);
      process.setuid(65534);
    }
    await showInfo(connectRuntime(${JSON.stringify(rig.runtime.address.text)})).then(
      () => console.log("answered"),
      (error) => console.log(error.code, error.message),
    );`;
  if (!isRoot) await chmod(rig.haproxy.admin, 0);
  const { stdout } = await runChild(process.execPath, ["--input-type=module", "-e", script], {
    deadlineMs: 20_000,
    env: {},
  });
  if (!isRoot) await chmod(rig.haproxy.admin, 0o600);
  return stdout;
}
