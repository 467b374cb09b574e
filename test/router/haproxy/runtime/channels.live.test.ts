/** What a flip tells all routers at once, over connections opened ahead, against real HAProxys. */
import { rename } from "node:fs/promises";
import t from "tap";
import { eventually } from "../../../../kit/clock.ts";
import { openRouterChannels, RoutersError } from "../../../../router/haproxy/runtime/channels.ts";
import { connectRuntime, showServers } from "../../../../router/haproxy/runtime/client.ts";
import { reloadThroughMaster } from "../../../../router/haproxy/runtime/master.ts";
import { keepReady } from "../../../../router/haproxy/runtime/ready-connections.ts";
import { upForWrites } from "../../../../router/haproxy/runtime/orders.ts";
import { visit } from "../../../support/fake-member.ts";
import { haproxyPrograms } from "../../../support/haproxy.ts";
import { settled, startRig, withoutChecks } from "./rig.ts";
import type { Rig } from "./rig.ts";

const { signal } = new AbortController();
const members = ["dal-01", "chi-02"];
const soon = { deadlineMs: 30_000, intervalMs: 10 };

/** Who is up for writes, asked on a fresh connection. */
async function upNow(rig: Rig): Promise<string[]> {
  const servers = await showServers(connectRuntime(rig.runtime.address));
  return upForWrites(servers).map((one) => one.server);
}

const programs = await haproxyPrograms();
if (programs.length === 0) t.pass("skipped: no HAProxy", { skip: "no HAProxy at hand" });

for (const [index, { path, version }] of programs.entries()) {
  void t.test(`HAProxy ${version}`, async (t) => {
    const rig = await startRig(path, `127.60.${60 + index}`);
    t.teardown(rig.stop);
    const real = { name: "app-01", runtime: rig.runtime.address };
    const channels = openRouterChannels([real], members, { deadlineMs: 5000 });
    t.teardown(() => channels.close());

    await t.test("pitfall 15: moves cut sessions, and the checks take them back", async (t) => {
      await channels.warm(signal);
      t.match(await channels.look(signal), [
        { name: "app-01", reached: true, up: ["dal-01"], passing: ["dal-01"], error: null },
      ]);
      const app = await visit(rig.host, 6433);
      const cut = new Promise<void>((resolve) => app.socket.once("close", () => resolve()));
      await eventually("the session is seen", soon, async () =>
        (await channels.look(signal))[0]?.sessions["dal-01"] === 1 ? true : undefined,
      );
      await withoutChecks(rig, async () => {
        t.same(await channels.divertFrom("dal-01", signal), [{ router: "app-01", sessions: 1 }]);
        t.same(await upNow(rig), []);
        await cut;
        t.match(await channels.look(signal), [{ up: [], passing: ["dal-01"] }]);
      });
      await eventually("its own check", soon, async () =>
        (await upNow(rig)).join() === "dal-01" ? true : undefined,
      );
    });

    await t.test("down and up in one line, and back before any check", async (t) => {
      await withoutChecks(rig, async () => {
        await channels.route({ down: "dal-01", up: "chi-02" }, signal);
        t.same(await upNow(rig), ["chi-02"]);
        await channels.route({ down: "chi-02", up: "dal-01" }, signal);
        t.same(await upNow(rig), ["dal-01"]);
        await channels.divertFrom("dal-01", signal);
        await channels.undivert("dal-01", signal);
        t.same(await upNow(rig), ["dal-01"]);
      });
      await settled(rig);
    });

    await t.test("between hold and release nothing has to be opened", async (t) => {
      // Of its own, and warmed last: HAProxy closes what is idle for its stats timeout of 2 s.
      const fresh = openRouterChannels([real], members, { deadlineMs: 5000 });
      t.teardown(() => fresh.close());
      const socket = rig.runtime.address.text.slice("unix:".length);
      await withoutChecks(rig, async () => {
        await fresh.warm(signal);
        await rename(socket, `${socket}.away`);
        try {
          await fresh.divertFrom("dal-01", signal);
          t.match(await fresh.look(signal), [{ up: [] }]);
          await fresh.undivert("dal-01", signal);
        } finally {
          await rename(`${socket}.away`, socket);
        }
        t.same(await upNow(rig), ["dal-01"]);
      });
      await settled(rig);
    });

    await t.test("connections that HAProxy closed are forgotten", async (t) => {
      const ready = keepReady(rig.runtime.address);
      t.teardown(() => ready.close());
      await ready.fill(5000);
      t.equal(ready.size, 4);
      await eventually("stats timeout", soon, () => (ready.size === 0 ? true : undefined));
      t.equal(ready.take(), undefined);
      t.match(await channels.look(signal), [{ reached: true }]);
    });

    await t.test(
      "a reload leaves the open ones with the old worker: the new one is told",
      async (t) => {
        const app = await visit(rig.host, 6433);
        await channels.warm(signal);
        await reloadThroughMaster(rig.master, { deadlineMs: 10_000 });
        await settled(rig);
        await withoutChecks(rig, async () => {
          await channels.route({ down: "dal-01", up: "chi-02" }, signal);
          t.same(await upNow(rig), ["chi-02"]);
        });
        app.socket.destroy();
        await channels.route({ down: "chi-02", up: "dal-01" }, signal);
        await settled(rig);
      },
    );

    await t.test("one that is dead is named, and the others are told", async (t) => {
      const dead = { name: "app-02", runtime: "unix:/nowhere/admin.sock" } as const;
      const both = openRouterChannels([dead, real], members, { deadlineMs: 5000 });
      t.teardown(() => both.close());
      await t.rejects(both.warm(signal), {
        code: "ERR_ROUTERS",
        message: /^reach the routers: app-02: .*no such socket/,
      });
      await withoutChecks(rig, async () => {
        const failed = await both
          .route({ down: "dal-01", up: "chi-02" }, signal)
          .catch((error: unknown) => error);
        t.ok(failed instanceof RoutersError);
        t.match(failed, { failed: [{ router: "app-02" }] });
        t.same(await upNow(rig), ["chi-02"]);
        t.match(await both.look(signal), [
          { name: "app-02", reached: false, up: [], error: /no such socket/ },
          { name: "app-01", reached: true, up: ["chi-02"] },
        ]);
      });
      await both.route({ down: "chi-02", up: "dal-01" }, signal).catch(() => undefined);
      await settled(rig);
    });

    await t.test("pitfall 16: what is left of sessions is closed", async (t) => {
      const app = await visit(rig.host, 6433);
      const cut = new Promise<void>((resolve) => app.socket.once("close", () => resolve()));
      const closed = await channels.closeSessions("dal-01", signal);
      t.equal(closed[0]?.sessions, 1);
      await cut;
    });
  });
}
