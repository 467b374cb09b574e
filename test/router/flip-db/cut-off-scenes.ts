/**
 * Two app hosts, one of them cut off, on a lab of any driver: a flip refuses and names the risk;
 * accepted, it goes on without that host, also over the death of its executor, and the host finds
 * its way by itself.
 */
import type { Test } from "tap";
import { eventually } from "../../../kit/clock.ts";
import { lookAtCluster } from "../../../router/cluster/observe.ts";
import { labApp } from "../../support/flip-run.ts";
import type { LabApp } from "../../support/flip-run.ts";
import type { TestLab } from "../../support/lab.ts";
import { endFlip, isWhole, killedFlip } from "./kill-stage.ts";
import type { Stage } from "./kill-stage.ts";
import { other, provesLossless, provesUnharmed } from "./pitfall-hands.ts";

const soon = { deadlineMs: 30_000, intervalMs: 100 };
const risks = ["routers", "edge-poolers"];
const accepted = risks.map((one) => `--accept-risk=${one}`);
const lost = "app-02";
const ends = ["dal-01", "chi-02", "app-01"] as const;

async function isBlind(lab: TestLab): Promise<void> {
  await eventually(`${lost} sees no member`, soon, async () => {
    const { view } = await lookAtCluster(lab.environment);
    const router = view.routers.find((one) => one.name === lost);
    return router?.write.every((one) => one.state === "down") === true ? true : undefined;
  });
}

/** How the host may be away: nothing of it answers, or it answers and sees nothing. */
const absences = {
  silent: {
    leave: async (lab: TestLab) => {
      for (const end of ends) await lab.run("cut", lost, end);
      await lab.run("freeze", lost);
    },
    back: async (lab: TestLab) => {
      await lab.run("thaw", lost);
      for (const end of ends) await lab.run("heal", lost, end);
    },
    leftOut: [/^router app-02 was cut off/, /^gate app-02-edge was cut off/],
  },
  blind: {
    leave: async (lab: TestLab) => {
      for (const end of ends) await lab.run("cut", lost, end);
      await isBlind(lab);
    },
    back: async (lab: TestLab) => {
      for (const end of ends) await lab.run("heal", lost, end);
    },
    leftOut: [/^router app-02 was cut off/],
  },
} as const;

/** An app behind the host that was away: it comes to the new primary with no command. */
async function appThere(t: Pick<Test, "teardown">, lab: TestLab): Promise<LabApp> {
  const edge = lab.json.appHosts.find((one) => one.name === lost)?.edge ?? lab.json.edge;
  // What it had open led to the old primary, and is closed by its router's own checks.
  return await eventually(`an app on ${lost}`, soon, () => labApp(t, lab, edge, 2));
}

/** An app host is away: refused, and with the risk accepted done without it. */
export async function flipsWithout(
  t: Test,
  { hands, prober }: Stage,
  how: keyof typeof absences,
): Promise<void> {
  const { leave, back, leftOut } = absences[how];
  const { lab, ended, primary } = hands;
  prober.begin();
  const from = await primary();
  const app = await hands.app(t);
  await leave(lab);

  const refused = await ended(t, 3, "flip-db", "--yes");
  // On a busy machine another one may be silent, too, for a moment.
  t.match(refused.notes(), /routers? .*app-02.* not answer|H12-routers: app-02 sees no member/);
  t.match(refused.notes(), /--accept-risk=routers/);
  t.equal(await primary(), from);

  const flip = await ended(t, 0, "flip-db", "--yes", "--json", ...accepted);
  const report = flip.report();
  t.match(report, { result: "done", mode: "seamless", rejoined: true });
  t.same(
    report.problems.map((one) => one.step),
    leftOut.map(() => "left-out"),
  );
  for (const [index, words] of leftOut.entries()) t.match(report.problems[index]?.reason, words);
  t.equal(await primary(), other(from));
  await app.progress(20);
  await provesUnharmed(t, app);

  await back(lab);
  await isWhole(hands, []);
  const there = await appThere(t, lab);
  await isWhole(hands, [there]);
  await provesLossless(t, there);
  await prober.proves(t);
}

/** The same, and its executor dies during `step`; the flip is ended from another host. */
export async function diesWithout(
  t: Test,
  { hands, prober }: Stage,
  step: string,
  ending: "resume" | "abort",
): Promise<void> {
  const { lab, primary } = hands;
  prober.begin();
  const from = await primary();
  const app = await hands.app(t);
  await absences.silent.leave(lab);
  await killedFlip(t, hands, { mode: "seamless", step, moment: "during", delayMs: 1 }, risks);
  await endFlip(t, hands, { ending, elsewhere: true });
  t.equal(await primary(), ending === "abort" ? from : other(from));
  await app.progress(20);
  await absences.silent.back(lab);
  await isWhole(hands, [app]);
  await provesLossless(t, app);
  await prober.proves(t);
}
