/** What must hold of the view and the verdict whatever was observed: tables and a seeded search. */
import { randomInt } from "node:crypto";
import t from "tap";
import { parseLsn } from "../../../kit/lsn.ts";
import { findingsOf } from "../../../router/cluster/findings.ts";
import { verdictOf } from "../../../router/cluster/verdict.ts";
import type { ClusterView } from "../../../router/cluster/view.ts";
import { answerWords } from "../../../sidecars/pg-health/contract.ts";
import { facts, healthyWorld, partsOf, unreachable, viewOf } from "../../support/cluster-world.ts";
import type { Loose, World } from "../../support/cluster-world.ts";
import type { PostgresFacts } from "../../../router/postgres/facts.ts";

/** mulberry32: a small generator with a seed, so that a failure can be repeated. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

const names = ["dal-01", "chi-02"] as const;

function randomWorld(next: () => number): World {
  const world = healthyWorld();
  const parts = partsOf(world);
  const chance = (share: number): boolean => next() < share;
  const share = chance(0.05) ? 1 : 0.3;
  for (const name of names) {
    const member = parts.member(name);
    const seen = facts(chance(0.5) ? "primary" : "standby") as Loose<PostgresFacts>;
    seen.timeline = 1 + Math.floor(next() * 3);
    seen.readOnly = chance(0.2);
    seen.armed = chance(0.2);
    if (seen.replayLsn !== null && chance(0.5)) seen.replayLsn = parseLsn("0/6000000");
    if (chance(0.2)) seen.systemIdentifier = "7000000000000000002";
    member.postgres = { state: "known", tookMs: 5, value: seen };
    const status = parts.health(name);
    status.answer = answerWords[Math.floor(next() * answerWords.length)] ?? "unreachable";
    status.slow = chance(0.2);
    status.probeAgeMs = chance(0.3) ? 5000 : 100;
    status.link = chance(0.7) ? "up" : "silent";
    if (status.postgres !== null) status.postgres.role = chance(0.5) ? "primary" : "standby";
    if (chance(share)) member.postgres = unreachable("Postgres: connection refused");
    if (chance(share)) member.health = unreachable("pg-health: connection refused");
    if (chance(share)) member.pooler = unreachable("PgBouncer: connection refused");
  }
  for (const router of world.observation.routers) {
    if (router.runtime.state === "known") {
      for (const server of router.runtime.value.servers) {
        Object.assign(
          server,
          chance(0.5) ? { state: "up", status: "UP" } : { state: "down", status: "DOWN" },
        );
      }
    }
    if (chance(0.2)) router.runtime = unreachable("no such socket");
    if (chance(0.2)) router.configuration = unreachable("permission denied");
  }
  return world;
}

const rules: Readonly<Record<string, (view: ClusterView) => boolean>> = {
  "a member that cannot be asked is never a standby": (view) =>
    view.members.every((one) => one.postgres.state === "known" || one.role !== "standby"),
  "an unknown role is neither writable nor not": (view) =>
    view.members.every((one) => (one.role === "unknown") === (one.writable === null)),
  "two that take writes are unsafe": (view) =>
    view.writable.length < 2 || verdict(view).level === "unsafe",
  "unsafe has one of two reasons": (view) =>
    verdict(view).level !== "unsafe" ||
    view.writable.length > 1 ||
    view.routers.some((router) =>
      router.sendsWritesTo.some((name) =>
        view.members.some((one) => one.name === name && one.role === "standby"),
      ),
    ),
  "well is only what has one primary and no silent part": (view) =>
    verdict(view).level !== "healthy" ||
    (view.writable.length === 1 &&
      view.members.every((one) => one.postgres.state === "known" && one.health.state === "known")),
  "a router alone on a standby is unsafe": (view) =>
    view.routers.every((router) => {
      const [only, ...more] = router.sendsWritesTo;
      const role = view.members.find((one) => one.name === only)?.role;
      return more.length > 0 || role !== "standby" || verdict(view).level === "unsafe";
    }),
  "nothing reached is unreachable, and only that": (view) =>
    (verdict(view).level === "unreachable") === view.members.every((one) => !one.reached),
  "lag is never negative": (view) => view.members.every((one) => (one.lagBytes ?? 0) >= 0),
  "what is not well has a reason": (view) =>
    (verdict(view).level === "healthy") === (verdict(view).reasons.length === 0),
};

function verdict(view: ClusterView) {
  return verdictOf(view, findingsOf(view));
}

t.test("properties of 3000 random observations", async (t) => {
  const seed = Number(process.env["SWITCHYARD_TEST_SEED"] ?? randomInt(2 ** 31));
  t.comment(`seed ${seed}: SWITCHYARD_TEST_SEED=${seed} repeats it`);
  const next = random(seed);
  const seen = new Set<string>();
  const broken = new Set<string>();
  for (let round = 0; round < 3000; round += 1) {
    const view = viewOf(randomWorld(next));
    seen.add(verdict(view).level);
    for (const [name, holds] of Object.entries(rules)) {
      if (!holds(view)) broken.add(`${name} (round ${round})`);
    }
  }
  t.same([...broken], [], `seed ${seed}`);
  for (const level of ["unsafe", "degraded", "unreachable"]) t.ok(seen.has(level), level);
});

t.test("notes alone leave a cluster healthy", async (t) => {
  const world = healthyWorld();
  partsOf(world).postgres("chi-02").pendingRestart = ["shared_buffers"];
  const view = viewOf(world);
  t.same(
    findingsOf(view).map((one) => one.severity),
    ["note"],
  );
  t.equal(verdict(view).level, "healthy");
});

t.test(
  "pg-health is believed about a primary that lets nobody in, and only while it is fresh",
  async (t) => {
    const rows = [
      { name: "fresh", change: {}, role: "primary" },
      { name: "old", change: { probeAgeMs: 1500 }, role: "unknown" },
      { name: "never", change: { probeAgeMs: null }, role: "unknown" },
      { name: "slow", change: { slow: true }, role: "unknown" },
      { name: "silent", change: { link: "silent" }, role: "unknown" },
    ] as const;
    for (const { name, change, role } of rows) {
      const world = healthyWorld();
      const parts = partsOf(world);
      parts.member("dal-01").postgres = unreachable("sorry, too many clients already");
      Object.assign(parts.health("dal-01"), change);
      t.equal(viewOf(world).members[0]?.role, role, name);
    }
  },
);

t.test("of several primaries the one on the newest timeline is the reference", async (t) => {
  const world = healthyWorld();
  const parts = partsOf(world);
  parts.member("chi-02").postgres = {
    state: "known",
    tookMs: 5,
    value: { ...facts("primary"), timeline: 3 } as Loose<PostgresFacts>,
  };
  const view = viewOf(world);
  t.equal(view.primary?.name, "chi-02");
  t.same(view.writable, ["dal-01", "chi-02"]);
});

t.test("lag is what the primary wrote and the standby has not replayed", async (t) => {
  const world = healthyWorld();
  partsOf(world).postgres("chi-02").replayLsn = parseLsn("0/4FFFF00");
  t.equal(viewOf(world).members[1]?.lagBytes, 256);
  partsOf(world).member("dal-01").postgres = unreachable("no answer");
  t.equal(viewOf(world).members[1]?.lagBytes, null);
});
