/** What makes the prechecks of the names fire: a registry or a resolver that cannot follow. */
import { membersAt, name, published } from "../cluster/cases-names.ts";
import type { PrecheckCase } from "./precheck-cases.ts";
import type { Handles } from "./precheck-world.ts";

export const namesCases: readonly PrecheckCase[] = [
  {
    code: "H16-registry",
    breaks: ({ world }) => name(world, new Error("connection refused")),
    says: /^the registry at 10\.0\.0\.9:8053: connection refused$/,
  },
  {
    code: "H16-registry",
    breaks: ({ world }) => name(world, { kind: "denied", says: "Invalid Token" }),
    says: /^Invalid Token$/,
  },
  ...(["silent", "ambiguous", "unknown", "no-primary"] as const).map((outcome) => ({
    code: "H16-registry",
    breaks: ({ world }: Handles) => {
      const none = { outcome, reasons: ["why"], standbys: [] };
      name(world, published(none));
    },
    says: new RegExp(`^the registry says ${outcome}; why$`),
  })),
  ...[
    { members: [], says: /^chi-02 is no member there$/ },
    {
      members: [{ name: "chi-02", addresses: [] }],
      says: /^chi-02 has no address there$/,
    },
    {
      members: membersAt("10.0.0.1"),
      says: /^the registry has chi-02 at 10\.0\.0\.1, the address of dal-01$/,
    },
  ].map(({ members, says }) => ({
    code: "H16-registry",
    breaks: ({ world }: Handles) => name(world, published({ members })),
    says,
  })),
  {
    code: "H16-resolvers",
    breaks: ({ world }) => name(world, published(), new Error("no answer")),
    says: /^app-01: no answer$/,
  },
  {
    code: "H16-resolvers",
    breaks: ({ world }) => {
      const stale = { name: "app-02", applied: 5, health: "stale", errors: [] } as const;
      name(world, published({ nodes: [stale] }));
    },
    says: /^app-02: the registry has not heard of its resolver of late, so nobody waits for it$/,
  },
];
