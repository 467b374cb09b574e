/**
 * Names and flips on a real lab: the names have moved before the tool says so, topology compares what
 * registry and resolvers say with the world, and what is away is told and waited for no longer than
 * the environment says.
 */
import t from "tap";
import type { Environment } from "../../config/schema.ts";
import { Secret } from "../../config/secret.ts";
import { eventually } from "../../kit/clock.ts";
import { lookAtCluster } from "../../router/cluster/observe.ts";
import type { Topology } from "../../router/cluster/observe.ts";
import { valueOf } from "../../router/cluster/view.ts";
import { askResolver, namesOf } from "../../router/names/ask.ts";
import { askName } from "../../sidecars/dns-resolver/client.ts";
import { makePatient, withLab } from "../support/lab.ts";
import type { TestLab } from "../support/lab.ts";
import { startRecovery } from "../support/recovery-process.ts";

const soon = { deadlineMs: 40_000, intervalMs: 100 };
const registry = "ctl-01/registry";
const namesCodes = /^(names|registry|resolver)-/;

/** `code part` of every finding about names. */
function found({ findings }: Topology): string[] {
  return findings
    .filter(({ code }) => namesCodes.test(code))
    .map(({ code, part }) => `${code} ${part}`);
}

async function becomes(environment: Environment, want: readonly string[]): Promise<void> {
  let last: readonly string[] = [];
  await eventually(`findings ${want.join(", ")}`, soon, async () => {
    last = found(await lookAtCluster(environment));
    return last.join() === want.join() ? true : undefined;
  }).catch((cause: unknown) => {
    throw new Error(`wanted ${want.join(", ")}, and found ${last.join(", ")}`, { cause });
  });
}

/** What every resolver says the primary is, by address. */
async function everyAnswer({ environment }: TestLab): Promise<string[]> {
  const names = namesOf(environment);
  if (names === undefined) throw new TypeError("the lab has no names");
  const { signal } = new AbortController();
  const answers = names.resolvers.map((one) =>
    askResolver(names, one.address, { deadlineMs: 10_000, signal }),
  );
  return (await Promise.all(answers)).map(({ addresses }) => addresses.join());
}

const { test } = t;

await test("names and flips", async (t) => {
  const lab = await withLab(t, { names: true });
  await makePatient(lab);
  const { environment } = lab;
  const stateHome = t.testdir();
  const recovery = (...words: readonly string[]) =>
    startRecovery(t, [lab.name, ...words], { stateHome });
  const addressOf = (name: string): string =>
    environment.members.find((one) => one.name === name)?.postgres.host ?? "";

  await t.test("at rest the names are as the world is", async (t) => {
    await becomes(environment, []);
    const { view } = await eventually("the registry answers", soon, async () => {
      const seen = await lookAtCluster(environment);
      return seen.view.names?.registry.state === "known" ? seen : undefined;
    });
    t.match(view.names, {
      primary: `primary.${lab.name}.temps.local`,
      registry: { state: "known", value: { kind: "cluster", primary: "dal-01" } },
    });
    t.equal(view.names?.resolvers.length, 3);
  });

  await t.test("they have moved before the flip says so, and the report says when", async (t) => {
    const flip = recovery("flip-db", "--yes", "--json");
    const done = await flip.step("names", "done");
    const said = await everyAnswer(lab);
    t.same(said, Array(3).fill(addressOf("chi-02")), "asked the moment that the step was done");
    t.equal(await flip.end(), 0);
    t.ok(Number(done.facts?.["generation"]) > 0);
    const report = flip.report();
    t.match(report.names, { since: "promotion", absent: [], generation: Number });
    t.same(
      report.names?.resolvers.map(({ name }) => name),
      ["app-01", "chi-02", "dal-01"],
    );
    for (const { name, acknowledgedMs, answeredMs } of report.names?.resolvers ?? []) {
      t.ok((acknowledgedMs ?? -1) > 0 && (answeredMs ?? -1) > 0, name);
    }
    const order = report.steps.map(({ step }) => step);
    t.ok(order.indexOf("release") < order.indexOf("names"), "nobody is held for the names");
    await becomes(environment, []);
  });

  await t.test("a token and a cluster that the registry does not know", async (t) => {
    const { registry: keys } = environment;
    if (keys === undefined) throw new TypeError("the lab has no names");
    const others = { ...environment, registry: { ...keys, token: new Secret("wrong") } };
    await t.resolves(becomes(others, ["registry-denied registry"]));
    const nobody = { ...environment, registry: { ...keys, cluster: "nobody" } };
    await t.resolves(becomes(nobody, ["registry-unknown-cluster registry"]));
  });

  await t.test("a resolver that is away: told, warned of, and named by the flip", async (t) => {
    await lab.run("kill", "app-01/resolver");
    await becomes(environment, ["resolver-silent app-01"]);
    const flip = recovery("flip-db", "--yes", "--json");
    t.equal(await flip.end(), 1);
    const { result, problems, names, to } = flip.report();
    t.match({ result, to, names }, { result: "done", to: "dal-01", names: undefined });
    t.equal(problems.length, 1);
    t.match(problems[0], {
      step: "names",
      reason: /app-01 (does not answer|has not acknowledged)/,
    });
    t.match(problems[0], { reason: /(chi-02|dal-01), (chi-02|dal-01) has it/ });
    await lab.run("start", "app-01/resolver");
    await becomes(environment, []);
    t.same(await everyAnswer(lab), Array(3).fill(addressOf("dal-01")));
  });

  await t.test("a registry that sees no member keeps the old name, and says so", async (t) => {
    for (const name of ["dal-01", "chi-02"]) await lab.run("cut", registry, `${name}/postgres`);
    await eventually("the registry says that its source is silent", soon, async () => {
      const now = found(await lookAtCluster(environment));
      return now.join() === "names-not-published registry" ? true : undefined;
    });
    const refused = recovery("flip-db", "--yes");
    t.equal(await refused.end(), 3);
    t.match(refused.notes(), /H16-registry: .*the registry says silent/);
    const flip = recovery("flip-db", "--yes", "--json", "--accept-risk=names");
    t.equal(await flip.end(), 0);
    t.match(flip.report().problems, [{ step: "left-out", reason: /the registry says silent/ }]);
    await becomes(environment, ["names-elsewhere registry", "names-not-published registry"]);
    for (const name of ["dal-01", "chi-02"]) await lab.run("heal", registry, `${name}/postgres`);
    await becomes(environment, []);
    const [first] = environment.registry?.resolvers ?? [];
    if (first === undefined) throw new TypeError("the lab has no resolver");
    const { addresses, ttl } = await askName({
      address: first.address,
      name: `primary.${lab.name}.temps.local`,
      type: "A",
      deadlineMs: 10_000,
    });
    t.same({ addresses, ttl }, { addresses: [addressOf("chi-02")], ttl: 5 });
  });

  await t.test("a registry that is away: a flip refuses, unless the names may stay", async (t) => {
    await lab.run("stop", registry);
    await becomes(environment, ["registry-unreachable registry"]);
    t.same(await everyAnswer(lab), Array(3).fill(addressOf("chi-02")), "they answer as before");
    const refused = recovery("flip-db", "--yes");
    t.equal(await refused.end(), 3);
    t.match(refused.notes(), /H16-registry: .*; --accept-risk=names accepts it/);

    const flip = recovery("flip-db", "--yes", "--json", "--accept-risk=names");
    t.equal(await flip.end(), 0, "what was accepted is no failure");
    const { result, problems, to } = flip.report();
    t.match({ result, to }, { result: "done", to: "dal-01" });
    t.match(problems, [
      {
        step: "left-out",
        reason: /^lead primary\S+ to dal-01: .*the registry does not answer.*; accepted: see to it/,
      },
    ]);
    await becomes(environment, [
      "names-elsewhere dal-01",
      "names-elsewhere chi-02",
      "names-elsewhere app-01",
      "registry-unreachable registry",
    ]);
    await lab.run("start", registry);
    // Resolvers that have found it away for a while ask it more and more seldom.
    await eventually("the registry has found the new primary by itself", soon, async () => {
      const { view } = await lookAtCluster(environment);
      const said = view.names === null ? null : valueOf(view.names.registry);
      return said?.kind === "cluster" && said.primary === "dal-01" ? true : undefined;
    });
  });

  await t.test("a host that is lost takes its resolver along, and holds up nobody", async (t) => {
    await becomes(environment, []);
    for (const part of ["postgres", "pooler", "health", "resolver"]) {
      await lab.run("kill", `dal-01/${part}`);
    }
    const failover = recovery("failover", "--yes", "--dead=dal-01", "--json");
    t.equal(await failover.end(), 0, failover.out() + failover.notes());
    const { result, to, problems, names } = failover.report();
    t.match(
      { result, to, problems, names },
      {
        ...{ result: "done", to: "chi-02" },
        problems: [{ step: "left-out", reason: /resolver of dal-01, which is away/ }],
        names: { absent: ["dal-01"] },
      },
    );
    t.ok((names?.resolvers.length ?? 0) >= 2, "the others have followed");
  });
});
