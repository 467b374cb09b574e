/** The poolers beside the members and before the routers. Rows of the findings table, the most urgent first. */
import * as gates from "../conditions/gates.ts";
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
    code: "gate-foreign-pause",
    severity: "degraded",
    condition: gates.gateForeignPause,
    means: "The gate did not pause it and will not end it; a flip refuses to begin.",
    todo: "Find out who paused it and why; then RESUME on the admin console of PART.",
  },
  {
    code: "gate-paused",
    severity: "degraded",
    condition: gates.gatePaused,
    means: "A flip lets the apps of this host wait for a moment.",
    todo: "Wait: the gate resumes by itself when nobody renews. If it stays, see what its holder does.",
  },
  {
    code: "gate-unreachable",
    severity: "degraded",
    condition: gates.gateUnreachable,
    means: "No flip can hold the apps of this host, and each would fail there once.",
    todo: "Start bin/pool-gate on its host; check the gate's url and token in the environment.",
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
  {
    code: "edge-pooler-without-gate",
    severity: "note",
    condition: gates.edgePoolerWithoutGate,
    means: "A flip cannot hold the apps of this host: each of their sessions is closed once.",
    todo: "Run bin/pool-gate beside PART and declare it as its gate (docs/pool-gate.md).",
  },
] as const satisfies readonly FindingRow[];
