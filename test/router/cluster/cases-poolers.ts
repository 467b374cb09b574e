/** Cases for the findings about poolers. */
import { unreachable } from "../../support/cluster-world.ts";
import type { FindingCases } from "./finding-case.ts";

export const poolerCases = {
  "pooler-down": [
    {
      part: "dal-01",
      says: /connection refused/,
      breaks: (parts) => {
        parts.member("dal-01").pooler = unreachable(
          "PgBouncer at 10.0.0.1:6432: connection refused",
        );
      },
    },
  ],
  "pooler-paused": [
    {
      part: "dal-01",
      says: /database app is paused/,
      breaks: (parts) => {
        for (const one of parts.pooler("dal-01").databases) one.paused = true;
      },
    },
    {
      part: "dal-01",
      says: /as a whole is suspended/,
      breaks: (parts) => {
        parts.pooler("dal-01").state = "suspended";
      },
    },
  ],
  "pooler-clients-wait": [
    {
      part: "chi-02",
      says: /2 clients of app on app wait for a server, the first for 9 s/,
      breaks: (parts) => {
        for (const one of parts.pooler("chi-02").pools)
          Object.assign(one, { clientsWaiting: 2, maxWaitMs: 9000 });
      },
    },
  ],
  "pooler-points-elsewhere": [
    {
      part: "chi-02",
      says: /its database app leads to dal-01/,
      breaks: (parts) => {
        for (const one of parts.pooler("chi-02").databases) one.host = "10.0.0.1";
      },
    },
  ],
  "edge-pooler-down": [
    {
      part: "app-02",
      says: /connection refused/,
      breaks: (_parts, world) => {
        const edge = world.observation.edgePoolers.find((one) => one.name === "app-02");
        if (edge !== undefined)
          edge.pooler = unreachable("PgBouncer at 10.0.1.2:6432: connection refused");
      },
    },
  ],
  "edge-pooler-paused": [
    {
      part: "app-01",
      says: /database app is disabled/,
      breaks: (parts) => {
        for (const one of parts.edge("app-01").databases) one.disabled = true;
      },
    },
  ],
  "edge-pooler-clients-wait": [
    {
      part: "app-01",
      says: /wait for a server, the first for 6 s; it has 0/,
      breaks: (parts) => {
        for (const one of parts.edge("app-01").pools)
          Object.assign(one, { clientsWaiting: 1, maxWaitMs: 6000, servers: 0 });
      },
    },
  ],
  "edge-pooler-mode": [
    {
      part: "app-01",
      says: /pooled by session, declared by transaction/,
      breaks: (parts) => {
        for (const one of parts.edge("app-01").pools) one.mode = "session";
      },
    },
  ],
} satisfies FindingCases;
