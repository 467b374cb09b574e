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
import { Secret } from "../../../config/secret.ts";
import { runChild } from "../../../kit/child.ts";
import { eventually } from "../../../kit/clock.ts";
import type { FindingCode } from "../../../router/cluster/findings.ts";
import { lookAtCluster } from "../../../router/cluster/observe.ts";
import { valueOf } from "../../../router/cluster/view.ts";
import { isAtLeast } from "../../../router/haproxy/runtime/info.ts";
import { observePostgres } from "../../../router/postgres/observe.ts";
import { inCheckout } from "../../../kit/checkout.ts";
import { withLab } from "../../support/lab.ts";
import type { TestLab } from "../../support/lab.ts";
import { postgresFaults, routingFaults } from "./lab-faults.ts";
import type { Hands, LabFault } from "./lab-faults.ts";

const look = (lab: TestLab) => lookAtCluster(lab.environment);

async function topology(lab: TestLab, ...words: string[]) {
  const result = await runChild(inCheckout("bin/recovery"), [lab.name, "topology", ...words], {
    deadlineMs: 20_000,
    accept: [0, 1, 2, 69],
  });
  return { ...result, lines: result.stdout.trimEnd().split("\n") };
}

/** Waits until all of `codes` are found, or none at all when there are no codes. */
async function untilFound(lab: TestLab, codes: readonly FindingCode[]): Promise<void> {
  const seen: { codes: readonly string[] } = { codes: [] };
  await eventually(
    codes.length === 0 ? "a healthy lab" : codes.join(", "),
    { deadlineMs: 20_000, intervalMs: 100 },
    async () => {
      seen.codes = (await look(lab)).findings.map((one) => one.code);
      const right =
        codes.length === 0
          ? seen.codes.length === 0
          : codes.every((one) => seen.codes.includes(one));
      return right ? true : undefined;
    },
  ).catch((error: unknown) => {
    throw new Error(`last seen: ${seen.codes.join(", ")}`, { cause: error });
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
    const { code, stdout } = await topology(lab, "--json");
    t.equal(code, fault.exitCode, "exit code");
    const { findings } = JSON.parse(stdout) as { findings: { code: string }[] };
    const codes = findings.map((one) => one.code);
    for (const wanted of fault.codes) t.ok(codes.includes(wanted), wanted);
  } finally {
    await mend();
  }
  await untilFound(lab, []);
}

t.test("a lab with two app hosts", async (t) => {
  const lab = await withLab(t, { appHosts: 2, archiveCommand: "/bin/true" });
  const hands = await handsOn(lab);

  await t.test("is healthy", async (t) => {
    const { view, findings } = await look(lab);
    t.same(findings, []);
    t.equal(view.primary?.name, "dal-01");
    t.equal(view.members[1]?.upstream, "dal-01");
    t.same(
      view.routers.map((one) => one.sendsWritesTo),
      [["dal-01"], ["dal-01"]],
    );
    const screen = await topology(lab);
    t.equal(screen.code, 0);
    t.match(screen.lines[0], /^HEALTHY {2}dal-01 takes writes; chi-02 streams$/);
    t.ok(screen.lines.every((line) => line.length <= 100));
  });

  await t.test("a file that is reached by programs is compared as well", async (t) => {
    const routers = lab.environment.routers.map((one) => {
      const { path } = one.configuration;
      return { ...one, configuration: { ...one.configuration, read: ["cat", path] } };
    });
    const { view } = await lookAtCluster({ ...lab.environment, routers });
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
    await eventually(
      "no router passes writes",
      { deadlineMs: 20_000, intervalMs: 100 },
      async () => {
        const { view } = await look(lab);
        return view.routers.every((one) => one.sendsWritesTo.length === 0) ? true : undefined;
      },
    );
    // A client that comes now is held by the router until the primary is back.
    const client = lab.client(lab.json.write);
    const waiting = client.connect();
    await untilFound(lab, ["no-primary", "member-unreachable", "clients-queued"]);
    const { code, lines } = await topology(lab);
    t.equal(code, 1);
    t.match(lines[0], /^DEGRADED {2}no member is known to take writes/);
    t.ok(lines.some((line) => line.includes("connection refused")));
    await lab.run("start", "dal-01/postgres");
    await waiting;
    await untilFound(lab, []);
    const [router] = (await look(lab)).view.routers;
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
    const { view, verdict } = await look(lab);
    t.equal(verdict.level, "degraded");
    t.equal(view.members[1]?.role, "unknown");
    const frozen = view.members.filter((one) => one.name === "chi-02");
    const waited = frozen
      .flatMap(({ postgres, health, pooler }) => [postgres, health, pooler])
      .map((one) => {
        t.equal(one.state, "unreachable");
        return one.tookMs;
      });
    t.equal(waited.length, 3);
    t.ok(view.tookMs < waited.reduce((sum, one) => sum + one, 0), "side by side");
    t.equal((await topology(lab)).code, 1);
    await lab.run("freeze", "dal-01");
    const nobody = await topology(lab, "--json");
    t.equal(nobody.code, 69);
    t.match(JSON.parse(nobody.stdout), { verdict: { level: "unreachable", exitCode: 69 } });
    const screen = await topology(lab);
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
    t.equal((await topology(lab)).code, 0);
  });

  await t.test("a standby promoted beside its primary is a split brain", async (t) => {
    await hands.chi.query("SELECT pg_promote()");
    await untilFound(lab, ["split-brain", "peer-fenced"]);
    const { code, lines } = await topology(lab);
    t.equal(code, 2);
    t.match(lines[0], /^UNSAFE {2}2 members take writes: dal-01, chi-02/);
    t.ok(lines.every((line) => line.length <= 100));
    // What the old primary writes now is on no other member.
    const { dal } = await handsOn(lab);
    await dal.query("SELECT pg_logical_emit_message(true, 'test', 'lost')");
    await untilFound(lab, ["split-brain", "timeline-diverged"]);
    const { findings } = await look(lab);
    t.match(
      findings.find((one) => one.code === "timeline-diverged"),
      {
        part: "dal-01",
        says: /^timeline 1, but chi-02 is on 2 since 0\/[0-9A-F]+; it went on to 0\/[0-9A-F]+$/,
      },
    );
  });
});
