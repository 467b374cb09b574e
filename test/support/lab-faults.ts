/**
 * Faults of a lab, as every driver has to make them: parts stopped, killed, frozen, and cut off from
 * each other. Each scene takes a lab that is whole, and leaves it so.
 */
import type { Client } from "pg";
import type { Test } from "tap";
import { eventually } from "../../kit/clock.ts";
import { chainName } from "../../lab/driver/packet-rules.ts";
import { eyesOn } from "./lab-eyes.ts";
import type { TestLab } from "./lab.ts";

const soon = { deadlineMs: 60_000, intervalMs: 50 };

/** The process by which a standby streams; none while it does not. */
const streamingReceiver = "SELECT pid FROM pg_stat_wal_receiver WHERE status = 'streaming'";

/** How a part is, as the lab says. */
export async function stateOf(lab: TestLab, part: string): Promise<string> {
  return (await lab.status()).find((one) => one.part === part)?.state ?? "no such part";
}

/** What pg-health of a member answers to GET /. */
async function healthOf(lab: TestLab, member: string): Promise<string> {
  const url = lab.json.members.find((one) => one.name === member)?.health ?? "";
  const response = await fetch(url).catch(() => undefined);
  return response === undefined
    ? "nothing"
    : `${response.status} ${(await response.text()).trim()}`;
}

/** The one value that an SQL expression has. */
export async function ask(client: Client, sql: string): Promise<string> {
  const { rows } = await client.query<{ value: string | null }>(`SELECT (${sql})::text AS value`);
  return rows[0]?.value ?? "null";
}

function memberOf(lab: TestLab, name: string): TestLab["json"]["members"][number] {
  const member = lab.json.members.find((one) => one.name === name);
  if (member === undefined) throw new TypeError(`the lab has no ${name}`);
  return member;
}

/** Stop, kill, start, freeze and thaw of parts. */
export async function breaksParts(t: Test, lab: TestLab): Promise<void> {
  const eyes = eyesOn(t, lab);

  await t.test("stop is clean, and start takes the data as it lies", async (t) => {
    const primary = await lab.connect(lab.json.write);
    await primary.query("CREATE TABLE kept AS SELECT 1 AS value");
    await lab.run("stop", "dal-01");
    for (const part of ["dal-01/postgres", "dal-01/pooler", "dal-01/health"]) {
      t.equal(await stateOf(lab, part), "stopped");
      t.equal(await eyes.count(part), 0);
    }
    await lab.run("stop", "dal-01/postgres");
    await lab.run("start", "dal-01");
    t.equal(await stateOf(lab, "dal-01/postgres"), "running");
    const again = await lab.connect(lab.json.write);
    t.equal(await ask(again, "SELECT value FROM kept"), "1");
    t.equal(await ask(again, "SELECT pg_is_in_recovery()"), "false", "it is still the primary");
  });

  await t.test("kill takes every process at once, and is told from a stop", async (t) => {
    t.ok((await eyes.count("chi-02/postgres")) > 3, "a Postgres is many processes");
    await lab.run("kill", "chi-02/postgres");
    t.equal(await eyes.count("chi-02/postgres"), 0);
    t.equal(await stateOf(lab, "chi-02/postgres"), "crashed");
    await lab.run("start", "chi-02/postgres");
    await eventually("chi-02 is a standby again", soon, async () =>
      (await healthOf(lab, "chi-02")) === "503 standby" ? true : undefined,
    );
  });

  await t.test("freeze holds every process, thaw lets it go on where it was", async (t) => {
    const client = await lab.connect(memberOf(lab, "chi-02").postgres);
    const backend = await ask(client, "SELECT pg_backend_pid()");
    await lab.run("freeze", "chi-02/postgres");
    t.equal(await stateOf(lab, "chi-02/postgres"), "frozen");
    const count = await eyes.count("chi-02/postgres");
    t.ok(count > 3);
    t.equal(await eyes.held("chi-02/postgres"), count);
    const answer = ask(client, "SELECT pg_backend_pid()");
    await t.rejects(lab.run("stop", "chi-02/postgres"), { code: "ERR_REFUSED", message: /thaw/ });
    await t.rejects(lab.run("start", "chi-02/postgres"), { code: "ERR_REFUSED", message: /thaw/ });
    await lab.run("thaw", "chi-02/postgres");
    t.equal(await answer, backend, "the question that was asked meanwhile is answered");
    t.equal(await stateOf(lab, "chi-02/postgres"), "running");
    await lab.run("freeze", "chi-02/postgres");
    await lab.run("kill", "chi-02/postgres");
    t.equal(await stateOf(lab, "chi-02/postgres"), "crashed", "what is frozen can be killed");
    await lab.run("start", "chi-02/postgres");
  });

  await t.test("a part that the lab does not have", async (t) => {
    await t.rejects(lab.run("stop", "dal-1/postgres"), {
      code: "ERR_LAB_UNKNOWN_PART",
      message: /did you mean dal-01\/postgres\? it has dal-01, chi-02, app-01, /,
    });
    await t.rejects(lab.run("cut", "dal-01", "dal-01/postgres"), {
      code: "ERR_LAB_UNKNOWN_PART",
      message: /never apart from itself/,
    });
  });
}

/** Cuts and their heals; for root alone. */
export async function cutsParts(t: Test, lab: TestLab): Promise<void> {
  await t.test("an established connection loses packets both ways, and then goes on", (t) =>
    losesPackets(t, lab),
  );
  await t.test("a statement on its way is neither answered nor failed until the heal", (t) =>
    waitsForTheHeal(t, lab),
  );
  await t.test("no new connection opens, in either direction", (t) => opensNothing(t, lab));
  await t.test("each heal undoes exactly its own cut", (t) => healsExactly(t, lab));
}

async function losesPackets(t: Test, lab: TestLab): Promise<void> {
  const eyes = eyesOn(t, lab);
  const primary = await lab.connect(memberOf(lab, "dal-01").postgres, { as: "superuser" });
  const standby = await lab.connect(memberOf(lab, "chi-02").postgres, { as: "superuser" });
  // A standby that was started a moment ago answers before it streams.
  const receiver = await eventually("the standby streams", soon, async () => {
    const pid = await ask(standby, streamingReceiver);
    const streams = "SELECT string_agg(state, ' ') FROM pg_stat_replication";
    return pid !== "null" && (await ask(primary, streams)) === "streaming" ? pid : undefined;
  });
  await lab.run("cut", "chi-02/postgres", "dal-01/postgres");
  await primary.query("CREATE TABLE sent AS SELECT 1 AS value");
  const target = await ask(primary, "SELECT pg_current_wal_lsn()");
  await eventually("packets of both ends are lost", soon, async () => {
    const lost = await eyes.lost("dal-01/postgres", "chi-02/postgres", "dal-01/postgres");
    return lost.from > 0 && lost.to > 0 ? true : undefined;
  });
  const received = `SELECT pg_last_wal_receive_lsn() < '${target}'`;
  t.equal(await ask(standby, received), "true", "nothing came through");
  t.equal(
    await ask(primary, "SELECT state FROM pg_stat_replication"),
    "streaming",
    "nothing was refused or closed",
  );
  await lab.run("heal", "dal-01/postgres", "chi-02/postgres");
  await eventually("the standby has it", soon, async () =>
    (await ask(standby, `SELECT pg_last_wal_replay_lsn() >= '${target}'`)) === "true"
      ? true
      : undefined,
  );
  t.equal(
    await ask(standby, streamingReceiver),
    receiver,
    "over the connection that was there before",
  );
}

async function waitsForTheHeal(t: Test, lab: TestLab): Promise<void> {
  const eyes = eyesOn(t, lab);
  const primary = await lab.connect(memberOf(lab, "dal-01").postgres, { as: "superuser" });
  // What is lost is sent again at ever longer intervals.
  const app = await lab.connect(lab.json.write, { config: { query_timeout: 60_000 } });
  t.equal(await ask(app, "SELECT 1"), "1");
  await lab.run("cut", "app-01/router", "dal-01/pooler");
  let settled = false;
  const answer = ask(app, "SELECT 2").finally(() => (settled = true));
  await eventually("its packet is lost", soon, async () => {
    const { to } = await eyes.lost("app-01/router", "dal-01/pooler", "dal-01/pooler");
    return to > 0 ? true : undefined;
  });
  t.notOk(settled);
  t.equal(await ask(primary, "SELECT 3"), "3", "others reach the node");
  t.match(await healthOf(lab, "dal-01"), /^200 primary/, "and its parts each other");
  await lab.run("heal", "dal-01/pooler", "app-01/router");
  t.equal(await answer, "2");
}

async function peersOf(lab: TestLab, member: string): Promise<string> {
  const status = (await (await fetch(`${memberOf(lab, member).health}/status`)).json()) as {
    peers: { state: string }[];
  };
  return status.peers.map((one) => one.state).join(" ");
}

async function opensNothing(t: Test, lab: TestLab): Promise<void> {
  const eyes = eyesOn(t, lab);
  const [one, other] = ["dal-01/health", "chi-02/health"] as const;
  const see = async (what: string, dal: string, chi: string): Promise<void> => {
    await eventually(what, soon, async () => {
      const both = [await peersOf(lab, "dal-01"), await peersOf(lab, "chi-02")];
      return both[0] === dal && both[1] === chi ? true : undefined;
    });
  };
  await see("both see each other", "standby", "primary");
  await lab.run("cut", one, other);
  await see("neither sees the other", "unreachable", "unreachable");
  for (const server of [one, other]) {
    t.ok((await eyes.lost(one, other, server)).to > 0, `packets to ${server} were lost`);
  }
  // A part that starts behind a cut is cut off as well.
  await lab.run("kill", other);
  await lab.run("start", other);
  await see("nor does one that was started anew", "unreachable", "unreachable");
  await lab.run("heal", one, other);
  await see("both see each other again", "standby", "primary");
}

async function healsExactly(t: Test, lab: TestLab): Promise<void> {
  const eyes = eyesOn(t, lab);
  const hosts = chainName("dal-01", "chi-02");
  const parts = chainName("app-01/router", "chi-02/health");
  await lab.run("cut", "dal-01", "chi-02");
  await lab.run("cut", "app-01/router", "chi-02/health");
  await lab.run("cut", "chi-02", "dal-01");
  t.strictSame((await eyes.cuts()).toSorted(), [hosts, parts].toSorted());
  await lab.run("heal", "chi-02", "dal-01");
  t.strictSame(await eyes.cuts(), [parts]);
  await lab.run("heal", "chi-02/health", "app-01/router");
  t.strictSame(await eyes.cuts(), []);
  await lab.run("heal", "chi-02/health", "app-01/router");
}
