/**
 * What must hold between the hosts of an environment file, their engines, and the members and
 * routers that stand in containers there: rows for consistency.ts.
 */
import type { Path, Problem } from "./explain.ts";
import type { EnvironmentFile } from "./schema.ts";
import { isIpAddress } from "./values.ts";

type HostRule = (environment: EnvironmentFile) => Problem[];

/** A problem at `path` where `holds` does not. */
function unless(holds: boolean, path: Path, message: string): Problem[] {
  return holds ? [] : [{ path, message }];
}

export const hostRules: Readonly<Record<string, HostRule>> = {
  hostsAreKnown: ({ hosts, members, routers, edgePoolers }) => {
    const names = hosts.map((one) => one.name);
    const expected = `expected one of hosts (${names.join(", ") || "there is none"})`;
    const unknown = (
      list: "members" | "routers" | "edgePoolers",
      all: readonly { host?: string | undefined }[],
    ) =>
      all.flatMap(({ host }, index) =>
        unless(
          host === undefined || names.includes(host),
          [list, index, "host"],
          `${expected}; got ${host}`,
        ),
      );
    return [
      ...unknown("members", members),
      ...unknown("routers", routers),
      ...unknown("edgePoolers", edgePoolers),
    ];
  },

  certificatesGoWithTcp: ({ hosts }) =>
    hosts.flatMap(({ engine, tls }, index) => {
      const path = ["hosts", index, "tls"];
      const isTcp = engine.startsWith("tcp://");
      return [
        ...unless(isTcp || tls === undefined, path, `is used with tcp:// alone; got ${engine}`),
        ...unless(
          !isTcp || tls !== undefined,
          path,
          "expected ca, cert and key, since engine is tcp://: who reaches it without is root there",
        ),
      ];
    }),

  containersHaveAHost: ({ members, routers }) => [
    ...members.flatMap(({ control, host }, index) =>
      unless(
        host !== undefined || control?.container === undefined,
        ["members", index, "host"],
        "expected one of hosts, since control.container is given; it is missing",
      ),
    ),
    ...members.flatMap(({ local, host }, index) =>
      unless(
        host !== undefined || local === undefined,
        ["members", index, "local"],
        "goes with host; it is missing",
      ),
    ),
    ...routers.flatMap(({ host, runtime, master }, index) =>
      unless(
        host !== undefined || ![runtime, master].some((one) => one?.startsWith("docker:")),
        ["routers", index, "host"],
        "expected one of hosts, since its address is docker://; it is missing",
      ),
    ),
  ],

  oneWayOfControl: ({ members }) =>
    members.flatMap(({ control }, index): Problem[] => {
      if (control === undefined) return [];
      const path = ["members", index, "control"];
      if (control.container === undefined) {
        const why = "expected a list of words, since control.container is not given; it is missing";
        return [
          ...unless(control.start !== undefined, [...path, "start"], why),
          ...unless(
            control.poolerContainer === undefined,
            [...path, "poolerContainer"],
            "goes with control.container; it is missing",
          ),
        ];
      }
      const both = "does not go with control.container, which the engine starts and stops";
      const idle = (["shell", "start", "stop"] as const).filter((key) => control[key]);
      return [
        ...idle.map((key) => ({ path: [...path, key], message: both })),
        ...unless(
          control.restartPooler === undefined || control.poolerContainer === undefined,
          [...path, "restartPooler"],
          "does not go with control.poolerContainer",
        ),
      ];
    }),

  localNamesAreNames: ({ members }) =>
    members.flatMap(({ local }, index) =>
      local === undefined
        ? []
        : (["pooler", "health"] as const).flatMap((key) =>
            unless(
              !isIpAddress(local[key].host),
              ["members", index, "local", key],
              `expected a container's name: its address changes when it is made anew; got ${local[key].host}`,
            ),
          ),
    ),
};
