/**
 * A router in a container, as an operator has it: bin/router's verbs on it, its file, and members
 * that are reached by a container's name. Against the image switchyard/haproxy on a real engine.
 */
import t from "tap";
import type { Test } from "tap";
import type { Invocation } from "../../../bin/cli/command.ts";
import { exitCodeOf } from "../../../bin/cli/exit-codes.ts";
import { processOutput } from "../../../bin/cli/output.ts";
import { eventually, withDeadline } from "../../../kit/clock.ts";
import type { DockerEngine } from "../../../kit/docker-engine.ts";
import { visit } from "../../support/fake-member.ts";
import {
  engineForTests,
  haproxyImage,
  openYard,
  passOn,
  startContainerRouter,
} from "../../support/router-container.ts";
import type { ContainerRouter } from "../../support/router-container.ts";
import {
  objectionTo,
  warnOfPlace,
  writeInContainer,
} from "../../../router/haproxy/container-files.ts";
import { checkText, renderRouter } from "../../../router/haproxy/install.ts";
import { parseRuntimeAddress } from "../../../router/haproxy/runtime/address.ts";

const patience = { deadlineMs: 60_000, intervalMs: 50 };
const { signal } = new AbortController();

interface Outcome {
  readonly code: number;
  readonly out: string;
}

/** Runs a verb as bin/router would, and gathers what it prints. */
async function tool(
  { environment }: ContainerRouter,
  verb: string,
  words: readonly string[] = [],
  flags: Invocation["flags"] = {},
): Promise<Outcome> {
  const said: string[] = [];
  const output = {
    ...processOutput(),
    result: (line: string) => void said.push(line),
    note: (line: string) => void said.push(line),
  };
  const { run } = (await import(`../../../bin/commands/router/${verb}.ts`)) as {
    run: (invocation: Invocation) => Promise<number>;
  };
  const place = { program: "router", command: verb, environment: environment.name };
  try {
    const code = await run({ ...place, arguments: words, flags, output, signal });
    return { code, out: said.join("\n") };
  } catch (error) {
    return { code: exitCodeOf(error), out: [...said, (error as Error).message].join("\n") };
  }
}

async function untilStatus(rig: ContainerRouter, want: RegExp): Promise<Outcome> {
  const last = { out: "" };
  return await eventually(`status ${want}`, patience, async () => {
    const seen = await tool(rig, "status");
    last.out = seen.out;
    return want.test(seen.out) ? seen : undefined;
  }).catch(() => ({ code: -1, out: last.out }));
}

async function verbs(t: Test, engine: DockerEngine): Promise<void> {
  const rig = await startContainerRouter(t, engine);
  const { environment, router, host, dal, chi, named } = rig;

  await t.test(
    "the first configuration: check, diff, apply, and nothing is left to do",
    async (t) => {
      t.same(await tool(rig, "check"), { code: 0, out: "app-01: valid" });
      t.match(await tool(rig, "diff"), { code: 1, out: /\n-.*waits-for-its-configuration/ });
      const before = await engine.readEntry(
        named("router"),
        environment.routers[0]?.configuration.path ?? "",
      );
      t.match(await tool(rig, "apply"), { code: 0, out: /applied: app-01$/ });
      t.same(await tool(rig, "diff"), { code: 0, out: "" }, "the file is what is rendered");
      t.match(await tool(rig, "apply"), { code: 0, out: /right already: app-01$/ });
      const after = await engine.readEntry(
        named("router"),
        environment.routers[0]?.configuration.path ?? "",
      );
      t.same([after?.mode, after?.uid, after?.gid], [before?.mode, before?.uid, before?.gid]);
      const { stdout } = await engine.exec(
        named("router"),
        ["ls", "-A", "/usr/local/etc/haproxy"],
        { deadlineMs: 20_000 },
      );
      t.equal(stdout.trim(), "haproxy.cfg", "nothing lies beside it");
    },
  );

  await t.test("members by name and by address; orders, sessions, old workers", async (t) => {
    const both = /pg-primary\/dal-01 +up[^]*pg-primary\/chi-02 +down +L7STS\/503/;
    const seen = await untilStatus(rig, both);
    t.match(seen, { code: 0, out: both });
    t.notMatch(
      seen.out,
      /MAINT \(resolution\)|no address/,
      "each server of one name has its address",
    );
    const session = await visit(host, 6433);
    t.equal(session.landed, "dal-01", "through the container's name");
    const words = ["pg-primary/chi-02", "drain"];
    t.match(await tool(rig, "set", words), { code: 0, out: /chi-02 .*→ drain/ });
    t.match(await tool(rig, "sessions"), { code: 0, out: /app-01 .* pg-primary\/dal-01/ });
    t.match(await tool(rig, "apply", [], { "dry-run": true }), { code: 0 });
    const { code } = await engine.exec(
      named("router"),
      ["sh", "-c", "echo >> /usr/local/etc/haproxy/haproxy.cfg"],
      { deadlineMs: 20_000 },
    );
    t.equal(code, 0);
    t.match(await tool(rig, "apply"), {
      code: 0,
      out: /1 write session stays[^]*keeps pg-primary\/chi-02 in drain[^]*applied: app-01$/,
    });
    t.match(await tool(rig, "sessions"), { code: 0, out: /pg-primary\/dal-01.*\(old\)/ });
    const closing = { "close-old-workers": true, yes: true };
    t.match(await tool(rig, "sessions", [], closing), {
      code: 0,
      out: /1 session on old workers closed/,
    });
    await withDeadline("the end of the session", 30_000, () => session.ended);
    t.match(await tool(rig, "set", ["pg-primary/chi-02", "ready"]), { code: 0 });
  });

  await t.test("a container that comes back with another address is followed", async (t) => {
    const old = await rig.addressOf("dal");
    await engine.stop(named("dal"), 1);
    await untilStatus(rig, /pg-primary\/dal-01 +down/);
    // Takes the address that has become free, so that the other gets a new one.
    await rig.start("filler", { entrypoint: ["sleep"], command: ["3600"] });
    await engine.start(named("dal"));
    t.not(await rig.addressOf("dal"), old);
    await eventually("a client lands there", patience, async () =>
      (await visit(host, 6433)).landed === "dal-01" ? true : undefined,
    );
    t.match(await untilStatus(rig, /pg-primary\/dal-01 +up/), { code: 0 });
  });

  await t.test(
    "its own HAProxy checks a text; who is primary is seen by name and by address",
    async (t) => {
      const text = await renderRouter(environment, router, signal);
      const wrong = text.replace("  mode tcp", "  mood tcp");
      await t.rejects(checkText(environment, router, wrong, signal), {
        code: "ERR_HAPROXY_CONFIGURATION",
        message: /^app-01: haproxy -c -f \/dev\/stdin: exit code 1: .*mood/,
      });
      dal.health = "standby";
      chi.health = "primary";
      await untilStatus(rig, /pg-primary\/dal-01 +down[^]*pg-primary\/chi-02 +up/);
      t.equal((await visit(host, 6433)).landed, "chi-02");
    },
  );

  await t.test("without its container: what was tried, what to do, 69", async (t) => {
    await engine.kill(named("router"), "SIGKILL");
    const seen = await tool(rig, "status");
    t.equal(seen.code, 69);
    t.match(
      seen.out,
      /reach container \S+-router on unix:\S+: .*is not running; see docker ps --all/,
    );
    t.match(await tool(rig, "apply"), { code: 69, out: /not reached, left as it is: app-01$/ });
    t.match(
      await tool(rig, "render"),
      { code: 0, out: /listen pg-primary/ },
      "can be rendered all the same",
    );
    await engine.remove(named("router"));
    const gone = await tool(rig, "check");
    t.match(gone, { code: 69, out: /No such container/ });
  });
}

async function mounts(t: Test, engine: DockerEngine): Promise<void> {
  const path = "/etc/haproxy/haproxy.cfg";
  const table = [
    { name: "nothing is mounted", given: [], want: undefined },
    { name: "its folder", given: [{ source: "v", target: "/etc/haproxy" }], want: undefined },
    {
      name: "another with that beginning",
      given: [{ source: "v", target: "/etc/hap" }],
      want: undefined,
    },
    {
      name: "the file alone",
      given: [{ source: "/f", target: path }],
      want: /mount its folder \/etc\/haproxy instead/,
    },
    {
      name: "read-only",
      given: [{ source: "v", target: "/etc", readOnly: true }],
      want: /^\/etc is mounted read-only$/,
    },
    {
      name: "a writable folder in one that is not",
      given: [
        { source: "v", target: "/etc", readOnly: true },
        { source: "w", target: "/etc/haproxy" },
      ],
      want: undefined,
    },
  ];
  for (const { name, given, want } of table) {
    const got = objectionTo(given, path);
    if (want === undefined) t.equal(got, undefined, name);
    else t.match(got, want, name);
  }
  const yard = await openYard(t, engine);
  await yard.start("alone", {
    ...passOn(yard.gateway),
    mounts: [{ source: "/etc/hostname", target: path }],
  });
  const container = yard.named("alone");
  const source = { key: "mounts", read: async () => engine.address };
  const address = parseRuntimeAddress(`docker://${container}/run/haproxy/admin.sock`, source);
  if (address.kind !== "docker") throw new TypeError(address.kind);
  t.match(await warnOfPlace(address, path, signal), /mounted alone/);
  t.match(
    await warnOfPlace(address, "/usr/local/etc/haproxy/haproxy.cfg", signal),
    /is in the container alone: one that is made anew starts without it; mount a volume/,
  );
  await t.rejects(writeInContainer(address, path, "new", signal), {
    code: "ERR_CONTAINER_FILE",
    message: /mounted alone/,
  });
}

const engine = await engineForTests();
if (typeof engine === "string") t.pass("skipped", { skip: engine });
else {
  t.teardown(() => engine.close());
  await t.test(`${haproxyImage}: bin/router on a router in a container`, (t) => verbs(t, engine));
  await t.test("where a file cannot be replaced", (t) => mounts(t, engine));
}
