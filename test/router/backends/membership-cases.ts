/** What stands after answers and failures: the rules one by one, and what holds whatever comes. */
import type { Test } from "tap";
import { step } from "../../../router/backends/membership/membership.ts";
import { remembered, unknownYet } from "../../../router/backends/membership/membership-state.ts";
import type { Membership, Step } from "../../../router/backends/membership/membership-state.ts";
import type { Outcome } from "../../../router/backends/lookup/outcome.ts";
import { readTargetOptions } from "../../../router/backends/target-settings.ts";
import type { FailurePolicy, TargetOptions } from "../../../router/backends/target.ts";
import { chanceOf } from "../../sim/random.ts";
import { failed, found } from "./resolution-rig.ts";

type Given = Omit<TargetOptions, "port">;
const timeout: Outcome = {
  kind: "failed",
  failure: "timeout",
  code: "ETIMEOUT",
  message: "silence",
};
const [a, b, c, d] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"] as const;
const withoutSix = (outcome: Outcome): Outcome => ({ ...outcome, unknown: [6] }) as Outcome;
const nx = failed("nxdomain");
const empty = failed("empty");
const servfail = failed("servfail");

/** Outcomes one second apart, and what stands after each. */
const rows: readonly {
  readonly name: string;
  readonly given: Given;
  readonly after: readonly (readonly [Outcome, string])[];
}[] = [
  {
    name: "an answer replaces the set at once",
    given: {},
    after: [
      [found(a, b), `${a} ${b}`],
      [found(b, c), `${b} ${c}`],
    ],
  },
  {
    name: "every failure keeps what stands, for ever",
    given: {},
    after: [found(a), nx, empty, servfail, timeout, nx, nx].map((one) => [one, a] as const),
  },
  {
    name: "drop on NXDOMAIN, and nothing else",
    given: { onNxdomain: "drop" },
    after: [
      [found(a), a],
      [servfail, a],
      [empty, a],
      [nx, ""],
      [timeout, ""],
      [found(b), b],
    ],
  },
  {
    name: "drop after three of a kind, with others between",
    given: { onEmpty: { dropAfter: { times: 3 } } },
    after: [
      [found(a), a],
      [empty, a],
      [timeout, a],
      [empty, a],
      [empty, ""],
    ],
  },
  {
    name: "an answer begins the count anew",
    given: { onTimeout: { dropAfter: { times: 2 } } },
    after: [
      [found(a), a],
      [timeout, a],
      [found(a), a],
      [timeout, a],
      [timeout, ""],
    ],
  },
  {
    name: "drop after two seconds of a kind, by a failure of that kind only",
    given: { onServfail: { dropAfter: { seconds: 2 } } },
    after: [
      [found(a), a],
      [servfail, a],
      [timeout, a],
      [timeout, a],
      [timeout, a],
      [servfail, ""],
    ],
  },
  {
    name: "too old",
    given: { maxStaleSeconds: 3 },
    after: [
      [found(a), a],
      [timeout, a],
      [timeout, a],
      [timeout, ""],
      [found(a), a],
    ],
  },
  {
    name: "held down for two answers; an address that comes is there at once",
    given: { holdDown: { times: 2 } },
    after: [
      [found(a, b), `${a} ${b}`],
      [found(a, c), `${a} ${b} ${c}`],
      [found(a), `${a} ${c}`],
      [found(a, c), `${a} ${c}`],
      [found(a), `${a} ${c}`],
      [found(a), a],
    ],
  },
  {
    name: "held down for two seconds; a failure is no answer that lacks it",
    given: { holdDown: { seconds: 2 } },
    after: [
      [found(a, b), `${a} ${b}`],
      [found(a), `${a} ${b}`],
      [servfail, `${a} ${b}`],
      [found(a), a],
    ],
  },
  {
    name: "whichever is first",
    given: { holdDown: { times: 5, seconds: 1 } },
    after: [
      [found(a, b), `${a} ${b}`],
      [found(a), `${a} ${b}`],
      [found(a), a],
    ],
  },
  {
    name: "a floor of half: a poor answer takes half at once and no more",
    given: { minHealthy: 0.5 },
    after: [
      [found(a, b, c, d), `${a} ${b} ${c} ${d}`],
      [found(d), `${a} ${d}`],
      [found(d), d],
    ],
  },
  {
    name: "a floor is no hindrance for a move to as many others",
    given: { minHealthy: 1 },
    after: [
      [found(a, b), `${a} ${b}`],
      [found(c, d), `${c} ${d}`],
      [found(d), `${c} ${d}`],
    ],
  },
  {
    name: "IPv6 was not answered: what is known of it stands",
    given: {},
    after: [
      [found(a, "fd00::1"), `${a} fd00::1`],
      [withoutSix(found(b)), `${b} fd00::1`],
      [found(b), b],
    ],
  },
  {
    name: "IPv6 is never answered again: what is known of it gets too old by itself",
    given: { maxStaleSeconds: 2 },
    after: [
      [found(a, "fd00::1"), `${a} fd00::1`],
      [withoutSix(found(a)), `${a} fd00::1`],
      [withoutSix(found(a)), a],
      [found(a, "fd00::1"), `${a} fd00::1`],
      [withoutSix(found(a)), `${a} fd00::1`],
    ],
  },
  {
    name: "IPv6 was not answered: that is no answer that lacks it",
    given: { holdDown: { times: 2 } },
    after: [
      [found(a, "fd00::1"), `${a} fd00::1`],
      [withoutSix(found(a)), `${a} fd00::1`],
      [withoutSix(found(a)), `${a} fd00::1`],
      [found(a), `${a} fd00::1`],
      [found(a), a],
    ],
  },
];

const settingsOf = (given: Given) => readTargetOptions("db.example", { port: 5432, ...given });
const ips = ({ targets }: Pick<Step, "targets">): string => targets.map(({ ip }) => ip).join(" ");

export async function membershipCases(t: Test): Promise<void> {
  for (const { name, given, after } of rows) {
    const settings = settingsOf(given);
    let state = unknownYet;
    const got = after.map(([outcome], at) => {
      const result = step(state, outcome, settings, at * 1000);
      ({ state } = result);
      return ips(result);
    });
    t.same(
      got,
      after.map(([, want]) => want),
      name,
    );
  }
  await t.test("what is told", tellings);
  await t.test("whatever comes", properties);
}

function tellings(t: Test): void {
  const settings = settingsOf({ maxStaleSeconds: 60, onEmpty: { dropAfter: { seconds: 20 } } });
  const first = step(unknownYet, found(a), settings, 0);
  t.same(types(first), ["dns-resolved", "dns-changed"]);
  t.match(first, { changed: true, state: { generation: 1 } });
  const same = step(first.state, found(a), settings, 1000);
  t.same(types(same), ["dns-resolved"]);
  t.match(same, { changed: false, state: { generation: 1 } });
  const bad = step(same.state, empty, settings, 2000);
  t.same(types(bad), ["dns-failed", "dns-stale"]);
  t.match(bad, { changed: false, dueMs: 22_000, state: { isStale: true, failures: 1 } });
  t.match(bad.events, [
    { data: { failure: "empty", code: "ENODATA", usingLastKnown: true, failures: 1 } },
    { data: { ageMs: 1000, ips: [a] } },
  ]);
  const worse = step(bad.state, timeout, settings, 3000);
  t.same(types(worse), ["dns-failed"], "stale is said once");
  t.equal(worse.dueMs, 61_000, "too old, a minute after the last answer");
  const good = step(worse.state, found(b), settings, 5000);
  t.same(types(good), ["dns-resolved", "dns-recovered", "dns-changed"]);
  t.match(good.events[1], { data: { failures: 2, downMs: 3000 } });
  t.match(good.events[2], { data: { old: [a], new: [b], added: [b], removed: [a] } });
  t.match(bad.events[0], { data: { drops: false } }, "20 s of it would");
  const denied = step(unknownYet, nx, settingsOf({ onNxdomain: "drop" }), 0);
  t.match(denied.events, [{ type: "dns-failed", data: { drops: true } }], "as good as an answer");
  const never = step(unknownYet, nx, settings, 0);
  t.same(types(never), ["dns-failed"], "of a name that was never there nothing is told");
  t.match(never, { changed: false, state: { generation: 0, targets: undefined } });
  const old = remembered([{ ip: a, family: 4, port: undefined, share: 1 }], -59_500, unknownYet);
  const gone = step(old, timeout, settings, 600);
  t.same(ips(gone), "", "what was remembered ages too");
  const moved = step(first.state, found(a, b), settingsOf({ weight: 7 }), 0);
  t.match(moved.targets, [
    { ip: a, port: 5432, weight: 4 },
    { ip: b, port: 5432, weight: 3 },
  ]);
  t.end();
}

const types = ({ events }: Step): string[] => events.map(({ type }) => type);

/** For random rules and outcomes: what is said to have changed has, the number rises by it alone. */
function properties(t: Test): void {
  for (let seed = 0; seed < 400; seed += 1) {
    const chance = chanceOf(seed);
    const policy = chance.pick<FailurePolicy>(["keep", "drop", { dropAfter: { times: 2 } }]);
    const settings = settingsOf({
      weight: chance.between(1, 50),
      onNxdomain: policy,
      onTimeout: policy,
      minHealthy: chance.pick([0, 0.5, 1]),
      ...(chance.hit(0.5) ? { holdDown: { times: chance.between(1, 3) } } : {}),
      maxStaleSeconds: chance.pick([0, 4]),
    });
    let state: Membership = unknownYet;
    for (let at = 0; at < 30; at += 1) {
      const size = chance.between(1, 5);
      const some = Array.from({ length: size }, () => `10.0.0.${chance.between(1, 9)}`);
      const outcome = chance.pick([found(...some), found(...some), nx, timeout]);
      const frozen = JSON.stringify(state);
      const result = step(state, outcome, settings, at * 1000);
      const told = result.state.targets ?? [];
      const was = state.targets;
      const isOther = was === undefined ? told.length > 0 : ips({ targets: was }) !== ips(result);
      const problem = [
        JSON.stringify(state) !== frozen && "it changed its input",
        isOther && !result.changed && "a change was not told",
        result.changed !== (result.state.generation === state.generation + 1) && "generation",
        new Set(told.map(({ ip }) => ip)).size !== told.length && "an address twice",
        told.some(({ weight }) => weight < 1) && "a weight below 1",
        told.length > 0 && sumOf(told) !== Math.max(settings.weight, told.length) && "the sum",
        outcome.kind === "found" &&
          !some.every((ip) => told.some((one) => one.ip === ip)) &&
          "an address of the answer is missing",
        outcome.kind === "found" &&
          told.length < Math.ceil(state.members.length * settings.minHealthy) &&
          "below the floor",
      ].filter((one) => one !== false);
      if (problem.length > 0) t.fail(`seed ${seed}, step ${at}: ${problem.join(", ")}`);
      ({ state } = result);
    }
  }
  t.pass("400 runs");
  t.end();
}

function sumOf(told: readonly { readonly weight: number }[]): number {
  return told.reduce((sum, { weight }) => sum + weight, 0);
}
