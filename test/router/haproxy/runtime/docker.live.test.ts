/** The Runtime API and the master's socket of a router in a container, through a real engine. */
import { spawn } from "node:child_process";
import t from "tap";
import type { Test } from "tap";
import { eventually, withDeadline } from "../../../../kit/clock.ts";
import type { DockerEngine } from "../../../../kit/docker-engine.ts";
import {
  fleetRouter,
  masterAddressOf,
  runtimeAddressOf,
} from "../../../../router/haproxy/addresses.ts";
import { applyPlan, planApply } from "../../../../router/haproxy/apply.ts";
import { renderRouter } from "../../../../router/haproxy/install.ts";
import { parseRuntimeAddress } from "../../../../router/haproxy/runtime/address.ts";
import type { RuntimeAddress } from "../../../../router/haproxy/runtime/address.ts";
import { openRouterChannels } from "../../../../router/haproxy/runtime/channels.ts";
import {
  change,
  connectRuntime,
  send,
  showInfo,
  showRouter,
  showSessions,
} from "../../../../router/haproxy/runtime/client.ts";
import type { Runtime } from "../../../../router/haproxy/runtime/client.ts";
import { commands } from "../../../../router/haproxy/runtime/commands.ts";
import type { Command } from "../../../../router/haproxy/runtime/commands.ts";
import { routerEvents } from "../../../../router/haproxy/runtime/events.ts";
import { observeRouter, overRouters } from "../../../../router/haproxy/runtime/fleet.ts";
import {
  closeOldWorkerSessions,
  reloadThroughMaster,
  showOldWorkers,
} from "../../../../router/haproxy/runtime/master.ts";
import { findServer } from "../../../../router/haproxy/runtime/servers.ts";
import { upForWrites } from "../../../../router/haproxy/runtime/orders.ts";
import { startCountingSocket } from "../../../support/counting-socket.ts";
import { visit } from "../../../support/fake-member.ts";
import {
  engineForTests,
  haproxyImage,
  openYard,
  startContainerRouter,
} from "../../../support/router-container.ts";
import type { ContainerRouter } from "../../../support/router-container.ts";
import { startFakeHaproxy } from "../../../support/fake-haproxy.ts";

const { signal } = new AbortController();
const soon = { deadlineMs: 45_000, intervalMs: 20 };
const members = ["dal-01", "chi-02"];

interface Rig extends ContainerRouter {
  readonly runtime: Runtime;
  readonly master: RuntimeAddress;
  /** Programs in the router's container, HAProxy's own left out: pid and command line. */
  readonly guests: () => Promise<string[]>;
}

async function begin(t: Test, engine: DockerEngine, url?: string): Promise<Rig> {
  const made = await startContainerRouter(t, engine, url);
  const { environment, router, named } = made;
  const text = await renderRouter(environment, router, signal);
  await applyPlan(environment, await planApply(environment, router, text, signal), signal);
  const master = masterAddressOf(environment, router);
  if (master === undefined) throw new Error("the router has a master");
  const rig: Rig = {
    ...made,
    runtime: connectRuntime(runtimeAddressOf(environment, router), { deadlineMs: 5000 }),
    master,
    guests: async () => {
      const script =
        "for p in /proc/[0-9]*; do echo ${p#/proc/} $(tr '\\0' ' ' < $p/cmdline 2>/dev/null); done";
      const { stdout } = await engine.exec(named("router"), ["sh", "-c", script], soon);
      const others =
        /^[0-9]+ (haproxy |sh -c for |tr |socat -t 2 - UNIX|\/bin\/sh .*switchyard-router-answers|sleep |runc )/;
      return stdout.split("\n").filter((line) => /^[0-9]+ ./.test(line) && !others.test(line));
    },
  };
  await untilUp(rig, "dal-01");
  return rig;
}

async function untilUp({ runtime }: Rig, member: string): Promise<void> {
  await eventually(`${member} is up`, soon, async () => {
    const { servers } = await showRouter(runtime);
    return upForWrites(servers)
      .map((one) => one.server)
      .join() === member
      ? true
      : undefined;
  });
}

async function talk(t: Test, engine: DockerEngine): Promise<void> {
  const rig = await begin(t, engine);
  const { runtime, master, environment, router, host, dal, named } = rig;

  await t.test("commands, refusals, readback", async (t) => {
    t.match(await showInfo(runtime), { version: /^3\./ });
    const view = await change(runtime, [
      commands.setServerState({ backend: "pg-replica", server: "chi-02" }, "drain"),
    ]);
    t.match(
      view.servers.find((one) => one.backend === "pg-replica" && one.server === "chi-02"),
      { admin: ["drain"] },
    );
    await change(runtime, [
      commands.setServerState({ backend: "pg-replica", server: "chi-02" }, "ready"),
    ]);
    await t.rejects(
      send(runtime, [commands.setServerState({ backend: "nope", server: "x" }, "drain")]),
      {
        code: "ERR_HAPROXY_REFUSED",
        message: /on docker:\/\/\S+\/run\/haproxy\/admin\.sock: No such/,
      },
    );
    const side = await Promise.all(Array.from({ length: 6 }, () => showRouter(runtime)));
    t.equal(new Set(side.map((one) => one.info.pid)).size, 1, "side by side, each its own answer");
    await t.rejects(showInfo(connectRuntime(master)), { message: /is this the master's socket/ });
  });

  await t.test("a fleet of a unix, a tcp and a docker router, one of them away", async (t) => {
    const silent = await startFakeHaproxy(() => undefined);
    t.teardown(silent.stop);
    const nobody = parseRuntimeAddress(`docker://${named("nobody")}/run/haproxy/admin.sock`, {
      key: "other",
      read: async () => engine.address,
    });
    const fleet = [
      { name: "unix", runtime: silent.address },
      { name: "tcp", runtime: "tcp://127.60.0.9:1" },
      { name: "nobody", runtime: nobody },
      fleetRouter(environment, router),
    ] as const;
    const results = await overRouters(fleet, { deadlineMs: 5000 }, observeRouter);
    const said = results.map((one) =>
      "error" in one ? one.error.message : one.value.oldWorkers?.length,
    );
    t.match(said, [/no reply within 5000 ms/, /connection refused/, /No such container/, 0]);
  });

  await t.test("what a reload leaves on an old worker is seen and closed", async (t) => {
    const app = await visit(host, 6433);
    t.equal(app.landed, "dal-01");
    t.equal((await showSessions(runtime)).filter((one) => one.server === "dal-01").length, 1);
    t.match(await reloadThroughMaster(master, soon), {
      ok: true,
      log: /Loading success/,
    });
    const options = { deadlineMs: 20_000 };
    t.match(await showOldWorkers(master, options), [{ sessions: [{ server: "dal-01" }] }]);
    t.match(await closeOldWorkerSessions(master, options), { closed: 1, waiting: 0 });
    await withDeadline("the end of the session", 30_000, () => app.ended);
    await untilUp(rig, "dal-01");
  });

  await t.test("the event feed tells, and outlives a reload", async (t) => {
    const stop = new AbortController();
    const seen: string[] = [];
    const listening = (async () => {
      // As bin/router watch has it: a tick that cannot open a way into the container is lost.
      const feed = routerEvents(runtime.address, { signal: stop.signal, pollMs: 1000 });
      for await (const event of feed) seen.push(event.kind === "line" ? event.text : event.kind);
    })();
    const until = (want: RegExp): Promise<true> =>
      eventually(`${want} in the feed`, soon, () =>
        seen.some((one) => want.test(one)) ? true : undefined,
      );
    t.ok(await until(/^connected$/));
    dal.health = "standby";
    t.ok(await until(/^Server pg-primary\/dal-01 is DOWN/));
    seen.length = 0;
    await reloadThroughMaster(master, soon);
    t.ok(await until(/^connected$/));
    // The new worker begins with every server up: what it has not found down does not come up.
    await eventually("the new worker has found it down", soon, async () => {
      const { servers } = await showRouter(runtime);
      return findServer(servers, { backend: "pg-primary", server: "dal-01" })?.state === "down"
        ? true
        : undefined;
    });
    dal.health = "primary";
    t.ok(await until(/^Server pg-primary\/dal-01 is UP/));
    stop.abort();
    await listening;
    await untilUp(rig, "dal-01");
  });

  await t.test(
    "a container that is killed in the middle of a command, and one that is back",
    async (t) => {
      // Two ways into the container, so that both commands are on their way in it.
      const [{ pid }] = await Promise.all([showInfo(runtime), showInfo(runtime)]);
      const stopped = ["sh", "-c", `kill -STOP ${pid}`];
      t.equal((await engine.exec(named("router"), stopped, soon)).code, 0);
      const once: Command = { ...commands.showInfo(), idempotent: false };
      const outcomes = [showInfo(runtime), send(runtime, [once])].map((one) =>
        one.then(
          () => "answered",
          (error: unknown) => error,
        ),
      );
      await engine.kill(named("router"), "SIGKILL");
      const [again, lost] = await Promise.all(outcomes);
      t.match(again, { code: "ERR_HAPROXY_UNREACHABLE" }, "asked again, to no avail");
      t.match(lost, { code: "ERR_HAPROXY_PROTOCOL", message: /was reset after 0 bytes/ });
      await t.rejects(showInfo(runtime), {
        code: "ERR_HAPROXY_UNREACHABLE",
        message: /is not running; see docker ps --all/,
      });
      await engine.start(named("router"));
      await untilUp(rig, "dal-01");
    },
  );

  await t.test("a frozen container costs the deadline", async (t) => {
    await engine.pause(named("router"));
    try {
      await t.rejects(showInfo({ ...runtime, deadlineMs: 300 }), {
        code: "ERR_HAPROXY_TIMEOUT",
        message: /no reply within 300 ms/,
      });
    } finally {
      await engine.unpause(named("router"));
    }
    t.match(await showInfo(runtime), { version: /^3\./ });
  });

  await t.test("a tool that is killed leaves nothing in the container", async (t) => {
    const ours = new Set(await rig.guests());
    const child = spawn(process.execPath, ["--input-type=module", "-e", holder(environment.name)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.teardown(() => child.kill("SIGKILL"));
    const { promise: said, resolve } = Promise.withResolvers<string>();
    child.stdout.on("data", (bytes: Buffer) => resolve(bytes.toString()));
    t.equal(await withDeadline("the tool", 45_000, () => said), "held\n");
    const its = await eventually("relays, each with its socat", soon, async () => {
      const found = (await rig.guests()).filter((one) => !ours.has(one));
      return found.length >= 8 ? found : undefined;
    });
    child.kill("SIGKILL");
    await eventually("its relays end", soon, async () =>
      (await rig.guests()).some((one) => its.includes(one)) ? undefined : true,
    );
    t.equal(its.length, 8);
  });
}

/** A program that holds four connections ready, as a flip does. */
function holder(environment: string): string {
  const here = (path: string): string =>
    JSON.stringify(new URL(`../../../../${path}`, import.meta.url).href);
  return `
    const { loadEnvironment } = await import(${here("config/load.ts")});
    const { fleetOf } = await import(${here("router/haproxy/addresses.ts")});
    const { keepReady } = await import(${here("router/haproxy/runtime/ready-connections.ts")});
    const { environmentNamed } = await import(${here("bin/commands/environment.ts")});
    const [router] = fleetOf(await environmentNamed(${JSON.stringify(environment)}));
    await keepReady(router.runtime).fill(10000);
    console.log("held");
    setInterval(() => undefined, 1000);
  `.replace(/^.*loadEnvironment.*$/m, "");
}

async function holding(t: Test, engine: DockerEngine): Promise<void> {
  const counted = await startCountingSocket(t, "/var/run/docker.sock");
  const rig = await begin(t, engine, `unix://${counted.path}`);
  const { environment, router, dal, chi } = rig;
  const channels = openRouterChannels([fleetRouter(environment, router)], members, {
    deadlineMs: 5000,
  });
  t.teardown(() => channels.close());
  await channels.warm(signal);
  const before = counted.opened();
  // From here on the checks are of the same mind as the orders, whenever they come.
  dal.health = "standby";
  chi.health = "primary";
  t.same(await channels.divertFrom("dal-01", signal), [{ router: "app-01", sessions: 0 }]);
  await channels.look(signal);
  await channels.route({ down: "dal-01", up: "chi-02" }, signal);
  t.match(await channels.look(signal), [{ reached: true, up: ["chi-02"] }]);
  await channels.undivert("dal-01", signal);
  t.match(await channels.look(signal), [{ reached: true }]);
  t.equal(counted.opened(), before, "nothing was opened at the engine, so nothing spawned");
  dal.health = "primary";
  chi.health = "standby";
  await reloadThroughMaster(rig.master, soon);
  await untilUp(rig, "dal-01");
  dal.health = "standby";
  await channels.divertFrom("dal-01", signal);
  t.match(
    await channels.look(signal),
    [{ up: [] }],
    "those that stayed with the old worker are left",
  );
}

async function without(t: Test, engine: DockerEngine): Promise<void> {
  const yard = await openYard(t, engine);
  const hidden = "mv /usr/bin/socat* /tmp/ 2>/dev/null; exec sleep 3600";
  await yard.start("bare", { entrypoint: ["sh"], command: ["-c", hidden], user: "0" });
  const source = { key: "without", read: async () => engine.address };
  const at = (path: string): Runtime =>
    connectRuntime(parseRuntimeAddress(`docker://${yard.named(path)}`, source), {
      deadlineMs: 5000,
    });
  await eventually("socat is away", soon, async () =>
    (await engine.exec(yard.named("bare"), ["sh", "-c", "command -v socat"], soon)).code === 0
      ? undefined
      : true,
  );
  await t.rejects(showInfo(at("bare/run/haproxy/admin.sock")), {
    code: "ERR_HAPROXY_UNREACHABLE",
    message: /there is no socat in \S+-bare: use the image switchyard\/haproxy/,
  });
  await yard.start("shellless", {
    entrypoint: ["sh"],
    command: ["-c", "rm /bin/sh; exec sleep 3600"],
    user: "0",
  });
  await eventually("there is no shell", soon, async () => {
    const said = await showInfo(at("shellless/run/haproxy/admin.sock")).then(
      () => "",
      (error: Error) => error.message,
    );
    return /there is no sh in \S+-shellless: use the image/.test(said) ? true : undefined;
  });
  await t.rejects(showInfo(at("first/run/haproxy/none.sock")), {
    code: "ERR_HAPROXY_UNREACHABLE",
    message: /no such socket/,
  });
  const argv = [
    "sh",
    "-c",
    "socat UNIX-LISTEN:/run/haproxy/root.sock,mode=600 - & sleep 0.1; rm -f /run/haproxy/gone.sock; echo > /run/haproxy/file",
  ];
  await engine
    .exec(yard.named("first"), argv, { deadlineMs: 5000, user: "0" })
    .catch(() => undefined);
  await t.rejects(showInfo(at("first/run/haproxy/root.sock")), {
    code: "ERR_HAPROXY_PERMISSION",
    message: /permission denied on the socket's file/,
  });
  const away = parseRuntimeAddress("docker://any/run/haproxy/admin.sock", {
    key: "away",
    read: async () => ({ url: "unix:///nonexistent/docker.sock" }),
  });
  await t.rejects(showInfo(connectRuntime(away)), {
    code: "ERR_HAPROXY_UNREACHABLE",
    message: /no engine listens there/,
  });
}

const engine = await engineForTests();
if (typeof engine === "string") t.pass("skipped", { skip: engine });
else {
  t.teardown(() => engine.close());
  await t.test(`${haproxyImage}: a worker and its master`, (t) => talk(t, engine));
  await t.test("between hold and release nothing is opened", (t) => holding(t, engine));
  await t.test("no socat, no socket, no permission, no engine", (t) => without(t, engine));
}
