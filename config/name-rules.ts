/**
 * What must hold between the registry, its resolvers and the monitor of an environment file, and the
 * members: rows for consistency.ts.
 */
import { formatAddress } from "../kit/address.ts";
import { formatPath } from "./explain.ts";
import type { Path, Problem } from "./explain.ts";
import type { EnvironmentFile } from "./schema.ts";

type NameRule = (environment: EnvironmentFile) => Problem[];

/** A problem at the second of two that have the same value. */
function twice(values: readonly string[], pathOf: (index: number) => Path): Problem[] {
  return values.flatMap((value, index) => {
    const first = values.indexOf(value);
    if (first === index) return [];
    const message = `${value} stands twice; expected another than ${formatPath(pathOf(first))}`;
    return [{ path: pathOf(index), message }];
  });
}

export const nameRules: Readonly<Record<string, NameRule>> = {
  resolversDiffer: ({ registry }) => {
    const resolvers = registry?.resolvers ?? [];
    const at =
      (key: string) =>
      (index: number): Path => ["registry", "resolvers", index, key];
    return [
      ...twice(
        resolvers.map((one) => one.name),
        at("name"),
      ),
      ...twice(
        resolvers.map((one) => formatAddress(one.address)),
        at("address"),
      ),
    ];
  },

  resolversHaveAHost: ({ registry, hosts }) => {
    const names = hosts.map((one) => one.name);
    const expected = `expected one of hosts (${names.join(", ") || "there is none"})`;
    return (registry?.resolvers ?? []).flatMap(({ host }, index) =>
      host === undefined || names.includes(host)
        ? []
        : [{ path: ["registry", "resolvers", index, "host"], message: `${expected}; got ${host}` }],
    );
  },

  monitorHasItsKeepers: ({ monitor, members }) =>
    monitor === undefined || members.every((one) => one.manager === "pg_auto_failover")
      ? []
      : [
          {
            path: ["monitor"],
            message: "is used with manager: pg_auto_failover alone, on every member",
          },
        ],

  monitorHasItsAuthority: ({ monitor }) => {
    if (monitor === undefined) return [];
    const { tls, tlsCa } = monitor;
    const path = ["monitor", "tlsCa"];
    if (tls === "verify-full" && tlsCa === undefined) {
      const message =
        "expected the path of a CA certificate, since tls is verify-full; it is missing";
      return [{ path, message }];
    }
    return tls === "verify-full" || tlsCa === undefined
      ? []
      : [{ path, message: `is used with tls: verify-full alone; tls is ${tls}` }];
  },
};
