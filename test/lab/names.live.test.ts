/** A lab with names: a registry and a resolver on each host, over a pair and over a monitor. */
import { Client } from "pg";
import t from "tap";
import type { Test } from "tap";
import { loadEnvironment } from "../../config/load.ts";
import { eventually } from "../../kit/clock.ts";
import { changePrimary } from "../../lab/change-primary.ts";
import { readSecrets } from "../../lab/secrets.ts";
import { askName } from "../../sidecars/dns-resolver/client.ts";
import { stateOf } from "../support/lab-faults.ts";
import { withLab } from "../support/lab.ts";
import type { TestLab } from "../support/lab.ts";

const soon = { deadlineMs: 60_000, intervalMs: 50 };

/** What every resolver of the lab answers to a name, such as `app-01 127.10.0.1`. */
async function answers(lab: TestLab, role: string): Promise<string[]> {
  const name = `${role}.${lab.name}.temps.local`;
  return await Promise.all(
    lab.json.resolvers.map(async ({ name: host, dns: address }) => {
      const question = { address, name, type: "A", deadlineMs: 10_000 } as const;
      const { addresses } = await askName(question);
      return `${host} ${addresses.join(" ")}`;
    }),
  );
}

function want(lab: TestLab, member: string): string[] {
  const found = lab.json.members.find((one) => one.name === member);
  return lab.json.resolvers.map(({ name }) => `${name} ${found?.postgres.host}`);
}

/** Every resolver comes to answer with `member`, and with nobody else. */
async function moves(lab: TestLab, member: string): Promise<void> {
  await eventually(`names move to ${member}`, soon, async () => {
    const said = await answers(lab, "primary");
    return said.join() === want(lab, member).join() ? true : undefined;
  });
}

async function answersFrom(t: Test, lab: TestLab, primary: string, standby: string): Promise<void> {
  t.strictSame(await answers(lab, "primary"), want(lab, primary));
  t.strictSame(await answers(lab, "replica"), want(lab, standby));
}

t.test("names of a pair", async (t) => {
  const lab = await withLab(t, { names: true });
  t.strictSame(
    lab.json.resolvers.map(({ name }) => name),
    ["dal-01", "chi-02", "app-01"],
  );
  await answersFrom(t, lab, "dal-01", "chi-02");
  const { registry } = await loadEnvironment(lab.name, { folder: lab.configFolder });
  t.equal(registry?.resolvers.length, 3);
  t.not(registry?.token.reveal(), "");

  await t.test("without the registry nothing changes, also for one that starts anew", async (t) => {
    await lab.run("kill", "ctl-01/registry");
    t.equal(await stateOf(lab, "ctl-01/registry"), "crashed");
    await lab.run("kill", "app-01/resolver");
    await lab.run("start", "app-01/resolver");
    await moves(lab, "dal-01");
    await answersFrom(t, lab, "dal-01", "chi-02");
    await lab.run("start", "ctl-01/registry");
  });

  await t.test("after a change of primary they follow", async (t) => {
    const { signal } = new AbortController();
    const change = await changePrimary(lab.place, lab.name, { note: () => undefined, signal });
    t.equal(change.to, "chi-02");
    await moves(lab, "chi-02");
  });
});

t.test("names of a cluster that pg_auto_failover runs", async (t) => {
  const lab = await withLab(t, { cluster: "pg_auto_failover", memberCount: 3, names: true });
  t.strictSame(await answers(lab, "primary"), want(lab, "dal-01"));
  const { monitor } = await readSecrets(lab.model.folder);
  const client = new Client({
    ...lab.json.monitor?.address,
    ...{ user: "autoctl_node", password: monitor.reveal(), database: "pg_auto_failover" },
    query_timeout: 10_000,
  });
  t.teardown(() => client.end());
  await client.connect();
  await client.query("SELECT pgautofailover.perform_promotion('default', 'chi-02')");
  await moves(lab, "chi-02");
});
