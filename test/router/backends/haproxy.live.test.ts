/**
 * Servers that follow a name, against every HAProxy at hand and a name server that does what it is told
 * to: it grows, shrinks, flaps, fails, vanishes; and the router is reloaded and restarted under it.
 */
import t from "tap";
import type { Test } from "tap";
import { eventually } from "../../../kit/clock.ts";
import { runtimeAddressOf } from "../../../router/haproxy/addresses.ts";
import { setServerState } from "../../../router/haproxy/runtime/change.ts";
import { connectRuntime } from "../../../router/haproxy/runtime/client.ts";
import { applyPlan, isApplied, objectionTo, planApply } from "../../../router/haproxy/apply.ts";
import { serverNameAt } from "../../../router/haproxy/backend-sections.ts";
import type { ProcessEvent } from "../../../router/backends/keeper/process.ts";
import {
  backendPort,
  backendsRig,
  backendText,
  listenHost,
  quickCheck,
  serverHost,
  stateFileOf,
} from "../../support/backends-rig.ts";
import type { BackendsRig } from "../../support/backends-rig.ts";
import { haproxyPrograms, startHaproxy } from "../../support/haproxy.ts";
import type { HaproxyProgram } from "../../support/haproxy.ts";
import { crowd } from "../../support/rendered-haproxy.ts";

const patience = { deadlineMs: 30_000, intervalMs: 20 };
const { signal } = new AbortController();
const programs = await haproxyPrograms();
t.ok(programs.length > 0, "there is a HAProxy");

const plain = backendText(`${quickCheck} drainGrace: 1s,`, "");

/** How many of the next visits land where. */
async function landings(rig: BackendsRig, count: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let index = 0; index < count; index += 1) {
    const { landed, socket } = await rig.visit();
    counts[landed] = (counts[landed] ?? 0) + 1;
    socket.destroy();
  }
  return counts;
}

const eventsOf = (told: readonly ProcessEvent[]): string[] => told.map((one) => one.event);
const nameOf = (number: number): string => serverNameAt(serverHost(number), backendPort);

async function gone(rig: BackendsRig, number: number): Promise<void> {
  await eventually(`${nameOf(number)} goes`, patience, async () =>
    (await rig.servers()).some((one) => one.server === nameOf(number)) ? undefined : true,
  );
}

const tests: Readonly<Record<string, (t: Test, program: HaproxyProgram) => Promise<void>>> = {
  "who comes before there is a server waits for the first": async (t, program) => {
    const rig = await backendsRig(t, program, [plain]);
    rig.names(1);
    await rig.server(1);
    const early = [rig.visit(), rig.visit(), rig.visit()];
    const running = await rig.begin();
    t.strictSame(
      (await Promise.all(early)).map((one) => one.landed),
      ["s1", "s1", "s1"],
    );
    await running.serves("1:100");
  },

  "a name grows, shrinks and flaps": async (t, program) => {
    // What is done while sessions end has to fit into their time, on a busy machine too.
    const patient = backendText(`${quickCheck} drainGrace: 5s,`, "");
    const rig = await backendsRig(t, program, [patient]);
    rig.names(1);
    for (const number of [1, 2]) await rig.server(number);
    const running = await rig.begin();
    await running.serves("1:100");
    rig.names(1, 2);
    await running.resolveNow();
    await running.serves("1:50", "2:50");
    t.strictSame(await landings(rig, 10), { s1: 5, s2: 5 });

    // Two sessions at the second server: one ends by itself, one does not.
    const kept = [await rig.visit(), await rig.visit(), await rig.visit(), await rig.visit()];
    const leaving = kept.filter((one) => one.landed === "s2");
    t.equal(leaving.length, 2);
    rig.names(1);
    await running.resolveNow();
    await eventually("it takes nobody new", patience, async () => {
      const second = (await rig.servers()).find((one) => one.server === nameOf(2));
      return second?.weight === 0 ? true : undefined;
    });
    t.strictSame(await landings(rig, 6), { s1: 6 });
    t.ok(
      leaving.every((one) => !one.socket.destroyed),
      "its sessions go on",
    );

    // It comes back while they last: they never notice.
    rig.names(1, 2);
    await running.resolveNow();
    await running.serves("1:50", "2:50");
    t.ok(
      leaving.every((one) => !one.socket.destroyed),
      "and on",
    );

    rig.names(1);
    await running.resolveNow();
    leaving[0]?.socket.destroy();
    await leaving[1]?.ended;
    await gone(rig, 2);
    await running.serves("1:100");
    const removed = running.told.find((one) => one.event === "remove");
    t.match(removed?.says, /^removed; 1 session cut after 5s$/);
    t.ok(
      kept.filter((one) => one.landed === "s1").every((one) => !one.socket.destroyed),
      "nobody else was cut",
    );
  },

  "a name that flaps to nobody and back gives its waiting clients a server": async (t, program) => {
    const policy = "onEmpty: drop,";
    const rig = await backendsRig(t, program, [
      backendText(`${quickCheck} drainGrace: 10s,`, policy),
    ]);
    await rig.server(1);
    rig.names(1);
    const running = await rig.begin();
    await running.serves("1:100");
    const kept = await rig.visit();
    rig.names();
    await running.resolveNow();
    await eventually("it leaves", patience, async () =>
      (await rig.servers())[0]?.weight === 0 ? true : undefined,
    );
    const waiting = [rig.visit(), rig.visit(), rig.visit()];
    await eventually("they wait", patience, () =>
      running.state().routers[0]?.backends[0]?.waiting === 3 ? true : undefined,
    );
    rig.names(1);
    await running.resolveNow();
    t.strictSame(
      (await Promise.all(waiting)).map((one) => one.landed),
      ["s1", "s1", "s1"],
    );
    t.notOk(kept.socket.destroyed, "the session from before went on");
  },

  "DNS that fails takes nobody away": async (t, program) => {
    const rig = await backendsRig(t, program, [plain]);
    for (const number of [1, 2]) await rig.server(number);
    rig.names(1, 2);
    const running = await rig.begin();
    await running.serves("1:50", "2:50");
    for (const fail of [
      () => rig.names("silent"),
      () => (rig.dns.mode = "nxdomain"),
      () => rig.names(),
    ]) {
      fail();
      await running.resolveNow();
      const [target] = running.state().targets;
      t.ok((target?.status?.consecutiveFailures ?? 0) > 0);
      t.strictSame(await landings(rig, 4), { s1: 2, s2: 2 });
    }
    t.ok(eventsOf(running.told).includes("dns-failed"));
    rig.dns.mode = "answer";
    rig.names(2);
    await running.resolveNow();
    await gone(rig, 1);
    t.strictSame(await landings(rig, 2), { s2: 2 });
  },

  "a process that starts while DNS is down": async (t, program) => {
    const rig = await backendsRig(t, program, [plain]);
    await rig.server(1);
    rig.names(1);
    const stateFile = stateFileOf(rig.rendered);
    const first = await rig.begin({ stateFile });
    await first.serves("1:100");
    await first.stop();
    await first.serves("1:100");
    t.strictSame(await landings(rig, 2), { s1: 2 });

    rig.names("silent");
    const blind = await rig.begin();
    await eventually("the first question is over", patience, () =>
      blind.state().targets[0]?.status === undefined ? undefined : true,
    );
    await eventually(
      "the router was looked at",
      patience,
      () => blind.state().routers[0]?.backends[0]?.isInStep,
    );
    await blind.serves("1:100");
    await blind.stop();

    // HAProxy starts anew, without servers: what was last known comes from the file.
    await rig.haproxy.kill();
    const again = await startHaproxy(program.path, rig.rendered.place, rig.rendered.text);
    t.teardown(again.stop);
    const second = await rig.begin({ stateFile });
    await second.serves("1:100");
    t.match(
      second.told.find((one) => one.event === "dns-stale")?.says,
      /^does not resolve: begins with 127\.76\.2\.1, known [0-9]+ s ago$/,
    );
  },

  "a reload under load fails no connection": async (t, program) => {
    const rig = await backendsRig(t, program, [plain]);
    for (const number of [1, 2]) await rig.server(number);
    rig.names(1, 2);
    const running = await rig.begin();
    await running.serves("1:50", "2:50");
    const visitors = crowd(listenHost, backendPort);
    await eventually("visitors", patience, () => (visitors.visits.length > 20 ? true : undefined));
    const before = running.state().routers[0]?.pid;
    await rig.haproxy.askMaster("reload");
    await eventually("a new worker is in step", patience, () => {
      const [router] = running.state().routers;
      return router?.pid !== before && router?.backends[0]?.isInStep === true ? true : undefined;
    });
    const seen = visitors.visits.length;
    await eventually("more visitors", patience, () =>
      visitors.visits.length > seen + 20 ? true : undefined,
    );
    await visitors.end();
    const lost = visitors.visits.filter((one) => one !== "s1" && one !== "s2");
    t.strictSame(lost, [], `of ${visitors.visits.length}`);
    t.ok(eventsOf(running.told).includes("worker"));
  },

  "HTTP: requests wait, move on, and none fails over a change of servers and a reload": async (
    t,
    program,
  ) => {
    const http = plain
      .replace("drainGrace", "mode: http, drainGrace")
      .replace("check: {", "check: { uri: /primary,")
      .replace(`port: ${backendPort}, servers`, `port: ${backendPort + 1}, servers`);
    const rig = await backendsRig(t, program, [http]);
    const [first, second] = [await rig.server(1), await rig.server(2)];
    rig.names(1);
    const get = async (path: string): Promise<number> => {
      const reply = await fetch(`http://${listenHost}:${backendPort}${path}`);
      await reply.text();
      return reply.status;
    };
    const early = [get("/early"), get("/early"), get("/early")];
    const running = await rig.begin();
    t.strictSame(await Promise.all(early), [200, 200, 200], "who came before there was a server");
    const statuses: number[] = [];
    const ending = new AbortController();
    const ask = async (): Promise<void> => {
      while (!ending.signal.aborted) statuses.push(await get("/load").catch(() => 0));
    };
    const asking = [ask(), ask(), ask()];
    rig.names(2);
    await running.resolveNow();
    await running.serves("2:100");
    const before = running.state().routers[0]?.pid;
    await rig.haproxy.askMaster("reload");
    await eventually("a new worker is in step", patience, () => {
      const [router] = running.state().routers;
      return router?.pid !== before && router?.backends[0]?.isInStep === true ? true : undefined;
    });
    const seen = statuses.length;
    await eventually("more", patience, () => (statuses.length > seen + 20 ? true : undefined));
    ending.abort();
    await Promise.all(asking);
    t.strictSame(new Set(statuses), new Set([200]), `${statuses.length} requests`);
    t.ok(first.asked().has("/load") && second.asked().has("/load"), "both were asked");
    // A second one that is not well any more takes nobody: who comes waits.
    second.health = "standby";
    await eventually("it is down", patience, async () =>
      (await rig.servers())[0]?.state === "down" ? true : undefined,
    );
    const late = get("/late");
    second.health = "primary";
    t.equal(await late, 200);
  },

  "what an operator has taken out stays out, over a reload as well": async (t, program) => {
    const rig = await backendsRig(t, program, [plain]);
    for (const number of [1, 2]) await rig.server(number);
    rig.names(1, 2);
    const running = await rig.begin();
    await running.serves("1:50", "2:50");
    const { environment, router, text } = rig.rendered;
    const runtime = connectRuntime(runtimeAddressOf(environment, router));
    const of = { backend: "search", server: nameOf(1) };
    await setServerState(runtime, of, "maint");
    await eventually("it is told", patience, () =>
      running.told.find((one) => one.event === "held"),
    );
    const plan = await planApply(environment, router, `${text}# another text\n`, signal);
    t.equal(plan.found, 2);
    t.strictSame(plan.forced, [], "it is not apply that keeps them");
    await applyPlan(environment, plan, signal);
    await eventually("they are there again", patience, async () => {
      const states = (await rig.servers()).map((one) => `${one.server} ${one.state}`);
      const want = [`${nameOf(1)} maint`, `${nameOf(2)} up`];
      return states.toSorted().join() === want.join() ? true : undefined;
    });
    t.equal(eventsOf(running.told).filter((one) => one === "held").length, 1, "said once");
    await setServerState(runtime, of, "ready");
    await running.serves("1:50", "2:50");
    await eventually("it is told", patience, () =>
      running.told.find((one) => one.event === "let-go"),
    );
  },

  "apply is refused while clients wait, and says when nobody adds the servers again": async (
    t,
    program,
  ) => {
    const rig = await backendsRig(t, program, [plain]);
    await rig.server(1);
    rig.names(1);
    const { environment, router, text } = rig.rendered;
    const objection = async (): Promise<string | undefined> =>
      objectionTo({ ...(await planApply(environment, router, text, signal)), serves: false });
    t.equal(await objection(), undefined, "there is nobody to be lost");
    const early = rig.visit();
    await eventually(
      "it waits",
      patience,
      async () =>
        /1 client waits in the queue of backend search/.test((await objection()) ?? "") ||
        undefined,
    );
    const running = await rig.begin();
    await running.serves("1:100");
    t.equal((await early).landed, "s1");
    t.equal(await objection(), undefined);
    const kept = await rig.visit();
    const plan = await planApply(environment, router, `${text}# another text\n`, signal);
    t.match(plan, { found: 1, foundSessions: 2, foundIn: ["search"] });
    await running.stop();
    await t.rejects(applyPlan(environment, plan, signal), {
      code: "ERR_HAPROXY_RELOAD",
      message:
        /no backends process adds servers to search on app-01: start bin\/router test backends$/,
    });
    const again = await planApply(environment, router, plan.text, signal);
    t.ok(isApplied(again), "the file stays");
    t.notOk(kept.socket.destroyed, "and the session in the old worker");
  },

  "many servers come back after a reload in a few lines": async (t, program) => {
    const rig = await backendsRig(t, program, [plain]);
    const all = Array.from({ length: 120 }, (_, at) => at + 1);
    rig.names(...all);
    const running = await rig.begin();
    const isWhole = (): true | undefined => {
      const [one] = running.state().routers[0]?.backends ?? [];
      return (one?.isInStep === true && one.servers.length === 120) || undefined;
    };
    await eventually("all are there", patience, isWhole);
    await rig.haproxy.askMaster("reload");
    await eventually("a new worker", patience, () =>
      running.told.find((one) => one.event === "worker"),
    );
    await eventually("all are there again", patience, isWhole);
    const count = /^CumConns: (\d+)$/m.exec(await rig.haproxy.askAdmin("show info"))?.[1];
    t.ok(Number(count) < 60, `${count} connections to the new worker's Runtime API`);
    t.strictSame(
      running.told.filter((one) => one.event === "failed"),
      [],
    );
    t.ok((await rig.servers()).every((one) => one.checked && one.weight > 0));
  },

  "one order that is refused holds up no other of its line": async (t, program) => {
    const rig = await backendsRig(t, program, [plain]);
    for (const number of [1, 2, 3]) await rig.server(number);
    // A server under our name that cannot be checked: our process takes it for one of its own.
    await rig.haproxy.askAdmin(`add server search/${nameOf(2)} ${serverHost(2)}:9200 weight 0`);
    rig.names(1, 2, 3);
    const running = await rig.begin();
    const said = await eventually("it is told", patience, () =>
      running.told.find((one) => one.event === "failed"),
    );
    t.match(said, { server: nameOf(2), says: /^start: enable health .*Health check/ });
    await eventually("the others serve", patience, async () => {
      const up = (await rig.servers()).filter((one) => one.state === "up" && one.weight > 0);
      return up.some((one) => one.server === nameOf(1)) &&
        up.some((one) => one.server === nameOf(3))
        ? true
        : undefined;
    });
    t.equal(running.state().routers[0]?.backends[0]?.isInStep, false, "it is not well");
  },

  "who serves goes when those who come are up, and not before": async (t, program) => {
    const rig = await backendsRig(t, program, [
      backendText(`${quickCheck} drainGrace: 1s, keepUntilUp: 1m,`, ""),
    ]);
    const first = await rig.server(1);
    rig.names(1);
    const running = await rig.begin();
    await running.serves("1:100");
    rig.names(2);
    await running.resolveNow();
    await eventually(
      "the second is there and down",
      patience,
      async () =>
        (await rig.servers()).some((one) => one.server === nameOf(2) && one.state === "down") ||
        undefined,
    );
    t.strictSame(await landings(rig, 3), { s1: 3 }, "the one that is up serves on");
    await rig.server(2);
    await running.serves("2:100");
    t.strictSame(await landings(rig, 3), { s2: 3 });
    t.notOk(eventsOf(running.told).includes("empty"), "somebody was in service all along");
    rig.names(1);
    await running.resolveNow();
    await running.serves("1:100");
    await first.stop();
    const empty = await eventually("it is told", patience, () =>
      running.told.find((one) => one.event === "empty"),
    );
    t.match(empty, { backend: "search", says: /^has nobody in service now; 0 clients wait$/ });
  },

  "a server that is no more checked well takes nobody": async (t, program) => {
    const rig = await backendsRig(t, program, [plain]);
    const first = await rig.server(1);
    await rig.server(2);
    rig.names(1, 2);
    const running = await rig.begin();
    await running.serves("1:50", "2:50");
    await first.stop();
    await eventually("it is down", patience, async () =>
      (await rig.servers()).some((one) => one.state === "down") ? true : undefined,
    );
    t.strictSame(await landings(rig, 4), { s2: 4 });
    await eventually("it is told", patience, () =>
      running.told.find((one) => one.event === "state" && one.says.startsWith("is down")),
    );
  },

  "what the environment has lost is removed, what is another's is not": async (t, program) => {
    const rig = await backendsRig(t, program, [plain]);
    await rig.server(1);
    rig.names(1);
    await rig.haproxy.askAdmin(`add server search/${nameOf(7)} ${serverHost(7)}:9200 weight 5`);
    await rig.haproxy.askAdmin(`add server search/by-hand ${serverHost(8)}:9200 weight 5`);
    const running = await rig.begin();
    await gone(rig, 7);
    await running.serves("1:100");
    t.match(await rig.haproxy.askAdmin("show servers state search"), / by-hand /);
  },

  "a second process, and a section that is not there": async (t, program) => {
    const rig = await backendsRig(t, program, [plain], (text) =>
      text.replace("\nlisten search\n", "\nlisten other\n"),
    );
    rig.names(1);
    const running = await rig.begin();
    await t.rejects(rig.begin(), {
      code: "ERR_BACKENDS_RUNNING",
      message: /^router app-01: its backends are kept already by bin\/router test backends \(pid/,
    });
    const said = await eventually("it is told", patience, () =>
      running.told.find((one) => one.event === "section"),
    );
    t.match(said.says, /no such section yet: bin\/router test apply/);
  },

  "a socket whose level is too low": async (t, program) => {
    const rig = await backendsRig(t, program, [plain], (text) =>
      text.replace("level admin", "level operator"),
    );
    await t.rejects(rig.begin(), {
      code: "ERR_HAPROXY_PERMISSION",
      message: /gives level operator, and adding servers needs level admin/,
    });
  },
};

for (const program of programs) {
  t.test(`HAProxy ${program.version}`, async (t) => {
    for (const [name, test] of Object.entries(tests)) await t.test(name, (t) => test(t, program));
  });
}
