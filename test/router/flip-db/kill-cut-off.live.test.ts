/**
 * Two app hosts, one of them cut off: a flip refuses and names the risk; accepted, it goes on
 * without that host, also over the death of its executor, and the host finds its way by itself.
 * SWITCHYARD_TEST_FULL=1 has it away in more ways.
 */
import t from "tap";
import type { Test } from "tap";
import { eventually } from "../../../kit/clock.ts";
import { lookAtCluster } from "../../../router/cluster/observe.ts";
import { labApp } from "../../support/flip-run.ts";
import type { LabApp } from "../../support/flip-run.ts";
import { endFlip, isWhole, killedFlip } from "./kill-stage.ts";
import { startProber } from "./kill-prober.ts";
import { handsOn, other, provesLossless, provesUnharmed } from "./pitfall-hands.ts";

const soon = { deadlineMs: 30_000, intervalMs: 100 };
const risks = ["routers", "edge-poolers"];
const { SWITCHYARD_TEST_FULL: full } = process.env;
const accepted = risks.map((one) => `--accept-risk=${one}`);
const lost = "app-02";
const ends = ["dal-01", "chi-02", "app-01"] as const;

const hands = await handsOn(t, { appHosts: 2 });
const { lab, ended, primary } = hands;
const prober = await startProber(t, lab);

async function isBlind(): Promise<void> {
  await eventually(`${lost} sees no member`, soon, async () => {
    const { view } = await lookAtCluster(lab.environment);
    const router = view.routers.find((one) => one.name === lost);
    return router?.write.every((one) => one.state === "down") === true ? true : undefined;
  });
}

/** How the host may be away: nothing of it answers, or it answers and sees nothing. */
const absences = {
  silent: {
    leave: async () => {
      for (const end of ends) await lab.run("cut", lost, end);
      await lab.run("freeze", lost);
    },
    back: async () => {
      await lab.run("thaw", lost);
      for (const end of ends) await lab.run("heal", lost, end);
    },
    leftOut: [/^router app-02 was cut off/, /^gate app-02-edge was cut off/],
  },
  blind: {
    leave: async () => {
      for (const end of ends) await lab.run("cut", lost, end);
      await isBlind();
    },
    back: async () => {
      for (const end of ends) await lab.run("heal", lost, end);
    },
    leftOut: [/^router app-02 was cut off/],
  },
} as const;

/** An app behind the host that was away: it comes to the new primary with no command. */
async function appThere(t: Pick<Test, "teardown">): Promise<LabApp> {
  const edge = lab.json.appHosts.find((one) => one.name === lost)?.edge ?? lab.json.edge;
  // What it had open led to the old primary, and is closed by its router's own checks.
  return await eventually(`an app on ${lost}`, soon, () => labApp(t, lab, edge, 2));
}

const shown = full === "1" ? (["silent", "blind"] as const) : (["silent"] as const);

for (const how of shown) {
  const { leave, back, leftOut } = absences[how];
  t.test(
    `an app host is ${how}: refused, and with the risk accepted done without it`,
    async (t) => {
      prober.begin();
      const from = await primary();
      const app = await hands.app(t);
      await leave();

      const refused = await ended(t, 3, "flip-db", "--yes");
      t.match(refused.notes(), /router app-02 does not answer|H12-routers: app-02 sees no member/);
      t.match(refused.notes(), /--accept-risk=routers/);
      t.equal(await primary(), from);

      const flip = await ended(t, 0, "flip-db", "--yes", "--json", ...accepted);
      const report = flip.report();
      t.match(report, { result: "done", mode: "seamless", rejoined: true });
      t.same(
        report.problems.map((one) => one.step),
        leftOut.map(() => "left-out"),
      );
      for (const [index, words] of leftOut.entries())
        t.match(report.problems[index]?.reason, words);
      t.equal(await primary(), other(from));
      await app.progress(20);
      await provesUnharmed(t, app);

      await back();
      await isWhole(hands, []);
      const there = await appThere(t);
      await isWhole(hands, [there]);
      await provesLossless(t, there);
      await prober.proves(t);
    },
  );
}

const kills = [
  { step: "promote", ending: "resume" },
  { step: "divert", ending: "abort" },
] as const;

for (const { step, ending } of full === "1" ? kills : kills.slice(0, 1)) {
  t.test(`without one app host, killed during ${step}, then --${ending}`, async (t) => {
    prober.begin();
    const from = await primary();
    const app = await hands.app(t);
    await absences.silent.leave();
    await killedFlip(t, hands, { mode: "seamless", step, moment: "during", delayMs: 1 }, risks);
    await endFlip(t, hands, { ending, elsewhere: true });
    t.equal(await primary(), ending === "abort" ? from : other(from));
    await app.progress(20);
    await absences.silent.back();
    await isWhole(hands, [app]);
    await provesLossless(t, app);
    await prober.proves(t);
  });
}
