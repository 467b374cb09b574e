/**
 * Looks at every part of a cluster side by side, each under the environment's probe deadline: a
 * dead part costs its deadline once, however many there are. What was seen is judged elsewhere, by
 * pure functions.
 */
import type { EdgePooler, Environment, Member, Router } from "../../config/schema.ts";
import { formatAddress } from "../../kit/address.ts";
import { systemClock } from "../../kit/clock.ts";
import { loadPgDriver } from "../../kit/pg-connection.ts";
import { fetchStatus } from "../../sidecars/pg-health/client.ts";
import { fetchGateStatus } from "../../sidecars/pool-gate/client.ts";
import { findingsOf } from "./findings.ts";
import type { Finding } from "./findings.ts";
import { verdictOf } from "./verdict.ts";
import type { Verdict } from "./verdict.ts";
import { assembleView } from "./view.ts";
import type { ClusterView } from "./view.ts";
import type { WindowView } from "../maintenance/window.ts";
import { observePooler } from "../pooler/console.ts";
import { observePostgres } from "../postgres/observe.ts";
import { fleetRouter } from "../haproxy/addresses.ts";
import { isRemote } from "../haproxy/install.ts";
import { reporter } from "./look.ts";
import type { Look } from "./look.ts";
import { observeMonitor, observeNames } from "./observe-names.ts";
import { observeConfiguration, observeRuntime } from "./observe-router.ts";
import type {
  EdgePoolerObservation,
  MemberObservation,
  Observation,
  RouterObservation,
  UnfinishedOperation,
} from "./observation.ts";

/**
 * Looks once. A part that fails is a report that says why; only the outer signal ends the look.
 * @throws the signal's reason
 */
export async function observeCluster(
  environment: Environment,
  signal?: AbortSignal,
): Promise<Observation> {
  await loadPgDriver();
  const at = new Date(systemClock.now()).toISOString();
  const start = systemClock.monotonic();
  const look = reporter(environment.thresholds.probe, signal);
  const [members, routers, edgePoolers, names, monitor] = await Promise.all([
    Promise.all(environment.members.map((one) => observeMember(environment, one, look))),
    Promise.all(environment.routers.map((one) => observeRouter(environment, one, look))),
    Promise.all(environment.edgePoolers.map((one) => observeEdgePooler(one, look))),
    observeNames(environment, look),
    observeMonitor(environment, look),
  ]);
  const tookMs = Math.round(systemClock.monotonic() - start);
  return { at, tookMs, members, routers, edgePoolers, ...names, ...monitor };
}

export interface Topology {
  readonly view: ClusterView;
  readonly findings: readonly Finding[];
  readonly verdict: Verdict;
}

/**
 * Looks once and judges: observe, join, find, weigh. `maintenance` is the window that is open,
 * `operations` the question to the journals, asked meanwhile.
 * @throws the signal's reason
 */
export async function lookAtCluster(
  environment: Environment,
  signal?: AbortSignal,
  maintenance: WindowView | null = null,
  operations: Promise<readonly UnfinishedOperation[]> = Promise.resolve([]),
): Promise<Topology> {
  const [observed, unfinished] = await Promise.all([
    observeCluster(environment, signal),
    operations,
  ]);
  const observation = { ...observed, maintenance, unfinished };
  const view = assembleView(environment, observation);
  const findings = findingsOf(view);
  return { view, findings, verdict: verdictOf(view, findings) };
}

async function observeMember(
  environment: Environment,
  member: Member,
  look: Look,
): Promise<MemberObservation> {
  const { address, admin } = member.pooler;
  const [postgres, health, pooler] = await Promise.all([
    look(`Postgres at ${formatAddress(member.postgres)}`, (options) =>
      observePostgres(member, environment.login, options),
    ),
    look(`pg-health at ${formatAddress(member.health)}`, (options) =>
      fetchStatus(member.health, options),
    ),
    look(`PgBouncer at ${formatAddress(address)}`, (options) =>
      observePooler(address, admin, options),
    ),
  ]);
  return { name: member.name, postgres, health, pooler };
}

async function observeEdgePooler(
  { name, address, admin, gate }: EdgePooler,
  look: Look,
): Promise<EdgePoolerObservation> {
  const [pooler, seen] = await Promise.all([
    look(`PgBouncer at ${formatAddress(address)}`, (options) =>
      observePooler(address, admin, options),
    ),
    gate === undefined
      ? null
      : look(`pool-gate at ${formatAddress(gate.url)}`, (options) =>
          fetchGateStatus({ name, url: gate.url, token: () => gate.token.reveal() }, options),
        ),
  ]);
  return { name, pooler, gate: seen };
}

async function observeRouter(
  environment: Environment,
  router: Router,
  look: Look,
): Promise<RouterObservation> {
  const runtime = look(`Runtime API on ${router.runtime}`, (options) =>
    observeRuntime(fleetRouter(environment, router), options),
  );
  // The file of this machine needs no answer of the router first; one elsewhere needs its version.
  const answer = isRemote(router) ? await runtime : undefined;
  const version = answer?.state === "known" ? answer.value.version : null;
  const configuration = look(`configuration of ${router.name}`, ({ signal }) =>
    observeConfiguration(environment, router, version, signal),
  );
  const [seen, compared] = await Promise.all([runtime, configuration]);
  return { name: router.name, runtime: seen, configuration: compared };
}
