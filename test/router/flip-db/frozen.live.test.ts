/**
 * Flips whose executor is frozen in the middle and goes on later, when the cluster is another one:
 * the old primary was restarted meanwhile, or another host has taken over.
 */
import t from "tap";
import { eventually } from "../../../kit/clock.ts";
import { frozenFlip } from "./frozen-flip.ts";
import { startProber } from "./kill-prober.ts";
import { endFlip, isWhole } from "./kill-stage.ts";
import { handsOn, other, provesLossless, soon } from "./pitfall-hands.ts";

const hands = await handsOn(t);
const { lab, sql, primary } = hands;
const prober = await startProber(t, lab);

/** Ends the sessions that hold the cluster's lock for a flip, as a broken network does. */
async function takeLockAway(member: string): Promise<void> {
  await sql(
    member,
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'switchyard flip %'",
  );
}

/**
 * From now on `standby` gets nothing of what its primary writes. That one, restarted, follows it and
 * has more than it has, so that its shutdown would wait for that one.
 * @returns undoes it
 */
async function leaveBehind(standby: string): Promise<() => Promise<void>> {
  const [row] = await sql(standby, "SELECT current_setting('primary_conninfo') AS is");
  const was = `'${String(row?.["is"]).replaceAll("'", "''")}'`;
  await hands.set(standby, { primary_conninfo: "''" });
  await eventually(`${standby} receives no more`, soon, async () => {
    const receivers = await sql(standby, "SELECT pid FROM pg_stat_wal_receiver");
    return receivers.length === 0 ? true : undefined;
  });
  await sql(other(standby), "CREATE TABLE written_alone (id int)");
  return () => hands.set(standby, { primary_conninfo: was });
}

t.test("frozen in the hold while the armed primary is restarted: undone at once", async (t) => {
  prober.begin();
  const app = await hands.app(t);
  const from = await primary();
  const flip = await frozenFlip(t, hands, {
    ...({ mode: "seamless", step: "hold", moment: "after" } as const),
    delayMs: 0,
  });
  const catchUp = await leaveBehind(other(from));
  await lab.run("kill", `${from}/postgres`);
  await lab.run("start", `${from}/postgres`);
  t.same(await sql(from, "SELECT pg_is_in_recovery() AS standby"), [{ standby: true }]);
  const result = await flip.thaw();
  t.match(result, { kind: "ended", outcome: { result: "undone", left: [] } }, flip.said());
  t.equal(await primary(), from);
  await catchUp();
  await isWhole(hands, [app]);
  await provesLossless(t, app);
  await prober.proves(t);
});

t.test("frozen in the stop while another host aborts: it touches nothing more", async (t) => {
  prober.begin();
  const app = await hands.app(t);
  const from = await primary();
  const flip = await frozenFlip(t, hands, {
    ...({ mode: "seamless", step: "stop", moment: "during" } as const),
    delayMs: 5,
  });
  t.notMatch(flip.said(), /^stop done/m, "the stop is not confirmed");
  await takeLockAway(other(from));
  await takeLockAway(from).catch(() => undefined);
  await endFlip(t, hands, { ending: "abort", elsewhere: true });
  await isWhole(hands, [app]);
  const acts =
    "SELECT pg_postmaster_start_time()::text AS started, timeline_id FROM pg_control_checkpoint()";
  const before = [await sql(from, acts), await sql(other(from), acts)];
  const result = await flip.thaw();
  t.match(result, { kind: "ended", outcome: { failed: { step: "stop" } } }, flip.said());
  t.same([await sql(from, acts), await sql(other(from), acts)], before, "both run as they did");
  t.equal(await primary(), from);
  await isWhole(hands, [app]);
  await provesLossless(t, app);
  await prober.proves(t);
});
