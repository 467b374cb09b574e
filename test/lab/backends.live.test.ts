/**
 * bin/router LAB backends in a lab: two routers, the project's own resolver and registry, and a name
 * that grows, shrinks, flaps, vanishes and times out.
 */
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { formatAddress } from "../../kit/address.ts";
import { eventually } from "../../kit/clock.ts";
import { registryTarget } from "../../lab/registry.ts";
import { putRecords } from "../../registry/admin.ts";
import { startFakeMember, visit } from "../support/fake-member.ts";
import type { FakeMember } from "../support/fake-member.ts";
import { withLab } from "../support/lab.ts";
import type { TestLab } from "../support/lab.ts";
import { startRecovery } from "../support/recovery-process.ts";
import type { RecoveryProcess } from "../support/recovery-process.ts";

const port = 9200;
const soon = { deadlineMs: 60_000, intervalMs: 50 };
const status = "127.77.0.1:8010";
const fqdn = "search.temps.local";

interface Server {
  readonly host: string;
  readonly port: number;
  readonly state: string;
  readonly weight: number;
}

interface Status {
  readonly well: boolean;
  readonly complaints: readonly string[];
  readonly targets: readonly { readonly consecutiveFailures: number }[];
  readonly routers: readonly {
    readonly router: string;
    readonly error: string | null;
    readonly backends: readonly { readonly servers: readonly Server[] }[];
  }[];
}

async function askStatus(): Promise<Status> {
  return (await (await fetch(`http://${status}/status`)).json()) as Status;
}

/** Servers of a router in short: the last number of the address, and the weight. */
function serversOf(now: Status, router: string): string {
  const found = now.routers.find((one) => one.router === router);
  const servers = found?.backends.flatMap((one) => one.servers) ?? [];
  return servers
    .map(
      ({ host, weight, state }) =>
        `${host.split(".").at(-1)}:${weight}${state === "up" ? "" : ` ${state}`}`,
    )
    .toSorted()
    .join(" ");
}

async function serves(routers: readonly string[], wanted: string): Promise<void> {
  const last = { seen: "" };
  await eventually(`${routers.join(" and ")} serve ${wanted}`, soon, async () => {
    const now = await askStatus();
    const seen = routers.map((one) => serversOf(now, one));
    last.seen = seen.join("; ");
    return seen.every((one) => one === wanted) ? true : undefined;
  }).catch((error: Error) => {
    throw new Error(`${error.message}; they serve ${last.seen}`, { cause: error });
  });
}

/** Writes the backend into the lab's environment. */
async function declare(lab: TestLab): Promise<void> {
  const resolver = lab.json.resolvers.find((one) => one.name === "app-01");
  if (resolver === undefined) throw new TypeError("the lab has a resolver on app-01");
  const target = `hostname: ${fqdn}, port: ${port}, servers: ["${formatAddress(resolver.dns)}"], dnsRefresh: 1s, timeout: 500ms, backoff: { base: 1s, max: 1s }`;
  const check =
    "inter: 100ms, fastinter: 100ms, downinter: 100ms, rise: 1, fall: 2, timeout: 500ms";
  const backend = `backends: [{ name: search, port: ${port}, drainGrace: 1s, check: { ${check} }, targets: [{ ${target} }] }]`;
  await appendFile(join(lab.configFolder, `${lab.name}.yml`), `${backend}\n`);
}

t.test("a backend in a lab", async (t) => {
  const lab = await withLab(t, { names: true, appHosts: 2 });
  const stateHome = await mkdtemp(join(tmpdir(), "switchyard-backends-"));
  t.teardown(() => rm(stateHome, { recursive: true, force: true }));
  const router = (...words: string[]): RecoveryProcess =>
    startRecovery(t, [lab.name, ...words], { stateHome, program: "router" });
  const registry = await registryTarget(lab.model);
  const name = async (...numbers: readonly number[]): Promise<void> => {
    const records = numbers.map((number) => {
      return { fqdn, record_type: "A", target_ip: `127.77.2.${number}`, ttl: 5 } as const;
    });
    await putRecords(registry, { kind: "static", id: 1 }, records);
  };
  const servers: FakeMember[] = [];
  for (const number of [1, 2, 3]) {
    const ports = { pooler: port, health: port + 1 };
    const one = await startFakeMember(`s${number}`, `127.77.2.${number}`, "primary", ports);
    t.teardown(one.stop);
    servers.push(one);
  }
  const both = ["app-01", "app-02"];
  const door = (index: number): string => lab.json.appHosts[index]?.write.host ?? "";

  const none = router("backends");
  t.equal(await none.end(), 78);
  t.match(none.notes(), /backends: there is none; docs\/backends\.md shows how/);

  await declare(lab);
  await name(1);
  const listening = ["--listen", status, "--state", join(stateHome, "backends.json")];
  const running = router("backends", ...listening);
  await running.says(/app-01 +search +the router has no such section yet: bin\/router \S+ apply/);
  t.equal((await fetch(`http://${status}/readyz`)).status, 503);
  const apply = router("apply");
  t.equal(await apply.end(), 0, apply.notes());
  await serves(both, "1:100");
  t.equal((await fetch(`http://${status}/readyz`)).status, 200);
  t.equal((await visit(door(0), port)).landed, "s1");
  const figures = await (await fetch(`http://${status}/metrics`)).text();
  const labels = 'router="app-02",backend="search"';
  t.ok(figures.includes(`switchyard_backends_servers{${labels},state="up"} 1\n`), figures);
  t.ok(figures.includes(`switchyard_backends_in_step{${labels}} 1\n`));

  await t.test("it grows, shrinks and flaps", async (t) => {
    await name(1, 2, 3);
    await serves(both, "1:34 2:33 3:33");
    const kept = await visit(door(1), port);
    await name(2, 3);
    await serves(both, "2:50 3:50");
    await name(1, 2, 3);
    await serves(both, "1:34 2:33 3:33");
    t.match(kept.landed, /^s[123]$/);
    kept.socket.destroy();
  });

  await t.test("it vanishes and times out: nothing changes, and it is told", async (t) => {
    await name();
    await running.says(
      /search\.temps\.local there is no such name .*; goes on with 127\.77\.2\.1, /,
    );
    await serves(both, "1:34 2:33 3:33");
    await name(1, 2);
    await serves(both, "1:50 2:50");
    await lab.run("freeze", "app-01/resolver");
    const now = await eventually("questions fail", soon, async () => {
      const seen = await askStatus();
      return seen.targets.every((one) => one.consecutiveFailures > 1) ? seen : undefined;
    });
    t.equal(now.well, false);
    t.match(now.complaints.join(), /search\.temps\.local is not answered now/);
    t.equal((await fetch(`http://${status}/readyz`)).status, 200, "the routers serve all the same");
    await serves(both, "1:50 2:50");
    const told = running.out().length;
    await lab.run("thaw", "app-01/resolver");
    // Once more: it was so before, when the name had come back.
    await eventually("it is told", soon, () => {
      const since = running.out().slice(told);
      return /search\.temps\.local resolves again after/.test(since) ? true : undefined;
    });
  });

  await t.test("a router that hangs delays no other", async (t) => {
    await lab.run("freeze", "app-02/router");
    await name(3);
    await serves(["app-01"], "3:100");
    const told = await eventually("it is told that app-02 does not answer", soon, async () => {
      const { routers } = await askStatus();
      return routers.find((one) => one.router === "app-02")?.error ?? undefined;
    });
    t.match(told, /app-02|no answer/);
    await lab.run("thaw", "app-02/router");
    await serves(both, "3:100");
  });

  await t.test("the other commands read well beside it", async (t) => {
    // What was thawed a moment ago has not checked its servers yet.
    const shown = await eventually("both routers are well", soon, async () => {
      const one = router("status");
      return (await one.end()) === 0 && / up +L4OK/.test(one.out()) ? one.out() : undefined;
    });
    t.match(shown, /^2 routers answer and agree\n/);
    t.match(shown, /search\/dns\.127\.77\.2\.3:9200 +up +L4OK/);
    const again = router("apply", "--dry-run");
    t.equal(await again.end(), 0);
    t.match(again.notes(), /app-01: runs this configuration already/);
    const second = router("backends", "--router", "app-01");
    t.equal(await second.end(), 75);
    t.match(
      second.notes(),
      /router app-01: its backends are kept already by bin\/router .* \(pid /,
    );
    // The reload has left sessions of the edge poolers behind, which topology would tell of.
    t.equal(await router("sessions", "--close-old-workers", "--yes").end(), 0);
    const healthy = await eventually("topology finds nothing", soon, async () => {
      const topology = startRecovery(t, [lab.name, "topology"], { stateHome });
      return (await topology.end()) === 0 ? topology.out() : undefined;
    });
    t.match(healthy, "dal-01");
  });

  await t.test("it ends, and the servers stay", async (t) => {
    running.child.kill("SIGHUP");
    await running.says(/SIGHUP: asks for every name now/);
    running.child.kill("SIGTERM");
    t.equal(await running.end(), 0, running.notes());
    t.match(running.out(), /SIGTERM: ends; the routers keep the servers that they have\n$/);
    t.equal((await visit(door(1), port)).landed, "s3");
    t.equal(running.notes(), "");

    const next = router("backends", "--json", "--router", "app-02");
    await next.says(/"event":"dns-changed"/);
    next.child.kill("SIGINT");
    t.equal(await next.end(), 0);
    const told = next
      .out()
      .trim()
      .split("\n")
      .map((line): unknown => JSON.parse(line));
    t.match(told[0], {
      at: /^20/,
      event: "process",
      says: /^keeps 1 backend with 1 name on 1 router/,
    });
    t.match(
      told.find((one) => (one as { event: string }).event === "dns-changed"),
      { backend: "search", hostname: fqdn, says: "is 127.77.2.3, TTL 5 s" },
    );
  });
});
