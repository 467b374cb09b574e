/**
 * What must hold within `backends` of an environment file, and between them and the routers: rows for
 * consistency.ts.
 */
import { isIP } from "node:net";
import { formatAddress } from "../kit/address.ts";
import { isHostAddress } from "./host-address.ts";
import { formatPath } from "./explain.ts";
import type { Path, Problem } from "./explain.ts";
import type { EnvironmentFile } from "./schema.ts";
import { formatDuration } from "./units.ts";

type BackendRule = (environment: EnvironmentFile) => Problem[];
type Backend = EnvironmentFile["backends"][number];
type Target = Backend["targets"][number];

/** Sections of the rendered configuration that are not backends of the environment. */
const taken = /^(pg-.*|stats|boot-window|probe-.*|replica-probe-.*)$/;

function eachBackend(look: (backend: Backend, path: Path) => Problem[]): BackendRule {
  return ({ backends }) => backends.flatMap((one, index) => look(one, ["backends", index]));
}

function eachTarget(look: (target: Target, path: Path) => Problem[]): BackendRule {
  return eachBackend(({ targets }, path) =>
    targets.flatMap((one, index) => look(one, [...path, "targets", index])),
  );
}

/** A problem at the second of two that have the same value; names are one in whatever case. */
function twice(values: readonly (string | number)[], pathOf: (index: number) => Path): Problem[] {
  const alike = values.map((one) =>
    typeof one === "string" ? one.toLowerCase().replace(/\.$/, "") : one,
  );
  return values.flatMap((value, index) => {
    const first = alike.findIndex((one) => one === alike[index]);
    if (first === index) return [];
    const message = `${value} stands twice; expected another than ${formatPath(pathOf(first))}`;
    return [{ path: pathOf(index), message }];
  });
}

/** A problem at `path` where one duration is longer than another, called `than`. */
function atMost(path: Path, ms: number, than: string, limitMs: number): Problem[] {
  if (ms <= limitMs) return [];
  const message = `expected at most ${than} (${formatDuration(limitMs)}); got ${formatDuration(ms)}`;
  return [{ path, message }];
}

const policies = ["onNxdomain", "onEmpty", "onServfail", "onTimeout"] as const;

export const backendRules: Readonly<Record<string, BackendRule>> = {
  backendsDiffer: ({ backends }) =>
    (["name", "port"] as const).flatMap((key) =>
      twice(
        backends.map((one) => one[key]),
        (index) => ["backends", index, key],
      ),
    ),

  backendNamesAreFree: eachBackend(({ name }, path) =>
    taken.test(name)
      ? [
          {
            path: [...path, "name"],
            message: `expected a name that no section of the router has (pg-…, probe-…, replica-probe-…, stats, boot-window); got ${name}`,
          },
        ]
      : [],
  ),

  // A router listens for backends where it listens for writes.
  backendPortsAreFree: ({ backends, routers, edgePoolers }) =>
    backends.flatMap(({ port }, index) => {
      const used = routers.flatMap(({ name, listen }) => {
        const address = formatAddress({ host: listen.write.host, port });
        const hosts = new Set([listen.write.host, "0.0.0.0", "::"]);
        const isAll = listen.write.host === "0.0.0.0" || listen.write.host === "::";
        const own = (["write", "read", "stats"] as const).find(
          (key) => listen[key].port === port && (isAll || hosts.has(listen[key].host)),
        );
        const edge = edgePoolers.find((one) => formatAddress(one.address) === address);
        if (own !== undefined) return [`listen.${own} of router ${name}`];
        return edge === undefined ? [] : [`edge pooler ${edge.name}`];
      });
      const [by] = used;
      const message = `expected a port that is free; ${port} is that of ${by}`;
      return by === undefined ? [] : [{ path: ["backends", index, "port"], message }];
    }),

  backendChecksAreOrdered: eachBackend(({ check }, path) =>
    check === undefined
      ? []
      : (["fastinter", "downinter"] as const).flatMap((key) =>
          atMost([...path, "check", key], check[key] ?? 0, "inter", check.inter),
        ),
  ),

  targetsDiffer: eachBackend(({ targets }, path) =>
    twice(
      targets.map((one) => one.hostname),
      (index) => [...path, "targets", index, "hostname"],
    ),
  ),

  targetsHaveAPort: eachTarget(({ port, srv }, path) => {
    if (port !== undefined || srv !== undefined) return [];
    return [
      { path: [...path, "port"], message: "expected a port, since there is no srv; it is missing" },
    ];
  }),

  targetsAreOfHosts: eachTarget(({ hostname }, path) => {
    if (isIP(hostname) === 0 || isHostAddress(hostname)) return [];
    const message = `expected an address that a server can have; got ${hostname}`;
    return [{ path: [...path, "hostname"], message }];
  }),

  namesHaveSrvRecords: eachTarget(({ hostname, srv }, path) => {
    if (srv === undefined || isIP(hostname) === 0) return [];
    const message = `expected none beside an IP address; ${hostname} has no SRV records`;
    return [{ path: [...path, "srv"], message }];
  }),

  addressesAreOfTheFamily: eachTarget(({ hostname, family }, path) => {
    const own = { 0: family, 4: "ipv4", 6: "ipv6" }[isIP(hostname)];
    if (family === "both" || own === family) return [];
    const message = `expected a name or an ${family} address, since family is ${family}; got ${hostname}`;
    return [{ path: [...path, "hostname"], message }];
  }),

  targetTimesAreOrdered: eachTarget(({ minRefresh, maxRefresh, backoff }, path) => [
    ...atMost([...path, "minRefresh"], minRefresh, "maxRefresh", maxRefresh),
    ...atMost([...path, "backoff", "base"], backoff.base, "backoff.max", backoff.max),
  ]),

  policiesSayWhen: eachTarget((target, path) =>
    policies.flatMap((key) => {
      const policy = target[key];
      const isSaid =
        typeof policy === "string" || policy.times !== undefined || policy.time !== undefined;
      const message = "expected times, time or both; it has none";
      return isSaid ? [] : [{ path: [...path, key], message }];
    }),
  ),
};
