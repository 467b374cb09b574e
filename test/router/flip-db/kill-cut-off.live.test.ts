/**
 * Two app hosts, one of them cut off: a flip goes on without it where that is accepted, also over
 * the death of its executor. SWITCHYARD_TEST_FULL=1 has it away in more ways.
 */
import t from "tap";
import { diesWithout, flipsWithout } from "./cut-off-scenes.ts";
import { startProber } from "./kill-prober.ts";
import { handsOn } from "./pitfall-hands.ts";

const { SWITCHYARD_TEST_FULL: full } = process.env;
const hands = await handsOn(t, { appHosts: 2 });
const prober = await startProber(t, hands.lab);

for (const how of full === "1" ? (["silent", "blind"] as const) : (["silent"] as const)) {
  t.test(`an app host is ${how}: refused, and with the risk accepted done without it`, (t) =>
    flipsWithout(t, { hands, prober }, how),
  );
}

const kills = [
  { step: "promote", ending: "resume" },
  { step: "divert", ending: "abort" },
] as const;

for (const { step, ending } of full === "1" ? kills : kills.slice(0, 1)) {
  t.test(`without one app host, killed during ${step}, then --${ending}`, (t) =>
    diesWithout(t, { hands, prober }, step, ending),
  );
}
