/** Flips of a real cluster under an app that writes: what clients see, and what is left afterwards. */
import t from "tap";
import { eventually } from "../../../kit/clock.ts";
import { flipRunner } from "../../support/flip-run.ts";
import { withLab } from "../../support/lab.ts";
import {
  appsOn,
  endedWith,
  flipsFast,
  flipsSeamlessly,
  lockIsFree,
  soon,
  stateOf,
  unharmed,
} from "./flip-scenes.ts";

t.test("seamless: there and back, two app hosts; slots keep no WAL (pitfall 23)", (t) =>
  flipsSeamlessly(t, "process"),
);

t.test("what does not end in a flip leaves no trace", async (t) => {
  const lab = await withLab(t);
  const flip = await flipRunner(t, lab);

  await t.test("refused: the standby does not answer", async (t) => {
    await lab.run("stop", "chi-02/postgres");
    const done = await flip();
    t.match(done.result, { kind: "refused", why: /chi-02/ });
    t.strictSame(done.words, []);
    t.match(await stateOf(lab, "dal-01"), { signal: false, journal: false });
    await lab.run("start", "chi-02/postgres");
  });

  for (const step of ["record", "arm", "hold", "divert"]) {
    await t.test(`pitfall 4: aborted during ${step}`, async (t) => {
      await eventually("the standby streams", soon, async () => {
        const { slots } = await stateOf(lab, "dal-01");
        return slots.some(({ active }) => active) ? true : undefined;
      });
      const [app] = await appsOn(t, lab, 4);
      const controller = new AbortController();
      const done = await flip({
        signal: controller.signal,
        onEvent: (event) => {
          if (event.step === step && event.phase === "start") controller.abort(new Error("enough"));
        },
      });
      endedWith(t, done, "undone");
      t.notOk(done.words.includes("promote start"));
      await app?.progress(30);
      if (app !== undefined) unharmed(t, await app.end());
      t.match(await stateOf(lab, "dal-01"), { standby: false, signal: false, timeline: 1 });
      const { slots } = await stateOf(lab, "chi-02");
      t.strictSame(slots, [{ name: "dal_01", active: false, keeps: false }]);
      await lockIsFree(lab);
    });
  }

  await t.test("pitfall 4 and 29: the standby freezes once the old primary is armed", async (t) => {
    const [app] = await appsOn(t, lab, 4);
    const done = await flip({
      strike: { step: "hold", act: () => lab.run("freeze", "chi-02/postgres") },
    });
    t.notOk(done.words.includes("promote start"), "it was not promoted");
    await app?.progress(30);
    await lab.run("thaw", "chi-02/postgres");
    // What was said to it while it was frozen, it hears only now.
    await lockIsFree(lab);
    t.match(await stateOf(lab, "dal-01"), { standby: false, signal: false, timeline: 1 });
    const { result, operationId } = done;
    if (result.kind === "ended" && result.outcome.result === "stuck") {
      endedWith(t, await flip({ goal: "abort", operationId }), "undone");
    }
    if (app !== undefined) unharmed(t, await app.end());
    endedWith(t, await flip(), "done");
  });
});

t.test("fast: sessions are closed once, and nobody is turned away", (t) => flipsFast(t, "process"));
