/** Cases for the findings about routers. */
import { known, unreachable } from "../../support/cluster-world.ts";
import type { FindingCases } from "./finding-case.ts";

export const routerCases = {
  "router-misroutes": [
    {
      part: "app-01",
      says: /sends writes to chi-02, which is a standby/,
      breaks: (parts) => {
        Object.assign(parts.server("app-01", "pg-primary", "dal-01"), {
          state: "down",
          status: "DOWN",
          sessions: 0,
        });
        Object.assign(parts.server("app-01", "pg-primary", "chi-02"), {
          state: "up",
          status: "UP",
        });
      },
      also: ["router-disagrees"],
    },
    {
      part: "app-01",
      says: /sends writes to chi-02/,
      breaks: (parts) => {
        // Both are up and nobody can say that the guard stands in the running configuration.
        Object.assign(parts.server("app-01", "pg-primary", "chi-02"), {
          state: "up",
          status: "UP",
        });
        parts.router("app-01").configuration = unreachable("permission denied");
      },
      also: ["router-config-unread"],
    },
    {
      part: "app-01",
      says: /sends writes to chi-02/,
      breaks: (parts) => {
        // The guard turns new clients away, but these are there already.
        const standby = parts.server("app-01", "pg-primary", "chi-02");
        Object.assign(standby, { state: "up", status: "UP", sessions: 2 });
      },
      also: ["router-guard-closed"],
    },
  ],
  "router-unreachable": [
    {
      part: "app-02",
      says: /no such socket/,
      breaks: (parts) => {
        parts.router("app-02").runtime = unreachable(
          "show info on unix:/run/app-02.sock: no such socket",
        );
      },
    },
  ],
  "router-master-unreachable": [
    {
      part: "app-01",
      says: /permission denied/,
      breaks: (parts) => {
        Object.assign(parts.runtime("app-01"), {
          oldWorkers: null,
          masterError: "permission denied",
        });
      },
    },
  ],
  "router-guard-closed": [
    {
      part: "app-01",
      says: /dal-01 and chi-02 both pass for primary/,
      breaks: (parts) => {
        Object.assign(parts.server("app-01", "pg-primary", "chi-02"), {
          state: "up",
          status: "UP",
        });
      },
    },
  ],
  "router-disagrees": [
    {
      part: "app-01",
      says: /dal-01 takes writes, but is DOWN here \(L4TOUT\)/,
      breaks: (parts) => {
        const server = parts.server("app-01", "pg-primary", "dal-01");
        Object.assign(server, { state: "down", status: "DOWN", check: "L4TOUT", sessions: 0 });
      },
    },
    {
      part: "app-02",
      says: /chi-02 streams and is near, but is DOWN for reads/,
      breaks: (parts) => {
        Object.assign(parts.server("app-02", "pg-replica", "chi-02"), {
          state: "down",
          status: "DOWN",
        });
      },
    },
    {
      part: "app-01",
      says: /passes writes to chi-02, of which nothing is known/,
      breaks: (parts) => {
        parts.member("chi-02").postgres = unreachable("no answer");
        parts.health("chi-02").answer = "unreachable";
        Object.assign(parts.server("app-01", "pg-primary", "chi-02"), {
          state: "up",
          status: "UP",
        });
      },
      also: ["member-unreachable", "router-guard-closed"],
    },
  ],
  "router-config-drift": [
    {
      part: "app-01",
      says: /\/etc\/app-01\.cfg differs: line 12/,
      breaks: (parts) => {
        parts.router("app-01").configuration = known({
          drifted: true,
          firstDifference: "line 12",
          fenced: [],
        });
      },
    },
    {
      part: "app-02",
      says: /has chi-02 at 10\.0\.0\.9:6432, not 10\.0\.0\.2:6432/,
      breaks: (parts) => {
        parts.server("app-02", "pg-primary", "chi-02").address = "10.0.0.9";
      },
    },
    {
      part: "app-02",
      says: /has chi-02 at \[fd00::9\]:6432, not \[fd00::2\]:6432/,
      breaks: (parts, { environment }) => {
        for (const one of environment.members) {
          if (one.name === "chi-02") one.pooler.address.host = "fd00::2";
        }
        for (const app of ["app-01", "app-02"]) {
          parts.server(app, "pg-primary", "chi-02").address = "fd00::2";
        }
        parts.server("app-02", "pg-primary", "chi-02").address = "fd00::9";
      },
    },
    {
      part: "app-02",
      says: /has no pg-primary\/chi-02/,
      breaks: (parts) => {
        const runtime = parts.runtime("app-02");
        runtime.servers = runtime.servers.filter((one) => one.server !== "chi-02");
      },
    },
  ],
  "router-config-unread": [
    {
      part: "app-01",
      says: /permission denied/,
      breaks: (parts) => {
        parts.router("app-01").configuration = unreachable(
          "open /etc/app-01.cfg: permission denied",
        );
      },
    },
  ],
  "server-forced": [
    {
      part: "app-01",
      says: /pg-replica\/chi-02 is forced: maint/,
      breaks: (parts) => {
        const server = parts.server("app-01", "pg-replica", "chi-02");
        Object.assign(server, { state: "other", status: "MAINT", forced: ["maint"] });
      },
    },
  ],
  "old-worker-sessions": [
    {
      part: "app-01",
      says: /worker 99, 10 min old, still has 3 sessions/,
      breaks: (parts) => {
        parts.runtime("app-01").oldWorkers = [
          { pid: 99, uptimeS: 600, sessions: 3, writing: [{ server: "dal-01", sessions: 3 }] },
        ];
      },
    },
  ],
  "old-worker-misroutes": [
    {
      part: "app-01",
      says: /^worker 99 keeps 2 write sessions on chi-02, which is not the primary$/,
      breaks: (parts) => {
        parts.runtime("app-01").oldWorkers = [
          { pid: 99, uptimeS: 600, sessions: 2, writing: [{ server: "chi-02", sessions: 2 }] },
        ];
      },
      also: ["old-worker-sessions"],
    },
  ],
  "sessions-on-down-server": [
    {
      part: "app-02",
      says: /^2 sessions stay on chi-02, which is DOWN here$/,
      breaks: (parts) => {
        parts.server("app-02", "pg-primary", "chi-02").sessions = 2;
      },
    },
  ],
  "frontend-closed": [
    {
      part: "app-01",
      says: /pg-primary takes no connections/,
      breaks: (parts) => {
        parts.runtime("app-01").closedFrontends = ["pg-primary"];
      },
    },
  ],
  "clients-queued": [
    {
      part: "app-01",
      says: /5 clients wait in the queue of pg-primary/,
      breaks: (parts) => {
        parts.runtime("app-01").queued["pg-primary"] = 5;
      },
    },
  ],
} satisfies FindingCases;
