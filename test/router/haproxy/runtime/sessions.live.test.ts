/** Sessions that outlive what should have ended them: the queue's (G6) and old workers' (G3). */
import t from "tap";
import { writeFile } from "node:fs/promises";
import { eventually } from "../../../../kit/clock.ts";
import { setServerState, shutdownSessions } from "../../../../router/haproxy/runtime/change.ts";
import {
  connectRuntime,
  showInfo,
  showRouter,
  showServers,
  showSessions,
} from "../../../../router/haproxy/runtime/client.ts";
import { routerEvents } from "../../../../router/haproxy/runtime/events.ts";
import type { RouterEvent } from "../../../../router/haproxy/runtime/events.ts";
import { isAtLeast } from "../../../../router/haproxy/runtime/info.ts";
import {
  closeOldWorkerSessions,
  reloadThroughMaster,
  showOldWorkers,
  showProcesses,
} from "../../../../router/haproxy/runtime/master.ts";
import type { Session } from "../../../../router/haproxy/runtime/sessions.ts";
import { visit } from "../../../support/fake-member.ts";
import type { Visit } from "../../../support/fake-member.ts";
import { haproxyPrograms } from "../../../support/haproxy.ts";
import { chi02, dal01, quiet, settled, startRig } from "./rig.ts";
import type { Rig } from "./rig.ts";

const held = { backend: "held", server: "dal-01" };
const options = { deadlineMs: 20_000 };
const poll = { deadlineMs: 30_000, intervalMs: 10 };

/** Two clients that have waited in the queue of `held` until dal-01 came up. */
async function dequeued(rig: Rig): Promise<readonly Visit[]> {
  await setServerState(rig.runtime, held, "maint");
  const visits = [visit(rig.host, 6436), visit(rig.host, 6436)];
  await twoWait(rig);
  await setServerState(rig.runtime, held, "ready");
  return await Promise.all(visits);
}

async function twoWait(rig: Rig): Promise<void> {
  const isWaiting = (one: Session): boolean => one.backend === "held" && !one.server;
  await eventually("two wait", poll, async () =>
    (await showSessions(rig.runtime)).filter(isWaiting).length === 2 ? true : undefined,
  );
}

async function sessionsOfHeld(rig: Rig): Promise<number> {
  const sessions = await showSessions(rig.runtime);
  return sessions.filter((one) => one.backend === "held" && one.server === "dal-01").length;
}

const programs = await haproxyPrograms();
if (programs.length === 0) t.pass("skipped: no HAProxy", { skip: "no HAProxy at hand" });

for (const [index, { path, version }] of programs.entries()) {
  void t.test(`HAProxy ${version}`, async (t) => {
    const rig = await startRig(path, `127.60.${30 + index}`);
    t.teardown(rig.stop);

    await t.test(
      "G2: clients in the queue wait for the checks, and are then let through",
      async (t) => {
        rig.dal.health = "standby";
        await settled(rig);
        await setServerState(rig.runtime, held, "maint");
        const before = rig.dal.landed();
        const visits = [visit(rig.host, 6436), visit(rig.host, 6436)];
        await twoWait(rig);
        const { after } = await setServerState(rig.runtime, held, "ready");
        t.equal(after.state, "down");
        const { queues } = await showRouter(rig.runtime);
        t.equal(queues.find((one) => one.backend === "held")?.waiting, 2);
        await eventually("a check", poll, async () =>
          (await showServers(rig.runtime)).some(
            (one) => one.backend === "held" && one.check.startsWith("L7STS"),
          )
            ? true
            : undefined,
        );
        t.equal(rig.dal.landed(), before, "nobody reached a standby");
        rig.dal.health = "primary";
        for (const one of await Promise.all(visits)) {
          t.equal(one.landed, "dal-01");
          one.socket.destroy();
        }
        await settled(rig);
        await quiet(rig);
      },
    );

    await t.test(
      "G6 (pitfall 16): sessions that came out of the queue are closed too",
      async (t) => {
        const control = await dequeued(rig);
        await rig.haproxy.askAdmin("shutdown sessions server held/dal-01");
        const forgets = !isAtLeast(version, "3.0");
        if (forgets) t.equal(await sessionsOfHeld(rig), 2, "the plain command forgets them");
        for (const one of control) one.socket.destroy();
        await quiet(rig);
        const waited = await dequeued(rig);
        t.same(
          waited.map((one) => one.landed),
          ["dal-01", "dal-01"],
        );
        const closed = await shutdownSessions(rig.runtime, held);
        t.equal(closed.found, 2);
        if (forgets) t.equal(closed.swept, 2);
        await Promise.all(waited.map((one) => one.ended));
        t.equal(await sessionsOfHeld(rig), 0);
        await quiet(rig);
      },
    );

    await t.test("only the server that was named loses its sessions", async (t) => {
      const kept = await visit(rig.host, 6433);
      const two = await Promise.all([visit(rig.host, 6435), visit(rig.host, 6435)]);
      const closed = await shutdownSessions(rig.runtime, { backend: "tracked", server: "dal-01" });
      t.equal(closed.found, 2);
      await Promise.all(two.map((one) => one.ended));
      const left = await showSessions(rig.runtime);
      t.same(
        left.map((one) => one.backend),
        ["pg-primary"],
      );
      kept.socket.destroy();
    });

    await t.test(
      "G3: a reload leaves sessions on the old worker; they can be closed",
      async (t) => {
        await quiet(rig);
        const wanted = await visit(rig.host, 6433);
        const other = await visit(rig.host, 6435);
        const before = await showInfo(rig.runtime);
        const reload = await reloadThroughMaster(rig.master, options);
        t.match(reload, { ok: true });
        t.not(reload.pid, before.pid);
        const now = await showInfo(rig.runtime);
        t.equal(now.pid, reload.pid, "the Runtime API is the new worker's");
        t.same(await showSessions(rig.runtime), [], "which does not know the old sessions");
        const [old] = await showOldWorkers(rig.master, options);
        t.equal(old?.pid, before.pid);
        t.equal(old?.sessions.length, 2);
        await setServerState(rig.runtime, dal01, "maint");
        t.equal(rig.dal.open(), 2, "maint on the new worker does not reach them");
        const closed = await closeOldWorkerSessions(
          rig.master,
          options,
          (session) => session.backend === "pg-primary",
        );
        t.same(closed, { closed: 1, waiting: 0 });
        await wanted.ended;
        t.equal((await showOldWorkers(rig.master, options))[0]?.sessions.length, 1);
        t.match(await closeOldWorkerSessions(rig.master, options), { closed: 1 });
        await other.ended;
        await eventually("the old worker ends", poll, async () =>
          (await showProcesses(rig.master, options)).oldWorkers.length === 0 ? true : undefined,
        );
        await setServerState(rig.runtime, dal01, "ready");
      },
    );

    await t.test("a reload that fails leaves the worker as it is", async (t) => {
      const before = await showInfo(rig.runtime);
      await writeFile(rig.haproxy.configuration, `${rig.configuration}  nonsense\n`);
      const failed = await reloadThroughMaster(rig.master, options);
      t.match(failed, { ok: false, pid: before.pid });
      if (isAtLeast(version, "3.0")) t.match(failed.log, /unknown keyword 'nonsense'/);
      t.equal((await showInfo(rig.runtime)).pid, before.pid);
      await writeFile(rig.haproxy.configuration, rig.configuration);
      const again = await reloadThroughMaster(rig.master, options);
      t.match(again, { ok: true });
      t.not(again.pid, before.pid);
    });

    await t.test("a worker's socket is not the master's, and the other way round", async (t) => {
      await t.rejects(showProcesses(rig.runtime.address, { deadlineMs: 3000 }), {
        code: "ERR_HAPROXY_REFUSED",
        message: /is this a worker's socket/,
      });
      await t.rejects(showInfo(connectRuntime(rig.master)), {
        code: "ERR_HAPROXY_PROTOCOL",
        message: /is this the master's socket/,
      });
    });

    await t.test(
      "the event feed tells, lives past stats timeout, and outlives a reload",
      async (t) => {
        const stop = new AbortController();
        const seen: RouterEvent[] = [];
        const reading = (async () => {
          const feed = routerEvents(rig.runtime.address, { signal: stop.signal, pollMs: 100 });
          for await (const event of feed) seen.push(event);
        })();
        const wait = (what: string, is: (event: RouterEvent) => boolean): Promise<unknown> =>
          eventually(what, poll, () => (seen.some(is) ? true : undefined));
        const isMaint = (event: RouterEvent): boolean =>
          event.kind === "line" && /^Server pg-primary\/chi-02 .*maintenance/.test(event.text);
        await wait("the feed", (event) => event.kind === "connected");
        // 25 ticks of 100 ms are more than the rig's stats timeout of 2 s.
        await eventually("an idle time", poll, () =>
          seen.filter((event) => event.kind === "tick").length > 25 ? true : undefined,
        );
        t.equal(seen.filter((event) => event.kind === "connected").length, 1, "it was not cut");
        await setServerState(rig.runtime, chi02, "maint");
        await wait("the line", isMaint);
        await reloadThroughMaster(rig.master, options);
        seen.length = 0;
        await eventually("the feed of the new worker", poll, async () => {
          await setServerState(rig.runtime, chi02, "maint");
          await setServerState(rig.runtime, chi02, "ready");
          return seen.some(isMaint) ? true : undefined;
        });
        stop.abort();
        await reading;
        t.pass("it ends without an error");
      },
    );

    await t.test("clients in the queue of an old worker are counted, not waited for", async (t) => {
      await setServerState(rig.runtime, held, "maint");
      const visits = [visit(rig.host, 6436, 60_000), visit(rig.host, 6436, 60_000)];
      await twoWait(rig);
      await reloadThroughMaster(rig.master, options);
      const result = await closeOldWorkerSessions(rig.master, options, (one) => !one.server);
      t.match(result, { closed: 0, waiting: 2 }, "who has spoken stays until timeout queue");
      await rig.haproxy.kill();
      for (const one of await Promise.all(visits)) one.socket.destroy();
    });
  });
}
