/** A pool-gate beside a real PgBouncer: who may hold its clients, how long, and who ends it. */
import { access } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { eventually } from "../../../kit/clock.ts";
import { mainOf, processesOf, startOf } from "../../../lab/driver/processes.ts";
import { isAtLeast } from "../../../router/haproxy/runtime/info.ts";
import type { GateError } from "../../../sidecars/pool-gate/client.ts";
import { gateRig, request, untilPaused } from "./rig.ts";

const soon = { deadlineMs: 10_000, intervalMs: 10 };

const rig = await gateRig(t);
const { gate, lab } = rig;

await t.test("a lease holds clients, and ends", async (t) => {
  await gate.warm();
  const app = await rig.app();

  await t.test("pause, renew and resume", async (t) => {
    const held = await gate.pause(
      request({ databases: ["app", "postgres"], holder: "flip-db 4f1c" }),
    );
    t.match(held, { holder: "flip-db 4f1c", databases: ["app", "postgres"] });
    t.same(await rig.paused(), ["app", "postgres"]);
    let answered = false;
    const waiting = app.query("SELECT 1").then(() => (answered = true));
    await eventually("a client waits", soon, async () =>
      (await gate.status()).waitingClients === 1 ? true : undefined,
    );
    t.equal(answered, false);
    t.match(await gate.status(), { state: "paused", holder: "flip-db 4f1c" });
    t.equal((await gate.renew(held.lease, 40_000)).lease, held.lease);
    const after = await gate.resume(held.lease);
    t.match(after, { state: "open", holder: null, databases: [] });
    await waiting;
    t.equal((await gate.resume(held.lease)).state, "open", "a second resume is no fault");
    await t.rejects(gate.renew(held.lease, 1000), { code: "ERR_GATE_LEASE_LOST" });
    await t.rejects(gate.resume("never-was-one"), { code: "ERR_GATE_LEASE_LOST" });
  });

  await t.test("one lease at a time, and the other is told whose it is", async (t) => {
    const other = rig.client();
    const both = await Promise.allSettled([
      gate.pause(request({ holder: "the one" })),
      other.pause(request({ holder: "the other" })),
    ]);
    const won = both.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    const lost = both.flatMap((one) =>
      one.status === "rejected" ? [one.reason as GateError] : [],
    );
    t.equal(won.length, 1);
    t.match(lost, [{ code: "ERR_GATE_REFUSED" }]);
    t.equal(lost[0]?.status?.holder, won[0]?.holder);
    await gate.resume(won[0]?.lease ?? "");
  });

  await t.test("a pause that is sent again is the same pause", async (t) => {
    const asked = request({ lease: "flip-4f1c-app-01" });
    const [first, second] = await Promise.all([gate.pause(asked), gate.pause(asked)]);
    t.equal(first.lease, "flip-4f1c-app-01");
    t.equal(second.lease, first.lease);
    t.equal((await gate.pause(asked)).lease, first.lease, "a third time, as a renewal");
    await gate.resume(first.lease);
    await t.rejects(
      gate.pause(asked),
      { code: "ERR_GATE_LEASE_LOST" },
      "one that ended is not revived",
    );
    t.same(await rig.paused(), []);
  });

  await t.test("without the token nothing is told and nothing done", async (t) => {
    const stranger = rig.client("not-the-token-of-this-gate");
    await t.rejects(stranger.status(), { code: "ERR_GATE_DENIED", status: null });
    await t.rejects(stranger.pause(request()), { code: "ERR_GATE_DENIED" });
    t.same(await rig.paused(), []);
  });

  await t.test("a lease that nobody renews ends by itself", async (t) => {
    const held = await gate.pause(request());
    t.same(await rig.paused(), ["app"]);
    await gate.renew(held.lease, 150);
    await app.query("SELECT 1");
    const opened = await eventually("open", { deadlineMs: 5000, intervalMs: 10 }, async () => {
      const { state } = await gate.status();
      return state === "open" ? state : undefined;
    });
    t.equal(opened, "open");
    await t.rejects(gate.resume(held.lease), {
      code: "ERR_GATE_LEASE_LOST",
      message: /the lease of a test has ended: its time was over: nobody renewed it/,
    });
  });

  await t.test("thousands of renewals disturb nobody", async (t) => {
    const held = await gate.pause(request({ databases: ["postgres"] }));
    for (let round = 0; round < 2000; round += 1) {
      const renewed = gate.renew(held.lease, 30_000);
      if (round % 100 === 0) await app.query("SELECT 1");
      await renewed;
    }
    t.same(await rig.paused(), ["postgres"]);
    await gate.resume(held.lease);
  });

  await t.test("a transaction that does not end ends the pause", async (t) => {
    const long = await rig.app();
    await long.query("BEGIN");
    await long.query("SELECT 1");
    const refused = await gate.pause(request({ deadlineMs: 200 })).catch((error: unknown) => error);
    t.match(refused, { code: "ERR_GATE_BUSY", message: /did not end within 200 ms/ });
    t.match((refused as GateError).status?.busy, [{ database: "app", servers: 1 }]);
    await app.query("SELECT 1");
    await long.query("COMMIT");
    t.same(await rig.paused(), [], "no PAUSE was left waiting for the commit");
    await app.query("SELECT 1");
    const again = await gate.pause(request());
    await gate.resume(again.lease);
  });

  await t.test("a pause whose asker hangs up is called off", async (t) => {
    const long = await rig.app();
    await long.query("BEGIN");
    await long.query("SELECT 1");
    const asker = rig.client();
    const hangUp = new AbortController();
    const asked = asker.pause(request({ deadlineMs: 60_000 }), hangUp.signal);
    await untilPaused(rig, ["app"]);
    t.equal((await gate.status()).state, "pausing");
    hangUp.abort(new Error("the flip was killed"));
    await t.rejects(asked, /the flip was killed/);
    await untilPaused(rig, []);
    await long.query("COMMIT");
  });

  await t.test("pitfall 19: a resume calls off a pause that still waits", async (t) => {
    const long = await rig.app();
    await long.query("BEGIN");
    await long.query("SELECT 1");
    const asked = gate.pause(request({ lease: "called-off", deadlineMs: 60_000 }));
    const refused = t.rejects(asked, { code: "ERR_GATE_BUSY", message: /called off/ });
    await untilPaused(rig, ["app"]);
    t.equal((await gate.resume("called-off")).state, "open");
    await refused;
    t.same(await rig.paused(), []);
    await long.query("COMMIT");
  });
});

await t.test("what others do to PgBouncer", async (t) => {
  await t.test("a pause of somebody else is refused and stays", async (t) => {
    await rig.admin("PAUSE app");
    t.match(await gate.status(), { state: "foreign", databases: ["app"] });
    await t.rejects(gate.pause(request()), {
      code: "ERR_GATE_REFUSED",
      message: /somebody else paused app/,
    });
    const held = await gate.pause(request({ databases: ["postgres"], ttlMs: 100 }));
    await untilPaused(rig, ["app"]);
    await t.rejects(gate.renew(held.lease, 1000), { code: "ERR_GATE_LEASE_LOST" });
    await lab.run("kill", "app-01/gate");
    await lab.run("start", "app-01/gate");
    t.same(await rig.paused(), ["app"], "nor does a gate that starts end it");
    await rig.admin("RESUME app");
  });

  await t.test("a pause of everything is seen where PgBouncer tells it", async (t) => {
    const { pooler } = await gate.status();
    const tells = isAtLeast(pooler?.version ?? "", "1.19");
    await rig.admin("PAUSE");
    t.equal((await gate.status()).state, tells ? "foreign" : "open");
    if (tells) await t.rejects(gate.pause(request()), { message: /paused .* as a whole/ });
    await rig.admin("RESUME");
    t.equal((await gate.status()).state, "open");
  });

  await t.test("pitfall 19: a pause cannot work there", async (t) => {
    await t.rejects(gate.pause(request({ databases: ["app", "nowhere"] })), {
      code: "ERR_GATE_REFUSED",
      message: /nowhere is no entry of \[databases\]/,
    });
    await rig.admin("SET pool_mode = 'session'");
    await t.rejects(gate.pause(request()), {
      code: "ERR_GATE_REFUSED",
      message: /app is pooled by session/,
    });
    await rig.admin("SET pool_mode = 'transaction'");
    t.same(await rig.paused(), []);
  });

  await t.test("somebody resumes: the lease is lost", async (t) => {
    const held = await gate.pause(request({ databases: ["app", "postgres"] }));
    await rig.admin("RESUME app");
    await t.rejects(gate.renew(held.lease, 1000), {
      code: "ERR_GATE_LEASE_LOST",
      message: /PgBouncer pauses app no more/,
    });
    await untilPaused(rig, []);
  });

  await t.test("a reload keeps the pause", async (t) => {
    const held = await gate.pause(request());
    await rig.admin("RELOAD");
    t.equal((await gate.renew(held.lease, 30_000)).lease, held.lease);
    t.same(await rig.paused(), ["app"]);
    await gate.resume(held.lease);
  });

  await t.test("a restart of PgBouncer ends the pause, and the holder hears of it", async (t) => {
    const held = await gate.pause(request());
    await lab.run("stop", "app-01/edge");
    await t.rejects(gate.renew(held.lease, 30_000), { code: "ERR_GATE_POOLER" });
    t.match(await gate.status(), { state: "unreachable", holder: "a test", pooler: null });
    await lab.run("start", "app-01/edge");
    await t.rejects(gate.renew(held.lease, 30_000), {
      code: "ERR_GATE_LEASE_LOST",
      message: /it was restarted, or somebody resumed/,
    });
    const again = await gate.pause(request());
    await gate.resume(again.lease);
  });

  await t.test("a PgBouncer that is frozen costs a deadline", async (t) => {
    const held = await gate.pause(request({ ttlMs: 5000 }));
    await lab.run("freeze", "app-01/edge");
    await t.rejects(gate.renew(held.lease, 5000), { code: "ERR_GATE_POOLER" });
    await eventually("the lease is over", { deadlineMs: 20_000, intervalMs: 100 }, async () =>
      (await gate.status()).holder === null ? true : undefined,
    );
    await t.rejects(gate.pause(request({ deadlineMs: 8000 })), { code: "ERR_GATE_POOLER" });
    await lab.run("thaw", "app-01/edge");
    await untilPaused(rig, []);
    await eventually("the gate has settled", soon, async () =>
      (await gate.status()).state === "open" ? true : undefined,
    );
  });

  await t.test("a gate that is killed resumes at its next start, and not before", async (t) => {
    const held = await gate.pause(request());
    const leaseFile = join(lab.part("app-01/gate").folder, "lease.json");
    await access(leaseFile);
    await lab.run("kill", "app-01/gate");
    await t.rejects(gate.renew(held.lease, 1000), { code: "ERR_GATE_UNREACHABLE" });
    t.same(await rig.paused(), ["app"]);
    await lab.run("start", "app-01/gate");
    await untilPaused(rig, []);
    await eventually("its file is gone", soon, async () =>
      (await access(leaseFile).catch(() => "gone")) === "gone" ? true : undefined,
    );
    await t.rejects(gate.resume(held.lease), {
      code: "ERR_GATE_LEASE_LOST",
      message: /the gate was started again/,
    });
    const again = await rig.app();
    await again.query("SELECT 1");
  });

  await t.test("a gate that is stopped resumes before it ends, whoever asks it", async (t) => {
    await gate.pause(request());
    const part = lab.part("app-01/gate");
    const { pid = 0, startedAt } = mainOf(processesOf([part]).get(part.name) ?? []) ?? {};
    t.ok(pid > 1, `the gate is ${pid}`);
    // So many that one is being answered at any moment.
    const clients = Array.from({ length: 6 }, () => rig.client());
    await Promise.all(clients.map((one) => one.status()));
    const asking = clients.map(async (one) => {
      for (;;) await one.status();
    });
    const gone = Promise.all(
      asking.map((one) => t.rejects(one, { code: "ERR_GATE_UNREACHABLE" }, "nobody is there")),
    );
    // By hand: whoever looks for a process first asks nothing meanwhile.
    if (pid > 1) process.kill(pid, "SIGTERM");
    await gone;
    await eventually("it has ended", soon, () => startOf(pid) !== startedAt || undefined);
    t.same(await rig.paused(), []);
  });
});
