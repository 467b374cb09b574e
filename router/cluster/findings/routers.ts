/** The routers. Rows of the findings table, the most urgent first. */
import * as routers from "../conditions/routers.ts";
import type { FindingRow } from "./row.ts";

export const routerFindings = [
  {
    code: "router-misroutes",
    severity: "unsafe",
    condition: routers.routerMisroutes,
    means: "Writes of this app host reach a standby and fail there.",
    todo: "Look at bin/router ENV status; undo what was forced (bin/router ENV set pg-primary/MEMBER ready), or apply the right configuration (bin/router ENV apply).",
  },
  {
    code: "old-worker-misroutes",
    severity: "unsafe",
    condition: routers.oldWorkerMisroutes,
    means:
      "A reload left these sessions behind, where no check watches them: what they write on a member that still takes writes will be lost.",
    todo: "End them now: bin/router ENV sessions --close-old-workers --yes.",
  },
  {
    code: "router-unreachable",
    severity: "degraded",
    condition: routers.routerUnreachable,
    means: "Where this app host sends its writes is not known.",
    todo: "Look at HAProxy on its host; check the runtime address in the environment and the rights on the socket.",
  },
  {
    code: "router-master-unreachable",
    severity: "degraded",
    condition: routers.routerMasterUnreachable,
    means: "Workers that a reload left behind, and their sessions, are not seen.",
    todo: "Check the master address of PART in the environment and the rights on the socket.",
  },
  {
    code: "router-guard-closed",
    severity: "degraded",
    condition: routers.routerGuardClosed,
    means:
      "The split-brain guard refuses new clients of this app host; sessions that are open go on writing where they are.",
    todo: "Settle which member is primary (split-brain, above); the guard opens by itself.",
  },
  {
    code: "router-disagrees",
    severity: "degraded",
    condition: routers.routerDisagrees,
    means: "This app host cannot use a member that is well, or uses one nobody knows anything of.",
    todo: "Just after a change of roles wait for one check. If it lasts: bin/router ENV status, then the network between PART and the member.",
  },
  {
    code: "router-config-drift",
    severity: "degraded",
    condition: routers.routerConfigDrift,
    means: "The router may not act as the environment says, after its next reload at the latest.",
    todo: "See bin/router ENV diff; then bin/router ENV apply, or bring the change into the environment.",
  },
  {
    code: "server-forced",
    severity: "degraded",
    condition: routers.serverForced,
    means: "Somebody overrode the checks; nothing undoes that by itself.",
    todo: "bin/router ENV set BACKEND/SERVER ready, if nobody works on it.",
  },
  {
    code: "frontend-closed",
    severity: "degraded",
    condition: routers.frontendClosed,
    means: "Clients cannot connect to this port of the router.",
    todo: "Enable it on the Runtime API (enable frontend NAME), or reload: bin/router ENV apply.",
  },
  {
    code: "old-worker-sessions",
    severity: "degraded",
    condition: routers.oldWorkerSessions,
    means:
      "These sessions are watched by no check: after a change of primary they stay with the old one.",
    todo: "See bin/router ENV sessions. They end by themselves after hard-stop-after; bin/router ENV sessions --close-old-workers ends them now.",
  },
  {
    code: "sessions-on-down-server",
    severity: "degraded",
    condition: routers.sessionsOnDownServer,
    means:
      "They stay with a member that gets no writes: HAProxy 2.6 does not end sessions that came out of the queue.",
    todo: "See bin/router ENV sessions --backend pg-primary. If they last: restart these apps, or send shutdown session POINTER to the Runtime API of PART for each (bin/router ENV sessions --json names the pointers).",
  },
  {
    code: "clients-queued",
    severity: "note",
    condition: routers.clientsQueued,
    means: "Clients are held until a server is there, or timeout queue ends.",
    todo: "Nothing while the primary is being changed. Else mend what stands above: they get an error when timeout queue ends.",
  },
  {
    code: "router-config-unread",
    severity: "note",
    condition: routers.routerConfigUnread,
    means: "Whether the configuration has drifted is not known.",
    todo: "Check configuration.path and configuration.read in the environment, and the rights on the file.",
  },
] as const satisfies readonly FindingRow[];
