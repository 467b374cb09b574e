/**
 * What must hold between the values of an environment file, one row a rule. A file that passes the
 * schema and these rules describes a cluster that can exist.
 */
import { formatAddress } from "../kit/address.ts";
import { formatPath } from "./explain.ts";
import type { Path, Problem } from "./explain.ts";
import type { EnvironmentFile } from "./schema.ts";
import { backendRules } from "./backend-rules.ts";
import { hostRules } from "./host-rules.ts";
import { nameRules } from "./name-rules.ts";
import { formatDuration } from "./units.ts";
import { isIpAddress } from "./values.ts";

type Rule = (environment: EnvironmentFile) => Problem[];

/** A value at its place; two of the same are a problem at the second place. */
type Placed = readonly [path: Path, value: string | number];

function twice(placed: readonly Placed[]): Problem[] {
  const first = new Map<string | number, Path>();
  return placed.flatMap(([path, value]): Problem[] => {
    const earlier = first.get(value);
    if (earlier === undefined) {
      first.set(value, path);
      return [];
    }
    return [
      { path, message: `${value} stands twice; expected another than ${formatPath(earlier)}` },
    ];
  });
}

const maintenanceDeeds = ["do", "stopContainers", "wait"] as const;

const lists = ["hosts", "members", "routers", "edgePoolers"] as const;

const rules: Readonly<Record<string, Rule>> = {
  namesAreUnique: (environment) =>
    lists.flatMap((list) =>
      twice(environment[list].map((one, index) => [[list, index, "name"], one.name])),
    ),

  aliasesAreUnique: ({ aliases }) => twice(aliases.map((one, index) => [["aliases", index], one])),

  ordinalsAreUnique: ({ members }) =>
    twice(members.map((one, index) => [["members", index, "ordinal"], one.ordinal])),

  slotsAreUnique: ({ members }) =>
    twice(
      members.flatMap((one, index): Placed[] =>
        one.slot === undefined ? [] : [[["members", index, "slot"], one.slot]],
      ),
    ),

  memberAddressesAreUnique: ({ members }) =>
    twice(
      members.flatMap((one, index): Placed[] => [
        [["members", index, "postgres"], formatAddress(one.postgres)],
        [["members", index, "pooler", "address"], formatAddress(one.pooler.address)],
        [["members", index, "health"], formatAddress(one.health)],
      ]),
    ),

  edgePoolerAddressesAreUnique: ({ edgePoolers }) =>
    twice(
      edgePoolers.map((one, index) => [
        ["edgePoolers", index, "address"],
        formatAddress(one.address),
      ]),
    ),

  gatesAreUnique: ({ edgePoolers }) =>
    twice(
      edgePoolers.flatMap((one, index): Placed[] =>
        one.gate === undefined
          ? []
          : [[["edgePoolers", index, "gate", "url"], formatAddress(one.gate.url)]],
      ),
    ),

  // What is done to one member must not be done to another's data.
  controlsAreUnique: ({ members }) =>
    twice(
      members.flatMap(({ control, host }, index): Placed[] => {
        if (control === undefined) return [];
        const over = control.shell === undefined ? "" : ` over ${control.shell.join(" ")}`;
        const where = control.container === undefined ? over : ` in ${host}/${control.container}`;
        return [[["members", index, "control", "data"], `${control.data}${where}`]];
      }),
    ),

  // Routers stand on different hosts, so only the addresses of one router must differ.
  listenAddressesDiffer: ({ routers }) =>
    routers.flatMap(({ listen }, index) =>
      twice(
        (["write", "read", "stats"] as const).map((name) => [
          ["routers", index, "listen", name],
          formatAddress(listen[name]),
        ]),
      ),
    ),

  // The same name on two hosts is two containers.
  runtimeAddressesAreUnique: ({ routers }) =>
    twice(
      routers.flatMap((one, index): Placed[] =>
        (["runtime", "master"] as const).flatMap((key): Placed[] => {
          const address = one[key];
          if (address === undefined) return [];
          const on = address.startsWith("docker:") ? ` on ${one.host}` : "";
          return [[["routers", index, key], `${address}${on}`]];
        }),
      ),
    ),

  ...hostRules,
  ...nameRules,
  ...backendRules,

  oneManager: ({ members: [first, ...others] }) =>
    others.flatMap(({ manager }, index): Problem[] =>
      manager === first?.manager
        ? []
        : [
            {
              path: ["members", index + 1, "manager"],
              message: `expected the manager of members[0] (${first?.manager}): one manager runs a cluster; got ${manager}`,
            },
          ],
    ),

  sitesAreComplete: ({ members, routers }) => {
    const sited = [...members, ...routers].some((one) => one.site !== undefined);
    const missing = (list: "members" | "routers", all: readonly { site?: string | undefined }[]) =>
      all.flatMap((one, index): Problem[] =>
        !sited || one.site !== undefined
          ? []
          : [
              {
                path: [list, index, "site"],
                message: "expected a site, since others have one; it is missing",
              },
            ],
      );
    return [...missing("members", members), ...missing("routers", routers)];
  },

  flapGuardsAreOrdered: ({ members }) =>
    members.flatMap(({ flapGuard }, index) =>
      typeof flapGuard === "string"
        ? []
        : (["fastinter", "downinter"] as const).flatMap((key): Problem[] =>
            flapGuard[key] <= flapGuard.inter
              ? []
              : [
                  {
                    path: ["members", index, "flapGuard", key],
                    message: `expected at most inter (${formatDuration(flapGuard.inter)}); got ${formatDuration(flapGuard[key])}`,
                  },
                ],
          ),
    ),

  verifyFullHasItsAuthority: ({ login }) => {
    if (login.tls === "verify-full" && login.tlsCa === undefined) {
      return [
        {
          path: ["login", "tlsCa"],
          message: "expected the path of a CA certificate, since tls is verify-full; it is missing",
        },
      ];
    }
    if (login.tls !== "verify-full" && login.tlsCa !== undefined) {
      return [
        {
          path: ["login", "tlsCa"],
          message: `is used with tls: verify-full alone; tls is ${login.tls}`,
        },
      ];
    }
    return [];
  },

  namesHaveAResolver: ({ members, haproxy, routers }) => {
    const named = members.find((one) =>
      [one.pooler.address, one.health].some(({ host }) => !isIpAddress(host)),
    );
    // A router in a container asks Docker's own where nothing else is said.
    const asksDocker = routers.length > 0 && routers.every(({ host }) => host !== undefined);
    return named === undefined || haproxy.resolver !== undefined || asksDocker
      ? []
      : [
          {
            path: ["haproxy", "resolver"],
            message: `expected the address of a DNS server, since ${named.name} is addressed by name; it is missing`,
          },
        ];
  },

  maintenanceStepsDoOneThing: ({ maintenance: { steps } }) => [
    ...twice(steps.map((one, index) => [["maintenance", "steps", index, "name"], one.name])),
    ...steps.flatMap((step, index): Problem[] => {
      const path = ["maintenance", "steps", index];
      const given = maintenanceDeeds.filter((key) => step[key] !== undefined);
      if (given.length !== 1) {
        const found = given.length === 0 ? "it has none" : `it has ${given.join(" and ")}`;
        return [{ path, message: `expected one of ${maintenanceDeeds.join(", ")}; ${found}` }];
      }
      const idle = (["undo", "isUp"] as const).filter((key) => step.do === undefined && step[key]);
      const elsewhere = step.wait !== undefined && step.shell !== undefined ? ["shell"] : [];
      return [...idle, ...elsewhere].map((key) => ({
        path: [...path, key],
        message: `does not go with ${given.join("")}`,
      }));
    }),
  ],

  queueOutlastsConnect: ({ haproxy }) =>
    haproxy.queueTimeout > haproxy.connectTimeout
      ? []
      : [
          {
            path: ["haproxy", "queueTimeout"],
            message: `expected more than connectTimeout (${formatDuration(haproxy.connectTimeout)}); got ${formatDuration(haproxy.queueTimeout)}`,
          },
        ],
};

/** Everything in an environment file that contradicts something else in it. */
export function contradictions(environment: EnvironmentFile): Problem[] {
  return Object.values(rules).flatMap((rule) => rule(environment));
}
