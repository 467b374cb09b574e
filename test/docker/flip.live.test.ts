/** Flips of a lab of containers: what every lab has to do, through the engine. */
import t from "tap";
import { flipsFast, flipsSeamlessly } from "../router/flip-db/flip-scenes.ts";
import { flipsWithout } from "../router/flip-db/cut-off-scenes.ts";
import { startProber } from "../router/flip-db/kill-prober.ts";
import { handsOn } from "../router/flip-db/pitfall-hands.ts";
import { engineHere } from "../support/containers.ts";

const engine = await engineHere();
const skip = typeof engine === "string" ? engine : false;
if (typeof engine !== "string") engine.close();
const mayCut = process.getuid?.() === 0 ? skip : "only root may drop packets";

t.test("seamless: there and back, two app hosts; slots keep no WAL", { skip }, (t) =>
  flipsSeamlessly(t, "docker"),
);

t.test("fast: sessions are closed once, and nobody is turned away", { skip }, (t) =>
  flipsFast(t, "docker"),
);

t.test("two app hosts, one of them cut off", { skip: mayCut }, async (t) => {
  const hands = await handsOn(t, { driver: "docker", appHosts: 2 });
  const prober = await startProber(t, hands.lab);
  await flipsWithout(t, { hands, prober }, "silent");
});
