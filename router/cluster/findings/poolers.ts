/** The poolers beside the members and before the routers. Rows of the findings table, the most urgent first. */
import * as poolers from "../conditions/poolers.ts";
import type { FindingRow } from "./row.ts";

export const poolerFindings = [
  {
    code: "pooler-down",
    severity: "degraded",
    condition: poolers.poolerDown,
    means: "Routers may pass clients to this member, and they find no PgBouncer there.",
    todo: "Start PgBouncer on its host; check its address and admin login in the environment.",
  },
  {
    code: "pooler-paused",
    severity: "degraded",
    condition: poolers.poolerPaused,
    means: "Clients of this member wait.",
    todo: "If no flip runs: RESUME (or ENABLE the database) on the admin console of PART.",
  },
  {
    code: "pooler-clients-wait",
    severity: "degraded",
    condition: poolers.poolerClientsWait,
    means: "The pool is too small, its Postgres is stuck, or it is paused.",
    todo: "Look at SHOW POOLS on the admin console of PART and at pg_stat_activity.",
  },
  {
    code: "pooler-points-elsewhere",
    severity: "degraded",
    condition: poolers.poolerPointsElsewhere,
    means:
      "A node pooler leads to its own Postgres, for ever; this one bends the routing of writes.",
    todo: "Render its file again: bin/router ENV render --pooler PART.",
  },
  {
    code: "edge-pooler-down",
    severity: "degraded",
    condition: poolers.edgePoolerDown,
    means: "The apps of this host cannot reach the database through their pooler.",
    todo: "Start PgBouncer on its host; check its address and admin login in the environment.",
  },
  {
    code: "edge-pooler-paused",
    severity: "degraded",
    condition: poolers.edgePoolerPaused,
    means: "The apps of this host wait.",
    todo: "If no flip runs: RESUME (or ENABLE the database) on the admin console of PART.",
  },
  {
    code: "edge-pooler-clients-wait",
    severity: "degraded",
    condition: poolers.edgePoolerClientsWait,
    means: "No server is free or reachable for these clients.",
    todo: "Look at the router of this host (bin/router ENV status) and at SHOW POOLS on PART.",
  },
  {
    code: "edge-pooler-mode",
    severity: "degraded",
    condition: poolers.edgePoolerMode,
    means: "A flip would judge wrongly whom a pause can hold.",
    todo: "Render its file again (bin/router ENV render --edge PART), or correct poolMode in the environment.",
  },
] as const satisfies readonly FindingRow[];
