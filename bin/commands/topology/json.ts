/** The JSON of topology: the contract is docs/cli-json.md, and its keys only ever grow. */
import { formatAddress } from "../../../kit/address.ts";
import { formatLsn } from "../../../kit/lsn.ts";
import type { NamesObservation, Report } from "../../../router/cluster/observation.ts";
import type { Topology } from "../../../router/cluster/observe.ts";
import type { MemberView, RouterView } from "../../../router/cluster/view.ts";

export interface JudgedTopology extends Topology {
  readonly exitCode: number;
}

/** One JSON object on one line; LSNs are text as PostgreSQL prints them. */
export function topologyJson({ view, findings, verdict, exitCode }: JudgedTopology): string {
  const object = {
    environment: view.environment,
    cluster: view.cluster,
    observedAt: view.observedAt,
    tookMs: view.tookMs,
    verdict: { level: verdict.level, exitCode, summary: verdict.summary, reasons: verdict.reasons },
    primary: view.primary?.name ?? null,
    writable: view.writable,
    members: view.members.map(memberJson),
    routers: view.routers.map(routerJson),
    edgePoolers: view.edgePoolers.map(({ name, declared, pooler, gate }) => ({
      name,
      pooler: { address: formatAddress(declared.address), ...reportJson(pooler) },
      gate:
        gate === null || declared.gate === undefined
          ? null
          : { address: `http://${formatAddress(declared.gate.url)}`, ...reportJson(gate) },
    })),
    names: view.names === null ? null : namesJson(view.names),
    monitor: view.monitor === null ? null : addressedJson(view.monitor),
    maintenance: view.maintenance,
    unfinished: view.unfinished,
    findings,
  };
  return JSON.stringify(object, (_key, value: unknown) =>
    typeof value === "bigint" ? formatLsn(value) : value,
  );
}

function reportJson<T>(report: Report<T>): object {
  const { state, tookMs } = report;
  return report.state === "known"
    ? { state, tookMs, error: null, facts: report.value }
    : { state, tookMs, error: report.error, facts: null };
}

function addressedJson<T>(report: Report<T> & { readonly address: string }): object {
  return { address: report.address, ...reportJson(report) };
}

function namesJson({ primary, registry, resolvers }: NamesObservation): object {
  return {
    primary,
    registry: addressedJson(registry),
    resolvers: resolvers.map(({ name, address, said }) => ({
      name,
      ...addressedJson({ ...said, address }),
    })),
  };
}

function memberJson(member: MemberView): object {
  const { declared } = member;
  return {
    name: member.name,
    ordinal: declared.ordinal,
    site: declared.site ?? null,
    role: member.role,
    writable: member.writable,
    reached: member.reached,
    upstream: member.upstream,
    lagBytes: member.lagBytes,
    lagMs: member.lagMs,
    postgres: { address: formatAddress(declared.postgres), ...reportJson(member.postgres) },
    health: { address: `http://${formatAddress(declared.health)}`, ...reportJson(member.health) },
    pooler: { address: formatAddress(declared.pooler.address), ...reportJson(member.pooler) },
  };
}

function routerJson(router: RouterView): object {
  const { declared } = router;
  return {
    name: router.name,
    site: declared.site ?? null,
    sendsWritesTo: router.sendsWritesTo,
    runtime: { address: declared.runtime, ...reportJson(router.runtime) },
    configuration: { path: declared.configuration.path, ...reportJson(router.configuration) },
  };
}
