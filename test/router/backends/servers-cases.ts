/**
 * What a router is told: tables of what is wanted, what is seen and what is remembered, and a router of
 * rules alone that carries the orders out, which must come to what is wanted from wherever it stands.
 */
import type { Test } from "tap";
import { serverNameAt } from "../../../router/haproxy/backend-sections.ts";
import type { ServerView } from "../../../router/haproxy/runtime/servers.ts";
import { systemClock } from "../../../kit/clock.ts";
import type { Keeping, RouterEvent } from "../../../router/backends/keeper/keeping.ts";
import { heed, look, planAll } from "../../../router/backends/keeper/look.ts";
import type {
  BackendPlan,
  Order,
  Remembered,
} from "../../../router/backends/keeper/server-orders.ts";
import {
  mergeServers,
  planServers,
  rememberedOfWorker,
} from "../../../router/backends/keeper/servers.ts";
import type { Memory, Wanted } from "../../../router/backends/keeper/servers.ts";
import { chanceOf } from "../../sim/random.ts";
import { serverView } from "../../support/server-view.ts";

const unchecked: BackendPlan = {
  name: "search",
  environment: "test",
  maxConnections: 50,
  check: undefined,
  drainGraceMs: 30_000,
  keepUntilUpMs: 0,
};
const check = { inter: 1000, fastinter: 500, downinter: 1000, rise: 2, fall: 3 };
const checked: BackendPlan = { ...unchecked, check };

const keeping: BackendPlan = { ...checked, keepUntilUpMs: 10_000 };

const at = (last: number): string => serverNameAt(`10.0.0.${last}`, 9200);
const server = (last: number, changes: Partial<ServerView> = {}): ServerView =>
  serverView(`search/${at(last)}`, {
    host: `10.0.0.${last}`,
    port: 9200,
    weight: 100,
    checked: false,
    ...changes,
  });
const inCheck = (last: number, changes: Partial<ServerView> = {}): ServerView =>
  server(last, { checked: true, ...changes });
const wanted = (...lasts: readonly (number | readonly [number, number])[]): Wanted => ({
  isWhole: true,
  servers: lasts.map((one) => {
    const [last, weight] = typeof one === "number" ? [one, 100] : one;
    return { ip: `10.0.0.${last}`, port: 9200, weight };
  }),
});

const words = ({ deed, acts }: Order): string[] => [
  deed,
  ...acts.map((act) =>
    act === "close-sessions"
      ? act
      : act
          .map(({ line }) => line.replace("set server ", "").replaceAll(/search\/\S+/g, "S"))
          .join("; "),
  ),
];

interface Row {
  readonly name: string;
  readonly given: {
    readonly backend?: BackendPlan;
    readonly wanted: Wanted;
    readonly seen: readonly ServerView[];
    readonly known?: readonly [last: number, Remembered][];
    readonly nowMs?: number;
  };
  readonly want: readonly (readonly string[])[];
  readonly notices?: readonly RegExp[];
}

const added = "add server S 10.0.0.1:9200 weight 0 maxconn 50";
const maint = { state: "maint", admin: ["maint"] } as const;
const drain = { state: "drain", admin: ["drain"] } as const;

const rows: readonly Row[] = [
  { name: "in step", given: { wanted: wanted(1), seen: [server(1)] }, want: [] },
  {
    name: "its checks were refused when it was started: that is no rest",
    given: { backend: checked, wanted: wanted(1), seen: [server(1)] },
    want: [["start", "enable health S"]],
  },
  {
    name: "who comes is not up yet: who goes serves on",
    given: {
      backend: keeping,
      wanted: wanted(2),
      seen: [inCheck(1), inCheck(2, { state: "down" })],
    },
    want: [],
  },
  {
    name: "and no longer than it may",
    given: {
      backend: keeping,
      wanted: wanted(2),
      seen: [inCheck(1), inCheck(2, { state: "down" })],
      known: [[1, { up: true, sparedSinceMs: 1000 }]],
      nowMs: 11_000,
    },
    want: [["drain", "S weight 0"]],
  },
  {
    name: "one of those who come is up: who goes, goes",
    given: {
      backend: keeping,
      wanted: wanted(2, 3),
      seen: [inCheck(1), inCheck(2), inCheck(3, { state: "down" })],
      known: [[1, { up: true, sparedSinceMs: 1000 }]],
      nowMs: 2000,
    },
    want: [["drain", "S weight 0"]],
  },
  {
    name: "who goes and is down serves nobody on",
    given: {
      backend: keeping,
      wanted: wanted(2),
      seen: [inCheck(1, { state: "down" }), inCheck(2, { state: "down" })],
    },
    want: [["drain", "S weight 0"]],
  },
  {
    name: "nobody is wanted: there is nobody to wait for",
    given: { backend: keeping, wanted: wanted(), seen: [inCheck(1)] },
    want: [["drain", "S weight 0"]],
  },
  {
    name: "new, without checks",
    given: { wanted: wanted(1), seen: [] },
    want: [["add", added, "S weight 100; S state ready"]],
  },
  {
    name: "new: its checks decide",
    given: { backend: checked, wanted: wanted(1), seen: [] },
    want: [
      [
        "add",
        `${added} check inter 1000ms fastinter 500ms downinter 1000ms rise 2 fall 3`,
        "enable health S; S weight 100; S state drain; S health down; S state ready",
      ],
    ],
  },
  {
    name: "after a reload: who was up is up",
    given: {
      backend: checked,
      wanted: wanted(1),
      seen: [],
      known: [[1, { up: true, isFormer: true }]],
    },
    want: [
      [
        "add",
        `${added} check inter 1000ms fastinter 500ms downinter 1000ms rise 2 fall 3`,
        "enable health S; S weight 100; S state ready",
      ],
    ],
  },
  {
    name: "after a reload: what was in maint by hand is again",
    given: { wanted: wanted(1), seen: [], known: [[1, { up: false, held: "maint" }]] },
    want: [["add", added, "S weight 100"]],
  },
  {
    name: "after a reload: what was in drain by hand is again",
    given: { wanted: wanted(1), seen: [], known: [[1, { up: false, held: "drain" }]] },
    want: [["add", added, "S weight 100; S state drain"]],
  },
  {
    name: "a process before this one died between its two lines",
    given: { backend: checked, wanted: wanted(1), seen: [server(1, { ...maint, weight: 0 })] },
    want: [["start", "enable health S; S weight 100; S state drain; S health down; S state ready"]],
  },
  {
    name: "wanted again while it leaves, and up: by way of maint, for who waits in the queue",
    given: { wanted: wanted(1), seen: [server(1, { weight: 0, sessions: 3 })] },
    want: [["start", "S weight 100; S state maint; S state ready"]],
  },
  {
    name: "wanted again while it leaves, and down: its checks bring it up",
    given: { backend: checked, wanted: wanted(1), seen: [server(1, { weight: 0, state: "down" })] },
    want: [["start", "S weight 100"]],
  },
  {
    name: "another weight",
    given: { wanted: wanted([1, 33]), seen: [server(1)] },
    want: [["weight", "S weight 33"]],
  },
  {
    name: "in maint by hand: left alone, and said",
    given: { wanted: wanted([1, 33]), seen: [server(1, maint)] },
    want: [],
    notices: [/^is in maint by hand and is left so; bin\/router test set search\/dns\.10/],
  },
  {
    name: "and said once",
    given: {
      wanted: wanted(1),
      seen: [server(1, drain)],
      known: [[1, { up: true, held: "drain" }]],
    },
    want: [],
  },
  {
    name: "put back by hand",
    given: { wanted: wanted(1), seen: [server(1)], known: [[1, { up: true, held: "drain" }]] },
    want: [],
    notices: [/^is in service again; it was in drain$/],
  },
  {
    name: "wanted no more, idle: one look without a new session comes first",
    given: { wanted: wanted(), seen: [server(1)] },
    want: [["drain", "S weight 0"]],
  },
  {
    name: "idle at the next look",
    given: {
      wanted: wanted(),
      seen: [server(1, { weight: 0 })],
      known: [[1, { up: true, leavingSinceMs: 0 }]],
    },
    want: [["remove", "S weight 0; S state maint", "del server S"]],
  },
  {
    name: "its sessions have their time",
    given: {
      wanted: wanted(),
      seen: [server(1, { weight: 0, sessions: 1, queued: 1 })],
      known: [[1, { up: true, leavingSinceMs: 0 }]],
      nowMs: 29_999,
    },
    want: [],
  },
  {
    name: "and no more",
    given: {
      wanted: wanted(),
      seen: [server(1, { weight: 0, sessions: 1 })],
      known: [[1, { up: true, leavingSinceMs: 0 }]],
      nowMs: 30_000,
    },
    want: [["remove", "S weight 0; S state maint", "close-sessions", "del server S"]],
  },
  {
    name: "left behind by a process before this one: its time begins now",
    given: { wanted: wanted(), seen: [server(1, { weight: 0, sessions: 1 })], nowMs: 99_000 },
    want: [],
  },
  {
    name: "a name without an answer: nobody goes, who is new comes",
    given: {
      wanted: { ...wanted(2), isWhole: false },
      seen: [server(1), server(2), server(3, maint)],
    },
    want: [],
  },
  {
    name: "a server of another name is nobody's",
    given: { wanted: wanted(), seen: [serverView("search/hold"), serverView("search/by-hand")] },
    want: [],
  },
  {
    name: "another process takes it out of service",
    given: {
      wanted: wanted(1),
      seen: [server(1, { weight: 0 })],
      known: [[1, { up: true, settled: "in" }]],
    },
    want: [["start", "S weight 100; S state maint; S state ready"]],
    notices: [/second backends process/],
  },
  {
    name: "another process puts it back",
    given: { wanted: wanted(), seen: [server(1)], known: [[1, { up: true, settled: "out" }]] },
    want: [["drain", "S weight 0"]],
    notices: [/second backends process/],
  },
];

function memoryOf(known: readonly [number, Remembered][] = []): Memory {
  return new Map(known.map(([last, one]) => [at(last), one]));
}

/** A router of rules alone: what its servers become by an order's commands. */
function obeyed(seen: readonly ServerView[], orders: readonly Order[]): ServerView[] {
  const servers = new Map(seen.map((one) => [one.server, one]));
  for (const { of, acts } of orders) {
    for (const act of acts) {
      const lines = act === "close-sessions" ? ["close"] : act.map((one) => one.line);
      for (const line of lines) {
        const now = servers.get(of.server);
        const after = lineDone(line, of.server, now);
        if (after === undefined) servers.delete(of.server);
        else servers.set(of.server, after);
      }
    }
  }
  return [...servers.values()];
}

function lineDone(line: string, name: string, now: ServerView | undefined): ServerView | undefined {
  const [, host = "", port = ""] = /^add server \S+ (\S+):(\d+)/.exec(line) ?? [];
  if (host !== "") {
    if (now !== undefined) throw new Error(`${name} is there already`);
    const view = { ...maint, host, port: Number(port), weight: 0, checked: false };
    return serverView(`search/${name}`, view);
  }
  if (now === undefined) throw new Error(`${line}: no such server`);
  if (line.startsWith("del server")) {
    if (now.state !== "maint") throw new Error("Only servers in maintenance mode can be deleted.");
    if (now.sessions > 0) throw new Error("Server still has connections attached to it.");
    return undefined;
  }
  if (line === "close") return { ...now, sessions: 0, queued: 0 };
  if (line.startsWith("enable health")) return { ...now, checked: true };
  const [, what = "", value = ""] = / (weight|state|health) (\S+)$/.exec(line) ?? [];
  if (what === "weight") return { ...now, weight: Number(value) };
  if (what === "health") return { ...now, state: now.state === "drain" ? "drain" : "down" };
  if (value === "ready") return { ...now, state: "up", admin: [] };
  return { ...now, ...(value === "maint" ? maint : drain) };
}

/** From any state, whatever DNS says on the way, the orders come to what is wanted at last. */
function comesToRest(roll: (limit: number) => number): string {
  const backend =
    roll(2) === 0
      ? { ...checked, keepUntilUpMs: roll(2) * 3000 }
      : { ...unchecked, drainGraceMs: roll(2) * 3000 };
  const views: Partial<ServerView>[] = [
    {},
    { weight: 0 },
    { ...maint, weight: 0 },
    { sessions: 2 },
  ];
  let seen = [1, 2, 3, 4, 5]
    .filter(() => roll(2) === 0)
    .map((last) => server(last, views[roll(views.length)]));
  let memory: Memory = new Map();
  let now = wanted();
  for (let look = 0; look < 60; look += 1) {
    const isSettled = look >= 20;
    if (!isSettled) {
      const lasts = [1, 2, 3, 4, 5].filter(() => roll(2) === 0);
      now = {
        ...wanted(...lasts.map((one) => [one, 1 + roll(256)] as const)),
        isWhole: roll(3) > 0,
      };
      if (roll(10) === 0) [seen, memory] = [[], rememberedOfWorker(memory, roll(2) === 0)];
    }
    const last = { ...now, isWhole: isSettled || now.isWhole };
    const before = new Set(seen.map((one) => one.server));
    const plan = planServers(backend, last, seen, memory, look * 1000);
    const kept = plan.orders.filter((one) => one.deed === "drain" || one.deed === "remove");
    if (!last.isWhole && kept.length > 0)
      return "an answer is missing, and somebody was taken away";
    seen = obeyed(seen, plan.orders);
    // A name that stands is never without its server.
    const lost = last.servers.filter(({ ip, port }) => {
      const name = serverNameAt(ip, port);
      return before.has(name) && !seen.some((one) => one.server === name);
    });
    if (lost.length > 0) return `${lost.map((one) => one.ip).join()} was removed and is wanted`;
    memory = plan.memory;
    // Checks find everybody well, and nobody opens a session where there is no weight.
    seen = seen.map((one) => (one.state === "down" ? { ...one, state: "up" } : one));
  }
  const want = now.servers.map(({ ip, weight }) => `${ip} ${weight} up`).toSorted();
  const got = seen.map((one) => `${one.host} ${one.weight} ${one.state}`).toSorted();
  return got.join() === want.join() ? "" : `${got.join(", ")} instead of ${want.join(", ")}`;
}

/** A backend that cannot be planned is said to, once, and is no other's affair. */
function oneFails(t: Test): void {
  const told: RouterEvent[] = [];
  const { signal } = new AbortController();
  const never = (): never => {
    throw new Error("port: expected 1 to 65535; got 0");
  };
  const keeper: Keeping = {
    router: { name: "r", runtime: "unix:/r" },
    backends: [unchecked, { ...unchecked, name: "other" }],
    wanted: (name) => (name === "search" ? never() : wanted(1)),
    ...{ down: () => undefined, deadlineMs: 1, everyMs: 1, signal, clock: systemClock },
    ...{ memories: new Map(), said: new Map(), isWanted: false, isOneByOne: false },
    tell: (event) => void told.push(event),
    state: {
      router: "r",
      seenAtMs: 0,
      error: undefined,
      pid: 1,
      version: "3.0",
      backends: [],
    },
  };
  const info = {
    version: "3.0",
    pid: 1,
    uptimeSeconds: 1,
    stopping: false,
    connections: 0,
    node: "",
  };
  const servers = [serverView("search/hold"), serverView("other/hold")];
  const view = { info, servers, queues: [], closedFrontends: [] };
  for (let round = 0; round < 2; round += 1) {
    const all = planAll(keeper, view);
    heed(keeper, all);
    look(keeper, view, all);
    t.same(
      all.map(({ plan }) => plan?.orders.length),
      [undefined, 1],
    );
  }
  t.match(told, [{ event: "failed", backend: "search", says: /stay as they are: port: expected/ }]);
  t.equal(told.length, 1, "once");
  t.match(keeper.state.backends, [{ isInStep: false }, { isInStep: false }]);
}

/** The cases of servers.ts. */
export function serversCases(t: Test): void {
  for (const { name, given, want, notices = [] } of rows) {
    const { backend = unchecked, seen, known, nowMs = 0 } = given;
    const plan = planServers(backend, given.wanted, seen, memoryOf(known), nowMs);
    t.strictSame(plan.orders.map(words), want, name);
    t.equal(plan.notices.length, notices.length, `${name}: notices`);
    for (const [index, pattern] of notices.entries()) t.match(plan.notices[index]?.says, pattern);
  }
  const one = { ip: "10.0.0.1", port: 80, weight: 200 };
  t.strictSame(
    mergeServers([[one, { ip: "fd00::1", port: 80, weight: 1 }], [one], [{ ...one, port: 81 }]]),
    [
      { ...one, weight: 256 },
      { ...one, port: 81 },
      { ip: "fd00::1", port: 80, weight: 1 },
    ],
    "an address of two names has both weights, as far as it goes",
  );
  oneFails(t);
  const seed = Number(process.env["SWITCHYARD_TEST_SEED"] ?? process.pid);
  t.comment(`seed ${seed}: SWITCHYARD_TEST_SEED=${seed} repeats it`);
  const chance = chanceOf(seed);
  const roll = (limit: number): number => chance.between(0, limit - 1);
  for (let round = 0; round < 500; round += 1) {
    const fault = comesToRest(roll);
    if (fault !== "") return void t.fail(`round ${round}: ${fault}`);
  }
  t.pass("500 histories come to rest");
  t.end();
}
