/**
 * Topology on a real cluster: what is broken there is found, with the promised exit codes, on one
 * screen; what is mended is found no more.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import t from "tap";
import type { Test } from "tap";
import type { Client } from "pg";
import type { Environment } from "../../../config/schema.ts";
import { Secret } from "../../../config/secret.ts";
import { runChild } from "../../../kit/child.ts";
import { eventually } from "../../../kit/clock.ts";
import type { FindingCode } from "../../../router/cluster/findings.ts";
import { lookAtCluster } from "../../../router/cluster/observe.ts";
import type { Topology } from "../../../router/cluster/observe.ts";
import { valueOf } from "../../../router/cluster/view.ts";
import { isAtLeast } from "../../../router/haproxy/runtime/info.ts";
import { observePostgres } from "../../../router/postgres/observe.ts";
import { inCheckout } from "../../../kit/checkout.ts";
import { withLab } from "../../support/lab.ts";
import type { TestLab } from "../../support/lab.ts";
import { postgresFaults, routingFaults } from "./lab-faults.ts";
import type { Hands, LabFault } from "./lab-faults.ts";

/** What is so stays so; a look on a busy machine may miss a part's deadline, and the next one does not. */
const patience = { deadlineMs: 40_000, intervalMs: 100 };

async function topology(lab: TestLab, ...words: string[]) {
  const result = await runChild(inCheckout("bin/recovery"), [lab.name, "topology", ...words], {
    deadlineMs: 40_000,
    accept: [0, 1, 2, 69],
  });
  return { ...result, lines: result.stdout.trimEnd().split("\n") };
}

type Screen = Awaited<ReturnType<typeof topology>>;

/** The screen, once it ends with this code and shows what it has to. */
async function untilShown(
  lab: TestLab,
  code: number,
  isRight: (screen: Screen) => boolean = () => true,
  ...words: readonly string[]
): Promise<Screen> {
  return await eventually(`topology to end with ${code}`, patience, async () => {
    const screen = await topology(lab, ...words);
    if (screen.code === code && isRight(screen)) return screen;
    throw new Error(`it ended with ${screen.code}: ${screen.stdout}`);
  });
}

function codesIn({ stdout }: Screen): readonly string[] {
  const { findings } = JSON.parse(stdout) as { findings: { code: string }[] };
  return findings.map((one) => one.code);
}

/** Looks until what is seen is right, and hands it over. */
async function untilSeen(
  environment: Environment,
  what: string,
  isRight: (seen: Topology) => boolean,
): Promise<Topology> {
  return await eventually(what, patience, async () => {
    const seen = await lookAtCluster(environment);
    if (isRight(seen)) return seen;
    throw new Error(`last seen: ${seen.findings.map((one) => one.code).join(", ")}`);
  });
}

/** Waits until all of `codes` are found, or none at all when there are no codes. */
async function untilFound(lab: TestLab, codes: readonly FindingCode[]): Promise<Topology> {
  const what = codes.length === 0 ? "a healthy lab" : codes.join(", ");
  return await untilSeen(lab.environment, what, ({ findings }) => {
    const found = findings.map((one) => one.code);
    return codes.length === 0 ? found.length === 0 : codes.every((one) => found.includes(one));
  });
}

async function handsOn(lab: TestLab): Promise<Hands> {
  const session = async (name: string): Promise<Client> => {
    const member = lab.json.members.find((one) => one.name === name);
    if (member === undefined) throw new Error(`no member ${name}`);
    return await lab.connect(member.postgres, { as: "superuser", database: "postgres" });
  };
  return { lab, dal: await session("dal-01"), chi: await session("chi-02") };
}

async function causeAndMend(t: Test, hands: Hands, fault: LabFault): Promise<void> {
  const { lab } = hands;
  const mend = await fault.cause(hands);
  try {
    await untilFound(lab, fault.codes);
    const hasAll = (screen: Screen): boolean =>
      fault.codes.every((one) => codesIn(screen).includes(one));
    const screen = await untilShown(lab, fault.exitCode, hasAll, "--json");
    t.equal(screen.code, fault.exitCode, "exit code");
    for (const wanted of fault.codes) t.ok(codesIn(screen).includes(wanted), wanted);
  } finally {
    await mend();
  }
  await untilFound(lab, []);
}

t.test("a lab with two app hosts", async (t) => {
  const lab = await withLab(t, { appHosts: 2, archiveCommand: "/bin/true" });
  const hands = await handsOn(lab);

  await t.test("is healthy", async (t) => {
    const { view, findings } = await untilFound(lab, []);
    t.same(findings, []);
    t.equal(view.primary?.name, "dal-01");
    t.equal(view.members[1]?.upstream, "dal-01");
    t.same(
      view.routers.map((one) => one.sendsWritesTo),
      [["dal-01"], ["dal-01"]],
    );
    const screen = await untilShown(lab, 0);
    t.match(screen.lines[0], /^HEALTHY {2}dal-01 takes writes; chi-02 streams$/);
    t.ok(screen.lines.every((line) => line.length <= 100));
  });

  await t.test("a file that is reached by programs is compared as well", async (t) => {
    const routers = lab.environment.routers.map((one) => {
      const { path } = one.configuration;
      return { ...one, configuration: { ...one.configuration, read: ["cat", path] } };
    });
    const environment = { ...lab.environment, routers };
    const { view } = await untilSeen(environment, "both files", (seen) =>
      seen.view.routers.every((one) => valueOf(one.configuration) !== undefined),
    );
    const same = { drifted: false, firstDifference: "", fenced: [] };
    t.same(
      view.routers.map((one) => valueOf(one.configuration)),
      [same, same],
    );
  });

  for (const fault of [...postgresFaults, ...routingFaults]) {
    await t.test(fault.name, async (t) => causeAndMend(t, hands, fault));
  }

  await t.test("a login with pg_monitor alone sees all but the data directory", async (t) => {
    await hands.dal.query("CREATE ROLE watcher LOGIN PASSWORD 'watching' IN ROLE pg_monitor");
    const [member] = lab.environment.members;
    if (member === undefined) throw new Error("no member");
    const login = { ...lab.environment.login, user: "watcher", password: new Secret("watching") };
    const facts = await observePostgres(member, login, { deadlineMs: 5000 });
    t.match(facts, { role: "primary", armed: null, dataFileSystem: null, timeline: 1 });
    t.equal(facts.slots.length, 1);
  });

  await t.test("a stopped primary: clients wait, nobody takes writes", async (t) => {
    await lab.run("stop", "dal-01/postgres");
    await untilSeen(lab.environment, "no router passes writes", ({ view }) =>
      view.routers.every((one) => one.sendsWritesTo.length === 0),
    );
    await untilFound(lab, ["no-primary", "member-unreachable"]);
    const first = /^DEGRADED {2}no member is known to take writes/;
    const { lines } = await untilShown(lab, 1, (screen) => first.test(screen.lines[0] ?? ""));
    t.ok(lines.some((line) => line.includes("connection refused")));
    // A client that comes now is held by the router until the primary is back: for the 20 s of its
    // queue at most, so that nothing else is looked at meanwhile.
    const client = lab.client(lab.json.write, { config: { connectionTimeoutMillis: 60_000 } });
    const waiting = client.connect();
    waiting.catch(() => undefined);
    await untilFound(lab, ["clients-queued"]);
    await lab.run("start", "dal-01/postgres");
    await waiting;
    const [router] = (await untilFound(lab, [])).view.routers;
    const { version = "" } = (router && valueOf(router.runtime)) ?? {};
    if (isAtLeast(version, "3.0")) return;
    // HAProxy 2.6 does not end this session, since it came out of the queue.
    await lab.run("stop", "dal-01/postgres");
    await untilFound(lab, ["sessions-on-down-server"]);
    await client.end();
    await lab.run("start", "dal-01/postgres");
    await untilFound(lab, []);
  });

  await t.test("a frozen host costs one deadline, not one for each part", async (t) => {
    await lab.run("freeze", "chi-02");
    const { view, verdict } = await untilSeen(
      lab.environment,
      "a frozen host beside a primary",
      (seen) => seen.view.members.map((one) => one.role).join(" ") === "primary unknown",
    );
    t.equal(verdict.level, "degraded");
    const frozen = view.members.filter((one) => one.name === "chi-02");
    const waited = frozen
      .flatMap(({ postgres, health, pooler }) => [postgres, health, pooler])
      .map((one) => {
        t.equal(one.state, "unreachable");
        return one.tookMs;
      });
    t.equal(waited.length, 3);
    t.ok(view.tookMs < waited.reduce((sum, one) => sum + one, 0), "side by side");
    await untilShown(lab, 1);
    await lab.run("freeze", "dal-01");
    const nobody = await topology(lab, "--json");
    t.equal(nobody.code, 69);
    t.match(JSON.parse(nobody.stdout), { verdict: { level: "unreachable", exitCode: 69 } });
    const screen = await untilShown(lab, 69);
    t.match(screen.lines[0], /^UNREACHABLE/);
    t.ok(screen.lines.every((line) => line.length <= 100));
    await lab.run("thaw", "dal-01");
    await lab.run("thaw", "chi-02");
    await untilFound(lab, []);
  });

  await t.test("a watch shows one look after the other, and Ctrl-C ends it well", async (t) => {
    const words = [lab.name, "topology", "--watch", "--interval", "500ms", "--json"];
    const child = spawn(inCheckout("bin/recovery"), words, {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.teardown(() => child.kill("SIGKILL"));
    const ended = once(child, "exit");
    const looks: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      looks.push((JSON.parse(line) as { observedAt: string }).observedAt);
      if (looks.length === 2) child.kill("SIGINT");
    }
    t.same(await ended, [0, null]);
    t.equal(new Set(looks).size, looks.length);
  });

  await t.test("no secret is shown", async (t) => {
    const { stdout } = await topology(lab, "--json");
    const { password, superuser } = lab.json;
    for (const secret of [password, superuser.password]) t.notOk(stdout.includes(secret));
  });

  await t.test("a setting that waits for a restart is a note", async (t) => {
    const { dal } = await handsOn(lab);
    await dal.query("ALTER SYSTEM SET max_connections = 300");
    await dal.query("SELECT pg_reload_conf()");
    await untilFound(lab, ["restart-pending"]);
    t.equal((await untilShown(lab, 0)).code, 0);
  });

  await t.test("a standby promoted beside its primary is a split brain", async (t) => {
    await hands.chi.query("SELECT pg_promote()");
    await untilFound(lab, ["split-brain", "peer-fenced"]);
    const first = /^UNSAFE {2}2 members take writes: dal-01, chi-02/;
    const { lines } = await untilShown(lab, 2, (screen) => first.test(screen.lines[0] ?? ""));
    t.ok(lines.every((line) => line.length <= 100));
    // What the old primary writes now is on no other member.
    const { dal } = await handsOn(lab);
    await dal.query("SELECT pg_logical_emit_message(true, 'test', 'lost')");
    const { findings } = await untilFound(lab, ["split-brain", "timeline-diverged"]);
    t.match(
      findings.find((one) => one.code === "timeline-diverged"),
      {
        part: "dal-01",
        says: /^timeline 1, but chi-02 is on 2 since 0\/[0-9A-F]+; it went on to 0\/[0-9A-F]+$/,
      },
    );
  });
});
