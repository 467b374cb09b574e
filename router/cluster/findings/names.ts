/**
 * The names of the cluster, and the monitor that runs it. Rows of the findings table, the most
 * urgent first.
 */
import * as monitor from "../conditions/monitor.ts";
import * as names from "../conditions/names.ts";
import type { FindingRow } from "./row.ts";

export const nameFindings = [
  {
    code: "names-elsewhere",
    severity: "degraded",
    condition: names.namesElsewhere,
    means:
      "Clients that come by name get to another member than they should, or will after the next flip.",
    todo: "Start the registry if it does not answer (bin/registry start); bin/registry reconcile CLUSTER looks anew; if it stays so, bin/registry status shows its role source and the members' addresses, which bin/registry member update corrects.",
    duringFlip: "Wait for the flip, or bin/recovery ENV flip-db --resume FLIP.",
  },
  {
    code: "names-not-published",
    severity: "degraded",
    condition: names.namesNotPublished,
    means:
      "The registry cannot tell who takes writes: it guesses never, so the names stay or are gone.",
    todo: "See its reasons with bin/registry status; mend the role source, or the cluster.",
    duringFlip: "Wait for the flip, or bin/recovery ENV flip-db --resume FLIP.",
  },
  {
    code: "registry-unreachable",
    severity: "degraded",
    condition: names.registryUnreachable,
    means:
      "Resolvers answer what they had last, and no name follows a change: a flip refuses to begin.",
    todo: "Start it on its host (bin/registry start); check registry.url in the environment.",
  },
  {
    code: "registry-denied",
    severity: "degraded",
    condition: names.registryDenied,
    means: "Nothing can be said of the names, and a flip refuses to begin.",
    todo: "Put an admin token of that registry where registry.token of the environment reads it.",
  },
  {
    code: "registry-unknown-cluster",
    severity: "degraded",
    condition: names.registryUnknownCluster,
    means: "This cluster has no names.",
    todo: "bin/registry cluster create makes it; or correct registry.cluster in the environment.",
  },
  {
    code: "resolver-differs",
    severity: "degraded",
    condition: names.resolverDiffers,
    means: "Clients on that host are led elsewhere than all others.",
    todo: "bin/dns-resolver status on that host says what it serves, and since when.",
  },
  {
    code: "resolver-silent",
    severity: "degraded",
    condition: names.resolverSilent,
    means: "Clients on that host cannot resolve the names, unless they have a second resolver.",
    todo: "Start it on its host (bin/dns-resolver); check its address in registry.resolvers.",
  },
  {
    code: "resolver-behind",
    severity: "degraded",
    condition: names.resolverBehind,
    means: "Names on that host do not follow. For a moment after a change this is as it should be.",
    todo: "Look again; if it stays, bin/dns-resolver status on that host says why.",
  },
  {
    code: "resolver-stale",
    severity: "degraded",
    condition: names.nodeStale,
    means: "A flip does not wait for that resolver, and it may answer with what was.",
    todo: "bin/dns-resolver status on that host says why; bin/registry node revoke NODE forgets a host that is gone.",
  },
  {
    code: "names-unmatched",
    severity: "note",
    condition: names.namesUnmatched,
    means:
      "The names lead to addresses that the environment does not have: so it should be where members have overlay addresses.",
    todo: "Compare with bin/registry status; bin/registry member update corrects an address that is wrong.",
  },
  {
    code: "monitor-unreachable",
    severity: "degraded",
    condition: monitor.monitorUnreachable,
    means: "Nobody fails over by itself now, and flip-db, which asks the monitor, refuses.",
    todo: "Start it (pg_autoctl run); check monitor in the environment. If its host is lost: The monitor is lost for good in docs/names.md.",
  },
  {
    code: "monitor-unsettled",
    severity: "degraded",
    condition: monitor.monitorUnsettled,
    means: "The monitor is changing something, or cannot; flip-db refuses until it is done.",
    todo: "pg_autoctl show state, and pg_autoctl show events, on the monitor's host.",
  },
] as const satisfies readonly FindingRow[];
