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
  "gate-foreign-pause": [
    {
      part: "app-01",
      says: /somebody else paused app/,
      also: ["edge-pooler-paused"],
      breaks: (parts) => {
        const reason = "somebody else paused app at PgBouncer's console";
        Object.assign(parts.gate("app-01"), { state: "foreign", reason, databases: ["app"] });
        for (const one of parts.edge("app-01").databases) one.paused = true;
      },
    },
  ],
  "gate-paused": [
    {
      part: "app-02",
      says: /^app held by flip-db 4f1c, for another 3 s unless it is renewed; 2 clients wait$/,
      breaks: (parts) => {
        const lease = { holder: "flip-db 4f1c", expiresInMs: 2100, databases: ["app"] };
        Object.assign(parts.gate("app-02"), { state: "paused", waitingClients: 2, ...lease });
        for (const one of parts.edge("app-02").databases) one.paused = true;
      },
    },
    {
      part: "app-02",
      says: /being paused by flip-db/,
      breaks: (parts) => {
        const lease = { holder: "flip-db", expiresInMs: 900, databases: ["app"] };
        Object.assign(parts.gate("app-02"), { state: "pausing", ...lease });
      },
    },
  ],
  "gate-unreachable": [
    {
      part: "app-01",
      says: /connection refused/,
      breaks: (_parts, world) => {
        const edge = world.observation.edgePoolers.find((one) => one.name === "app-01");
        if (edge !== undefined) edge.gate = unreachable("GET /status: connection refused");
      },
    },
    {
      part: "app-01",
      says: /PgBouncer does not answer/,
      breaks: (parts) => {
        const reason = "PgBouncer does not answer: connection refused";
        Object.assign(parts.gate("app-01"), { state: "unreachable", reason, pooler: null });
      },
    },
  ],
  "edge-pooler-without-gate": [
    {
      part: "app-02",
      says: /no gate is declared/,
      breaks: (_parts, world) => {
        const edge = world.observation.edgePoolers.find((one) => one.name === "app-02");
        if (edge !== undefined) edge.gate = null;
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
