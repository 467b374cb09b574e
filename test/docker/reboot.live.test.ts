/**
 * The host of a whole cluster loses its power in the middle of a flip: engine and containers are
 * killed at once, and start again as their restart policies say. It happens on an engine of the
 * test's own, in namespaces of this machine. Never do two members take writes, no row that the app
 * was told of is lost, and --resume or --abort ends the flip.
 */
import t from "tap";
import type { Test } from "tap";
import { ownVersion } from "../../kit/checkout.ts";
import { runChild } from "../../kit/child.ts";
import { eventually } from "../../kit/clock.ts";
import { startProber } from "../router/flip-db/kill-prober.ts";
import { endFlip, isWhole, startDoomed } from "../router/flip-db/kill-stage.ts";
import type { Cell, Stage } from "../router/flip-db/kill-stage.ts";
import { handsOn, provesLossless } from "../router/flip-db/pitfall-hands.ts";
import { engineHere } from "../support/containers.ts";
import { startPrivateEngine, whyNoPrivateEngine } from "../support/private-engine.ts";
import type { PrivateEngine } from "../support/private-engine.ts";

const soon = { deadlineMs: 60_000, intervalMs: 100 };

const version = await ownVersion();
/** All that bin/setup --docker looks for, so that it has nothing to bring there. */
const images = [
  "debian:trixie-slim",
  ...["base", "postgres", "pgbouncer", "haproxy", "runtime", "switchyard"].map(
    (name) => `switchyard/${name}:${version}`,
  ),
];

/**
 * Where the power fails, whether the tool, which is elsewhere, lives on, and the members' restart
 * policy: with `always` the old primary comes back by itself although it was stopped by hand.
 */
const places = [
  { step: "arm", toolLives: false, policy: "unless-stopped" },
  { step: "stop", toolLives: true, policy: "unless-stopped" },
  { step: "promote", toolLives: false, policy: "always" },
] as const;

async function whyNot(): Promise<string | false> {
  const engine = await engineHere();
  if (typeof engine === "string") return engine;
  const missing: string[] = [];
  for (const image of images) if ((await engine.findImage(image)) === null) missing.push(image);
  engine.close();
  if (missing.length > 0) return `there is no ${missing.join(", ")}: bin/setup --docker`;
  return (await whyNoPrivateEngine()) ?? false;
}

interface Scene extends Stage {
  readonly host: PrivateEngine;
}

async function failAndEnd(
  t: Test,
  { hands, prober, host }: Scene,
  { step, toolLives, policy }: (typeof places)[number],
): Promise<void> {
  prober.begin();
  const app = await hands.app(t);
  const cell: Cell = {
    ...({ mode: "seamless", moment: "after", delayMs: 0, elsewhere: false } as const),
    ...({ step, ending: "resume" } as const),
  };
  const containers = hands.lab.environment.members.map(({ control }) => control?.container ?? "");
  await runChild("docker", ["-H", host.url, "update", `--restart=${policy}`, ...containers], {
    deadlineMs: 20_000,
  });
  const flip = startDoomed(t, hands, { ...cell, signal: toolLives ? "SIGSTOP" : "SIGKILL" });
  const isPast = new RegExp(`^${step} done`, "m");
  await eventually(`the flip is past ${step}`, soon, () => {
    if (flip.child.exitCode !== null) throw new Error(`it ended before: ${flip.said()}`);
    return isPast.test(flip.said()) ? true : undefined;
  });
  await host.crash();
  if (toolLives) flip.child.kill("SIGCONT");
  await host.start();
  await flip.ended;
  await eventually("the members answer again", soon, async () => {
    const roles = hands.lab.json.members.map(({ name }) =>
      hands.sql(name, "SELECT pg_is_in_recovery() AS standby").catch(() => undefined),
    );
    return (await Promise.all(roles)).some((row) => row !== undefined) ? true : undefined;
  });
  await endFlip(t, hands, cell);
  await isWhole(hands, [app]);
  await provesLossless(t, app);
  await prober.proves(t);
}

t.test("a host reboots in the middle of a flip", { skip: await whyNot() }, async (t) => {
  const from = process.env["DOCKER_HOST"] ?? "unix:///var/run/docker.sock";
  const host = await startPrivateEngine(t, from, images);
  const before = process.env["DOCKER_HOST"];
  process.env["DOCKER_HOST"] = host.url;
  t.teardown(() => {
    if (before === undefined) delete process.env["DOCKER_HOST"];
    else process.env["DOCKER_HOST"] = before;
  });
  const hands = await handsOn(t, { driver: "docker" });
  const prober = await startProber(t, hands.lab);
  for (const place of places) {
    const how = place.toolLives ? "the tool lives on" : "the tool dies with it";
    await t.test(`after ${place.step}; ${how}; restart policy ${place.policy}`, (t) =>
      failAndEnd(t, { hands, prober, host }, place),
    );
  }
});
