/** Cases for the findings about the names of the cluster and about its monitor. */
import type { MonitorNode } from "../../../router/monitor/nodes.ts";
import type { RegistrySaid, ResolverSaid } from "../../../router/names/said.ts";
import { known, unreachable } from "../../support/cluster-world.ts";
import type { Loose, World } from "../../support/cluster-world.ts";
import type { FindingCases } from "./finding-case.ts";

type Published = Extract<RegistrySaid, { kind: "cluster" }>;

/** What a registry says while all is well. */
export function published(more: Partial<Published> = {}): Loose<Published> {
  const node = { name: "app-01", applied: 7, health: "healthy", errors: [] } as const;
  const said: Published = {
    kind: "cluster",
    generation: 7,
    outcome: "published",
    reasons: [],
    primary: "dal-01",
    standbys: ["chi-02"],
    addresses: ["10.0.0.1"],
    nodes: [node],
    members: [
      { name: "dal-01", addresses: ["10.0.0.1"] },
      { name: "chi-02", addresses: ["10.0.0.2"] },
    ],
    ...more,
  };
  return structuredClone(said) as Loose<Published>;
}

export function answer(more: Partial<ResolverSaid> = {}): Loose<ResolverSaid> {
  const said = {
    rcode: "NOERROR",
    authoritative: true,
    addresses: ["10.0.0.1"],
    ttl: 5,
    serial: 7,
  };
  return { ...said, ...more } as Loose<ResolverSaid>;
}

/** Gives a world names: one registry and one resolver. */
export function name(
  { observation }: World,
  registry: Loose<RegistrySaid> | Error,
  resolver: Loose<ResolverSaid> | Error = answer(),
): void {
  const report = <T>(value: T | Error) =>
    value instanceof Error ? unreachable(value.message) : known(value);
  observation.names = {
    primary: "primary.orders.temps.local",
    registry: { ...report(registry), address: "10.0.0.9:8053" },
    resolvers: [{ name: "app-01", address: "10.0.1.1:53", said: report(resolver) }],
  };
}

export function node(called: string, state: string, more: Partial<MonitorNode> = {}): MonitorNode {
  const well = { health: 1, running: true, reportAgeMs: 800, timeline: 2, lsn: 0x5000000n };
  return { name: called, reported: state, goal: state, ...well, ...more };
}

/** Gives a world a monitor. */
export function watch({ observation }: World, nodes: readonly MonitorNode[] | Error): void {
  const report = nodes instanceof Error ? unreachable(nodes.message) : known([...nodes]);
  observation.monitor = { ...report, address: "10.0.0.8:5432" };
}

/** The members as the registry has them, with the standby at this address. */
export function membersAt(standby: string): Loose<Published["members"]> {
  return [
    { name: "dal-01", addresses: ["10.0.0.1"] },
    { name: "chi-02", addresses: [standby] },
  ];
}

const away = new Error("GET http://10.0.0.9:8053/api: connection refused");

export const nameCases = {
  "names-elsewhere": [
    {
      part: "registry",
      says: /^primary\.orders\.temps\.local leads to chi-02, and dal-01 takes writes$/,
      breaks: (_parts, world) => {
        const addresses = ["10.0.0.2"];
        name(world, published({ primary: "chi-02", addresses }), answer({ addresses }));
      },
    },
    {
      part: "registry",
      says: /leads to chi-02, which does not take writes$/,
      also: ["health-disagrees", "primary-read-only", "no-primary"],
      breaks: (parts, world) => {
        parts.postgres("dal-01").readOnly = true;
        parts.postgres("dal-01").settings["default_transaction_read_only"] = "on";
        const addresses = ["10.0.0.2"];
        name(world, published({ primary: "chi-02", addresses }), answer({ addresses }));
      },
    },
    {
      part: "registry",
      says: /^it has chi-02 at 10\.0\.0\.1, the address of dal-01$/,
      breaks: (_parts, world) => name(world, published({ members: membersAt("10.0.0.1") })),
    },
    {
      part: "registry",
      says: /^it has dal-01 at 10\.0\.0\.2, the address of chi-02$/,
      breaks: (_parts, world) => {
        const addresses = ["10.0.0.2"];
        name(world, published({ addresses }), answer({ addresses }));
      },
    },
    {
      part: "app-01",
      says: /is 10\.0\.0\.2 here, which is chi-02, and dal-01 takes writes$/,
      also: ["registry-unreachable"],
      breaks: (_parts, world) => name(world, away, answer({ addresses: ["10.0.0.2"] })),
    },
  ],
  "names-unmatched": [
    {
      part: "registry",
      says: /^it has chi-02 at 10\.9\.0\.2, the environment at 10\.0\.0\.2$/,
      breaks: (_parts, world) => name(world, published({ members: membersAt("10.9.0.2") })),
    },
  ],
  "names-not-published": [
    {
      part: "registry",
      says: /^ambiguous, so primary\.orders\.temps\.local leads nowhere: two say so$/,
      breaks: (_parts, world) => {
        const none = {
          outcome: "ambiguous",
          primary: null,
          addresses: [],
          reasons: ["two say so"],
        };
        name(
          world,
          published(none as Partial<Published>),
          answer({ rcode: "NXDOMAIN", addresses: [] }),
        );
      },
    },
    {
      part: "registry",
      says: /^silent, so .* still leads to dal-01$/,
      breaks: (_parts, world) => name(world, published({ outcome: "silent" })),
    },
  ],
  "registry-unreachable": [
    {
      part: "registry",
      says: /connection refused/,
      breaks: (_parts, world) => name(world, away),
    },
  ],
  "registry-denied": [
    {
      part: "registry",
      says: /Invalid Token/,
      breaks: (_parts, world) =>
        name(world, { kind: "denied", says: "GET /api/clusters/orders: Invalid Token" }),
    },
  ],
  "registry-unknown-cluster": [
    {
      part: "registry",
      says: /no cluster orders/,
      breaks: (_parts, world) =>
        name(world, { kind: "no-cluster", says: "there is no cluster orders" }),
    },
  ],
  "resolver-differs": [
    {
      part: "app-01",
      says: /^primary\S+ is 10\.0\.0\.2 here, and 10\.0\.0\.1 by the registry$/,
      breaks: (_parts, world) => name(world, published(), answer({ addresses: ["10.0.0.2"] })),
    },
    {
      part: "app-01",
      says: /: SERVFAIL$/,
      breaks: (_parts, world) =>
        name(world, published(), answer({ rcode: "SERVFAIL", addresses: [], serial: null })),
    },
    {
      part: "app-01",
      says: /by hearsay/,
      breaks: (_parts, world) => name(world, published(), answer({ authoritative: false })),
    },
  ],
  "resolver-silent": [
    {
      part: "app-01",
      says: /no answer within/,
      breaks: (_parts, world) => name(world, published(), new Error("no answer within 1000 ms")),
    },
  ],
  "resolver-behind": [
    {
      part: "app-01",
      says: /^serves generation 6, the registry has 7$/,
      breaks: (_parts, world) =>
        name(world, published(), answer({ serial: 6, addresses: ["10.0.0.2"] })),
    },
  ],
  "resolver-stale": [
    {
      part: "app-02",
      says: /^its resolver has not been heard of for a while; it had generation 5$/,
      breaks: (_parts, world) => {
        const stale = { name: "app-02", applied: 5, health: "stale", errors: [] } as const;
        name(world, published({ nodes: [stale] }));
      },
    },
    {
      part: "app-02",
      says: /never been heard of$/,
      breaks: (_parts, world) => {
        const fresh = { name: "app-02", applied: 0, health: "unknown", errors: [] } as const;
        name(world, published({ nodes: [fresh] }));
      },
    },
    {
      part: "app-02",
      says: /^it skipped one$/,
      breaks: (_parts, world) => {
        const poor = { name: "app-02", applied: 7, health: "degraded", errors: ["it skipped one"] };
        name(world, published({ nodes: [poor] as Published["nodes"] }));
      },
    },
  ],
  "monitor-unreachable": [
    {
      part: "monitor",
      says: /connection refused/,
      breaks: (_parts, world) => watch(world, new Error("the monitor: connection refused")),
    },
  ],
  "monitor-unsettled": [
    {
      part: "chi-02",
      says: /^is catchingup, to be secondary, to the monitor$/,
      breaks: (_parts, world) => {
        const late = node("chi-02", "secondary", { reported: "catchingup" });
        watch(world, [node("dal-01", "primary"), late]);
      },
    },
    {
      part: "dal-01",
      says: /^is wait_primary, to the monitor$/,
      breaks: (_parts, world) =>
        watch(world, [node("dal-01", "wait_primary"), node("chi-02", "secondary")]),
    },
    {
      part: "chi-02",
      says: /^the monitor knows no node of this name$/,
      breaks: (_parts, world) => watch(world, [node("dal-01", "primary")]),
    },
    {
      part: "chi-02",
      says: /has not reported to the monitor for 30 s$/,
      breaks: (_parts, world) =>
        watch(world, [
          node("dal-01", "primary"),
          node("chi-02", "secondary", { reportAgeMs: 30_000 }),
        ]),
    },
    {
      part: "chi-02",
      says: /^is maintenance to the monitor$/,
      breaks: (_parts, world) =>
        watch(world, [
          node("dal-01", "primary"),
          node("chi-02", "maintenance", { running: false }),
        ]),
    },
  ],
} satisfies FindingCases;
