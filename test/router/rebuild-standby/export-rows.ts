/** The cases of a plan that run something on the host, or leave something there: exports and hooks. */
import type { Row } from "./plan-rows.ts";

const volumes = { container: "prod-postgres", targets: ["/pg", "/srv/backup"] };
const inContainer = { forked: true, member: { volumes } } as const;

export const exportRows: readonly Row[] = [
  {
    name: "an export into the container's volume",
    given: { ...inContainer, request: { exportTo: "/pg/thrown-away" } },
    want: { method: "rewind" },
    risks: [],
    plan: { exportTo: "/pg/thrown-away" },
  },
  {
    name: "into another one, which is the folder itself",
    given: { ...inContainer, request: { exportTo: "/srv/backup/" } },
    want: { method: "rewind" },
  },
  {
    name: "what is in no volume would be gone with the container of the programs",
    given: { ...inContainer, request: { exportTo: "/tmp/thrown-away" } },
    want: {
      refused:
        /^\/tmp\/thrown-away is not in a volume of container prod-postgres and would be gone with it; choose a folder in \/pg$/,
    },
  },
  {
    name: "a name that only begins like a volume",
    given: { ...inContainer, request: { exportTo: "/pg2/x" } },
    want: { refused: /not in a volume/ },
  },
  {
    name: "a link that leads out of the volume",
    given: { ...inContainer, request: { exportTo: "/pg/x" }, layout: { realExport: "/tmp/x" } },
    want: { refused: /^\/pg\/x is not in a volume/ },
  },
  {
    name: "dots that lead out of it",
    given: { ...inContainer, request: { exportTo: "/pg/x/../../tmp" } },
    want: { refused: /without/ },
  },
  {
    name: "a container whose data is in none: all that it has are named",
    given: {
      forked: true,
      member: { volumes: { container: "c", targets: ["/a", "/b"] } },
      request: { exportTo: "/x" },
    },
    want: { refused: /choose a folder in \/a or \/b/ },
  },
  {
    name: "on a host of its own any folder will do",
    given: { forked: true, request: { exportTo: "/tmp/thrown-away" } },
    want: { method: "rewind" },
  },
  {
    name: "but not one that its owner cannot make",
    given: { forked: true, request: { exportTo: "/root/x" }, layout: { realExport: null } },
    want: { refused: /can make no folder \/root\/x/ },
  },
  ...["/pg/data", "/pg/data/x", "/pg/data.old-7/x", "/pg//data.kept-7", "/wal/x/y"].map(
    (exportTo): Row => ({
      name: `nor what a rebuild throws away: ${exportTo}`,
      given: { forked: true, request: { exportTo }, layout: { walLink: "/wal/x" } },
      want: { refused: /which a rebuild throws away/ },
    }),
  ),
  {
    name: "beside the data, by a name of the operator's",
    given: { forked: true, request: { exportTo: "/pg/data.thrown-away" } },
    want: { method: "rewind" },
  },
  {
    name: "nothing is asked of the folder where nothing is exported",
    given: { ...inContainer },
    want: { method: "rewind" },
    risks: ["divergence"],
  },
  {
    name: "a snapshot by a program that the image lacks",
    given: {
      forked: true,
      layout: { missingHook: "zfs" },
      request: { hooks: { snapshot: true, restartPooler: false } },
    },
    want: { refused: /the image of its container has no zfs/ },
  },
  {
    name: "no matter where none is taken",
    given: {
      layout: { missingHook: "zfs" },
      request: { hooks: { snapshot: true, restartPooler: false } },
    },
    want: { method: "start" },
  },
];
