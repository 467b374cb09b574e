/** Environment files whose backends contradict each other, or the routers: a table of config.test.ts. */
import { base, edge, router } from "./wrong-files.ts";
import type { Tree } from "./wrong-files.ts";

function backend(more: Tree = {}, target: Tree = {}): Tree {
  const targets = [{ hostname: "search.example.com", port: 9200, ...target }];
  return { name: "search", port: 9200, targets, ...more };
}

export const contradictoryBackends: readonly { name: string; given: Tree; want: string }[] = [
  {
    name: "a backend's name twice",
    given: { ...base, backends: [backend(), backend({ port: 9201 })] },
    want: "backends[1].name: search stands twice; expected another than backends[0].name",
  },
  {
    name: "a backend's port twice",
    given: { ...base, backends: [backend(), backend({ name: "other" })] },
    want: "backends[1].port: 9200 stands twice; expected another than backends[0].port",
  },
  {
    name: "a backend named as a section of the router is",
    given: { ...base, backends: [backend({ name: "probe-x" })] },
    want: "backends[0].name: expected a name that no section of the router has",
  },
  {
    name: "a backend where the router takes reads",
    given: { ...base, backends: [backend({ port: 6434 })] },
    want: "backends[0].port: expected a port that is free; 6434 is that of listen.read of router app-01",
  },
  {
    name: "a backend where the router shows its statistics, at every address",
    given: {
      ...base,
      routers: [
        router(1, {
          listen: { write: "10.0.1.1:6433", read: "10.0.1.1:6434", stats: "0.0.0.0:8404" },
        }),
      ],
      backends: [backend({ port: 8404 })],
    },
    want: "backends[0].port: expected a port that is free; 8404 is that of listen.stats of router app-01",
  },
  {
    name: "a backend where an edge pooler listens",
    given: {
      ...base,
      routers: [
        router(1, {
          listen: { write: "10.0.1.1:6433", read: "10.0.1.1:6434", stats: "10.0.1.1:8404" },
        }),
      ],
      edgePoolers: [edge(1)],
      backends: [backend({ port: 6432 })],
    },
    want: "backends[0].port: expected a port that is free; 6432 is that of edge pooler edge-01",
  },
  {
    name: "a check that is slower while it is changing",
    given: { ...base, backends: [backend({ check: { inter: "1s", fastinter: "2s" } })] },
    want: "backends[0].check.fastinter: expected at most inter (1s); got 2s",
  },
  {
    name: "a host name twice",
    given: {
      ...base,
      backends: [backend({ targets: [1, 2].map((port) => ({ hostname: "a.b", port })) })],
    },
    want: "backends[0].targets[1].hostname: a.b stands twice; expected another than backends[0].targets[0].hostname",
  },
  {
    name: "a host name twice, in another case and with the root's dot",
    given: {
      ...base,
      backends: [backend({ targets: ["a.b", "A.B."].map((hostname) => ({ hostname, port: 80 })) })],
    },
    want: "backends[0].targets[1].hostname: A.B. stands twice; expected another than backends[0].targets[0].hostname",
  },
  {
    name: "an address that is no host's",
    given: { ...base, backends: [backend({}, { hostname: "0.0.0.0" })] },
    want: "backends[0].targets[0].hostname: expected an address that a server can have; got 0.0.0.0",
  },
  {
    name: "SRV records of an address",
    given: { ...base, backends: [backend({}, { hostname: "10.0.0.1", srv: "_http._tcp" })] },
    want: "backends[0].targets[0].srv: expected none beside an IP address; 10.0.0.1 has no SRV records",
  },
  {
    name: "an address of the other family",
    given: { ...base, backends: [backend({}, { hostname: "10.0.0.1", family: "ipv6" })] },
    want: "backends[0].targets[0].hostname: expected a name or an ipv6 address, since family is ipv6; got 10.0.0.1",
  },
  {
    name: "a target without a port",
    given: { ...base, backends: [backend({ targets: [{ hostname: "a.b" }] })] },
    want: "backends[0].targets[0].port: expected a port, since there is no srv; it is missing",
  },
  {
    name: "a shortest pause that is longer than the longest",
    given: { ...base, backends: [backend({}, { minRefresh: "10s", maxRefresh: "5s" })] },
    want: "backends[0].targets[0].minRefresh: expected at most maxRefresh (5s); got 10s",
  },
  {
    name: "a policy that says nothing",
    given: { ...base, backends: [backend({}, { onTimeout: {} })] },
    want: "backends[0].targets[0].onTimeout: expected times, time or both; it has none",
  },
];
