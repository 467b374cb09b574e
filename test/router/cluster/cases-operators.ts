/** What operators keep down or closed on purpose: fences and maintenance windows. */
import type { FindingCases } from "./finding-case.ts";

const mark = {
  member: "chi-02",
  by: "anna@ops-1",
  at: "2026-11-21T02:00:00.000Z",
  why: "its disk is changed",
};

export const operatorCases = {
  "flip-unfinished": [
    {
      part: "20261121T020000-4f1c",
      says: /^the flip from dal-01 to chi-02, begun at 2026-11-21T02:00:00\.000Z, has no end; nobody holds/,
      breaks: (_parts, world) => {
        world.observation.unfinished = [
          {
            operationId: "20261121T020000-4f1c",
            from: "dal-01",
            to: "chi-02",
            startedAt: "2026-11-21T02:00:00.000Z",
            holder: null,
          },
        ];
      },
    },
  ],
  "member-fenced": [
    {
      part: "chi-02",
      says: /fenced by anna@ops-1 at 2026-11-21T02:00:00\.000Z \(its disk is changed\): kept down in app-01, app-02$/,
      breaks: (parts) => {
        for (const app of ["app-01", "app-02"]) {
          const { configuration } = parts.router(app);
          if (configuration.state === "known") configuration.value.fenced = [mark];
          for (const backend of ["pg-primary", "pg-replica"]) {
            const server = parts.server(app, backend, "chi-02");
            Object.assign(server, { state: "other", status: "MAINT", forced: ["maint"] });
          }
        }
      },
    },
    {
      part: "dal-01",
      says: /kept down in app-01, not in app-02, and it takes writes all the same$/,
      breaks: (parts) => {
        const { configuration } = parts.router("app-01");
        if (configuration.state !== "known") return;
        configuration.value.fenced = [{ ...mark, member: "dal-01", why: "" }];
      },
    },
    {
      part: "chi-02",
      says: /^its standby\.signal is a fence's, and no router's file keeps it down$/,
      breaks: (parts) => {
        parts.postgres("chi-02").signature = "fence standby";
      },
    },
  ],
  "maintenance-window": [
    {
      part: "orders",
      says: /^maintenance since 2026-11-21T02:00:00\.000Z by anna@ops-1: new disks \(workers is failed\)$/,
      breaks: (_parts, world) => {
        world.observation.maintenance = {
          id: "maintenance-1",
          since: mark.at,
          by: mark.by,
          reason: "new disks",
          steps: [
            { name: "page", state: "stands" },
            { name: "workers", state: "failed" },
          ],
        };
      },
    },
  ],
} satisfies FindingCases;
