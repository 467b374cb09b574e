/** A failover where nothing else ever was done: there is no journal in the cluster yet. */
import t from "tap";
import { makePatient, withLab } from "../../support/lab.ts";
import { startRecovery } from "../../support/recovery-process.ts";

t.test("the first operation of a cluster is a failover", async (t) => {
  const lab = await withLab(t, { appHosts: 1 });
  await makePatient(lab);
  const recovery = (...words: string[]) =>
    startRecovery(t, [lab.name, ...words], { stateHome: t.testdir() });
  await lab.run("kill", "dal-01/postgres");
  const failover = recovery("failover", "--yes", "--dead=dal-01", "--json");
  t.equal(await failover.end(), 0, failover.out() + failover.notes());
  t.match(failover.report(), { kind: "failover", result: "done", to: "chi-02" });
  const client = await lab.connect(lab.json.write);
  const { rows } = await client.query<{ standby: boolean }>(
    "SELECT pg_is_in_recovery() AS standby",
  );
  t.same(rows, [{ standby: false }], "writes go on through the router");
  const admin = await lab.connect(lab.model.members[1]?.postgres ?? lab.json.write, {
    as: "superuser",
    database: "postgres",
  });
  const { rowCount } = await admin.query("SELECT FROM switchyard.heartbeat");
  t.equal(rowCount, 1, "the new primary has the journal");
});
