/**
 * The traps of HAProxy that the rendered configuration avoids, each against every HAProxy at hand,
 * with members that are real sockets. G1 and so on number them as docs/router.md does.
 */
import t from "tap";
import type { Test } from "tap";
import { eventually } from "../../../kit/clock.ts";
import { startFakeMember, visit } from "../../support/fake-member.ts";
import type { FakeMember, HealthAnswer } from "../../support/fake-member.ts";
import { haproxyPrograms } from "../../support/haproxy.ts";
import type { HaproxyProgram, RunningHaproxy } from "../../support/haproxy.ts";
import { crowd, renderFor, start, statusOf, untilStatus } from "../../support/rendered-haproxy.ts";
import type { RenderedPlace } from "../../support/rendered-haproxy.ts";

const write = { host: "127.50.1.1", port: 6433 };
const patience = { deadlineMs: 30_000, intervalMs: 20 };

async function members(
  t: Test,
  first: HealthAnswer,
  second: HealthAnswer,
): Promise<readonly [FakeMember, FakeMember]> {
  const dal = await startFakeMember("dal-01", "127.50.0.1", first);
  t.teardown(dal.stop);
  const chi = await startFakeMember("chi-02", "127.50.0.2", second);
  t.teardown(chi.stop);
  return [dal, chi];
}

async function router(
  t: Test,
  program: HaproxyProgram,
  sites: readonly [string, string] = ["dal", "dal"],
): Promise<readonly [RenderedPlace, RunningHaproxy]> {
  const rendered = await renderFor(program, { sites });
  const haproxy = await start(rendered);
  t.teardown(haproxy.stop);
  return [rendered, haproxy];
}

/** Waits until so many clients wait for a member that takes writes. */
async function untilQueued(haproxy: RunningHaproxy, count: number): Promise<void> {
  await eventually(`${count} in the queue`, patience, async () => {
    const queued = /^pg-primary,BACKEND,(\d+),/m.exec(await haproxy.askAdmin("show stat"))?.[1];
    if (Number(queued) >= count) return true;
    throw new Error(`there are ${queued}`);
  });
}

const programs = await haproxyPrograms();
t.ok(programs.length > 0, "there is a HAProxy");

for (const program of programs) {
  t.test(`HAProxy ${program.version}`, async (t) => {
    for (const sites of [
      ["dal", "dal"],
      ["dal", "chi"],
    ] as const) {
      for (const second of ["standby", "silent"] as const) {
        t.test(`G1 (pitfall 14) boot window, sites ${sites.join(" ")}, ${second}`, async (t) => {
          const [dal, chi] = await members(t, "primary", second);
          const clients = crowd(write.host, write.port);
          t.teardown(clients.end);
          const [rendered, haproxy] = await router(t, program, sites);
          await untilStatus(haproxy, "pg-primary/chi-02", /^DOWN/);
          await eventually("writes", patience, () => (dal.landed() > 20 ? true : undefined));
          const before = dal.landed();
          await haproxy.kill();
          const again = await start(rendered);
          t.teardown(again.stop);
          await untilStatus(again, "pg-primary/chi-02", /^DOWN/);
          await eventually("writes again", patience, () =>
            dal.landed() > before + 20 ? true : undefined,
          );
          await clients.end();
          t.equal(chi.landed(), 0, "nobody came to the standby, at start or at restart");
        });
      }
    }

    t.test("G1 (pitfall 14) boot window, no primary", async (t) => {
      const [dal, chi] = await members(t, "standby", "standby");
      const clients = crowd(write.host, write.port);
      const [, haproxy] = await router(t, program);
      await untilStatus(haproxy, "pg-primary/chi-02", /^DOWN/);
      await untilStatus(haproxy, "pg-primary/dal-01", /^DOWN/);
      await untilStatus(haproxy, "boot-window/open", /^DOWN/);
      t.strictSame([dal.landed(), chi.landed()], [0, 0]);
      await untilQueued(haproxy, 21);
      dal.health = "primary";
      await untilStatus(haproxy, "pg-primary/dal-01", /^UP/);
      await clients.end();
      t.equal(chi.landed(), 0);
      t.ok(dal.landed() > 20, "those who came while there was none were served in the end");
    });

    t.test("hold server and G7: clients wait for a primary, and all get through", async (t) => {
      const [dal, chi] = await members(t, "primary", "standby");
      const [, haproxy] = await router(t, program);
      await untilStatus(haproxy, "boot-window/open", /^DOWN/);
      const open = await Promise.all(
        Array.from({ length: 5 }, () => visit(write.host, write.port)),
      );
      t.strictSame(new Set(open.map((one) => one.landed)), new Set(["dal-01"]));
      dal.health = "standby";
      await Promise.all(open.map((one) => one.ended));
      await eventually("on-marked-down closed the sessions of the demoted member", patience, () =>
        dal.open() === 0 ? true : undefined,
      );
      t.match(await statusOf(haproxy, "pg-primary/hold"), "no check");
      const landed = dal.landed();
      const held = Array.from({ length: 20 }, () => visit(write.host, write.port, 20_000));
      await untilQueued(haproxy, 20);
      chi.health = "primary";
      const got = await Promise.all(held);
      t.strictSame(
        got.map((one) => one.landed),
        Array.from({ length: 20 }, () => "chi-02"),
      );
      t.equal(dal.landed(), landed, "nobody came to the old one");
      for (const one of got) one.socket.destroy();
    });

    t.test("pitfall 12: two primaries get no new connection, one of them does", async (t) => {
      const [dal, chi] = await members(t, "primary", "standby");
      const [, haproxy] = await router(t, program);
      await untilStatus(haproxy, "boot-window/open", /^DOWN/);
      await untilStatus(haproxy, "pg-primary/chi-02", /^DOWN/);
      const kept = await visit(write.host, write.port);
      t.equal(kept.landed, "dal-01", "the hold server does not count as a second primary");
      chi.health = "primary";
      await untilStatus(haproxy, "pg-primary/chi-02", /^UP/);
      const landed = [dal.landed(), chi.landed()];
      for (let client = 0; client < 20; client += 1) {
        t.equal((await visit(write.host, write.port)).landed, "none");
      }
      t.strictSame([dal.landed(), chi.landed()], landed);
      t.equal(dal.open(), 1, "who was there stays");
      dal.health = "standby";
      await kept.ended;
      t.equal((await visit(write.host, write.port)).landed, "chi-02");
    });

    t.test(
      "G8 a swap at one moment: once the new one serves, the old one never does",
      async (t) => {
        const [dal, chi] = await members(t, "primary", "standby");
        const [, haproxy] = await router(t, program);
        await untilStatus(haproxy, "boot-window/open", /^DOWN/);
        await untilStatus(haproxy, "pg-primary/chi-02", /^DOWN/);
        const clients = crowd(write.host, write.port);
        await eventually("the old one serves", patience, () =>
          dal.landed() > 20 ? true : undefined,
        );
        dal.health = "standby";
        chi.health = "primary";
        await eventually("the new one serves", patience, () =>
          chi.landed() > 20 ? true : undefined,
        );
        await clients.end();
        const later = clients.after("chi-02");
        t.ok(later.includes("chi-02"));
        t.notOk(later.includes("dal-01"), "no way back");
      },
    );

    t.test("G8 a blip of a remote primary cuts nothing", async (t) => {
      const [, chi] = await members(t, "standby", "primary");
      const [, haproxy] = await router(t, program, ["dal", "chi"]);
      await untilStatus(haproxy, "boot-window/open", /^DOWN/);
      await untilStatus(haproxy, "pg-primary/dal-01", /^DOWN/);
      const session = await visit(write.host, write.port);
      t.equal(session.landed, "chi-02");
      chi.health = "standby";
      await untilStatus(haproxy, "probe-chi-02/probe", /^UP [12]\/3/);
      chi.health = "primary";
      await untilStatus(haproxy, "probe-chi-02/probe", /^UP$/);
      t.equal(chi.open(), 1, "the session lives");
      t.equal((await visit(write.host, write.port)).landed, "chi-02");
      chi.health = "standby";
      await session.ended;
      t.match(await statusOf(haproxy, "pg-primary/chi-02"), /^DOWN/, "real trouble does");
    });

    t.test("reads go to the standby, and to the primary where there is none", async (t) => {
      const [, chi] = await members(t, "primary", "standby");
      const [, haproxy] = await router(t, program);
      await untilStatus(haproxy, "pg-replica/dal-01", /^DOWN/);
      await untilStatus(haproxy, "pg-replica/primary.chi-02", /^DOWN/);
      t.equal((await visit(write.host, 6434)).landed, "chi-02");
      await eventually("the question to the standby", patience, () =>
        chi.asked().has("/replica?lag=16777216") ? true : undefined,
      );
      chi.health = "silent";
      await untilStatus(haproxy, "pg-replica/chi-02", /^DOWN/);
      t.equal((await visit(write.host, 6434)).landed, "dal-01");
    });

    t.test("a read session on the primary ends when that is primary no more", async (t) => {
      const [dal, chi] = await members(t, "primary", "silent");
      const [, haproxy] = await router(t, program);
      await untilStatus(haproxy, "pg-replica/dal-01", /^DOWN/);
      await untilStatus(haproxy, "pg-replica/chi-02", /^DOWN/);
      await untilStatus(haproxy, "pg-replica/primary.chi-02", /^DOWN/);
      const session = await visit(write.host, 6434);
      t.equal(session.landed, "dal-01");
      chi.health = "standby";
      await untilStatus(haproxy, "pg-replica/chi-02", /^UP$/);
      t.equal(dal.open(), 1, "a standby that comes back moves nobody");
      dal.health = "standby";
      await session.ended;
    });

    t.test("reads do not get past the guard, and reach a standby all the same", async (t) => {
      const [dal, chi] = await members(t, "primary", "primary");
      const [, haproxy] = await router(t, program);
      await untilStatus(haproxy, "boot-window/open", /^DOWN/);
      await untilStatus(haproxy, "pg-replica/dal-01", /^DOWN/);
      await untilStatus(haproxy, "pg-replica/chi-02", /^DOWN/);
      t.equal((await visit(write.host, 6434)).landed, "none");
      t.equal(dal.landed() + chi.landed(), 0);
      chi.health = "standby";
      await untilStatus(haproxy, "pg-replica/chi-02", /^UP$/);
      t.equal((await visit(write.host, 6434)).landed, "chi-02");
    });

    t.test("/metrics and statistics answer, and offer no administration", async (t) => {
      await members(t, "primary", "standby");
      await router(t, program);
      const stats = `http://${write.host}:8404`;
      const metrics = await (await fetch(`${stats}/metrics`)).text();
      t.match(metrics, /haproxy_server_status\{proxy="pg-primary",server="dal-01"/);
      const page = await (await fetch(`${stats}/`)).text();
      t.match(page, "pg-primary");
      t.notMatch(page, /<form[^>]*method="post"/i);
    });
  });
}
