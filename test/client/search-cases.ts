/** Searches over scripted servers in virtual time: what is dialled when, who wins, what is left. */
import t from "tap";
import type { TargetSessionAttrs } from "../../client/target/attributes.ts";
import { ConnectError } from "../../client/errors.ts";
import { ScriptedServers } from "./scripted-servers.ts";
import type { Manner } from "./scripted-servers.ts";

const [a, b, c, d] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"] as const;

const failure = async (work: Promise<unknown>): Promise<ConnectError> => {
  try {
    await work;
  } catch (error) {
    if (error instanceof ConnectError) return error;
    throw error;
  }
  throw new Error("it should have failed");
};

interface Case {
  readonly name: string;
  readonly manners: Readonly<Record<string, Manner>>;
  readonly attributes: TargetSessionAttrs;
  /** The address that passes, or the code of the error. */
  readonly want: string;
}

const searches: readonly Case[] = [
  {
    name: "the primary behind a standby of the same name",
    manners: { [a]: "standby", [b]: "primary" },
    attributes: "read-write",
    want: b,
  },
  {
    name: "a primary that takes no writes is primary, and not read-write",
    manners: { [a]: "read-only primary", [b]: "primary" },
    attributes: "read-write",
    want: b,
  },
  {
    name: "a primary that takes no writes is still the primary",
    manners: { [a]: "read-only primary", [b]: "standby" },
    attributes: "primary",
    want: a,
  },
  {
    name: "a black hole does not hold up the next",
    manners: { [a]: "black hole", [b]: "black hole", [c]: "primary" },
    attributes: "read-write",
    want: c,
  },
  {
    name: "what starts or is full is passed over",
    manners: { [a]: "starting", [b]: "full", [c]: "tls", [d]: "primary" },
    attributes: "primary",
    want: d,
  },
  {
    name: "a wrong password stops the search",
    manners: { [a]: "standby", [b]: "authentication", [c]: "primary" },
    attributes: "read-write",
    want: "28P01",
  },
  {
    name: "any takes the first",
    manners: { [a]: "standby", [b]: "primary" },
    attributes: "any",
    want: a,
  },
  {
    name: "standby",
    manners: { [a]: "primary", [b]: "standby" },
    attributes: "standby",
    want: b,
  },
  {
    name: "read-only takes a primary that takes no writes",
    manners: { [a]: "primary", [b]: "read-only primary" },
    attributes: "read-only",
    want: b,
  },
  {
    name: "prefer-standby takes the standby that comes last",
    manners: { [a]: "primary", [b]: "primary", [c]: "standby" },
    attributes: "prefer-standby",
    want: c,
  },
  {
    name: "prefer-standby takes the primary where there is no standby",
    manners: { [a]: "refused", [b]: "primary" },
    attributes: "prefer-standby",
    want: b,
  },
  {
    name: "prefer-standby takes the primary where the standby is a black hole",
    manners: { [a]: "black hole", [b]: "primary" },
    attributes: "prefer-standby",
    want: b,
  },
  {
    name: "all refuse",
    manners: { [a]: "refused", [b]: "refused" },
    attributes: "read-write",
    want: "ECONNREFUSED",
  },
  {
    name: "no primary among those that answer",
    manners: { [a]: "standby", [b]: "refused" },
    attributes: "read-write",
    want: "ERR_NO_SERVER",
  },
  {
    name: "nothing but black holes",
    manners: { [a]: "black hole", [b]: "black hole" },
    attributes: "read-write",
    want: "ETIMEDOUT",
  },
];

for (const { name, manners, attributes, want } of searches) {
  t.test(name, async (t) => {
    const servers = new ScriptedServers();
    for (const [address, manner] of Object.entries(manners)) servers.manners.set(address, manner);
    servers.names.set("db", Object.keys(manners));
    const outcome = await servers.time.until(
      servers.find(servers.finder(), "db", attributes).then(
        ({ value, address }) => {
          t.equal(address.host, "db", "the name stays, for TLS");
          return value.address;
        },
        (error: ConnectError) => error.code,
      ),
    );
    t.equal(outcome, want);
    t.equal(
      servers.open.size,
      want === outcome && want.includes(".") ? 1 : 0,
      "one session is left",
    );
    t.equal(servers.time.waiting, 0, "no timer is left behind");
    t.ok(servers.mostAuthenticating <= 2, "few authenticate side by side");
  });
}

t.test("the error names every address with its last reason, and nothing twice", async (t) => {
  const servers = new ScriptedServers();
  servers.manners.set(a, "standby").set(b, "black hole").set(c, "refused");
  servers.names.set("db", [a, b]);
  servers.names.set("gone", Object.assign(new Error("no such name"), { code: "ENOTFOUND" }));
  const finder = servers.finder({ deadlineMs: 3000 });
  const error = await servers.time.until(
    failure(servers.find(finder, `db,gone,${c}`, "read-write")),
  );
  t.same(
    error.attempts.map(({ host, address, reason, code }) => [host, address, reason, code]).sort(),
    [
      ["10.0.0.3", c, "refused", "ECONNREFUSED"],
      ["db", a, "role", undefined],
      ["db", b, "timeout", "ETIMEDOUT"],
      ["gone", undefined, "dns", "ENOTFOUND"],
    ],
  );
  t.equal(error.code, "ERR_NO_SERVER");
  t.equal(error.wanted, "read-write");
  t.ok(error.rounds > 3, "it went round more than once");
  t.match(error.message, /^no server for read-write among db:5432, gone:5432, 10\.0\.0\.3:5432 \(/);
  for (const word of [`${a}:5432 (db) role`, `${b}:5432 (db) timeout`, "gone:5432 dns"]) {
    t.ok(error.message.includes(word), word);
  }
  t.notMatch(error.message, "\n");
});

t.test("a search that found the primary once goes straight there", async (t) => {
  const servers = new ScriptedServers();
  servers.names.set("db", [a, b]);
  servers.manners.set(a, "standby").set(b, "primary");
  const finder = servers.finder();
  await servers.time.until(servers.find(finder, "db", "read-write"));
  const since = servers.time.now();
  t.equal((await servers.time.until(servers.find(finder, "db", "read-write"))).value.address, b);
  t.same([servers.dialled(a, since), servers.dialled(b, since)], [0, 1]);
  const endpoints = [{ host: "db", port: 5432, hostaddr: undefined }];
  const known = finder.lastKnown(endpoints, "read-write");
  t.equal(known?.address, b);
  t.equal(
    finder.lastKnown(endpoints, "standby"),
    undefined,
    "for what was looked for, and no more",
  );
  if (known !== undefined) finder.forget(known);
  t.equal(finder.lastKnown(endpoints, "read-write"), undefined);
});

t.test("who is no longer named is not gone to, however well it answered", async (t) => {
  const servers = new ScriptedServers();
  servers.names.set("db", [a]);
  servers.manners.set(a, "primary").set(b, "primary");
  const finder = servers.finder();
  await servers.time.until(servers.find(finder, "db", "read-write"));
  servers.names.set("db", [b]);
  await servers.time.pass(6000);
  t.equal((await servers.time.until(servers.find(finder, "db", "read-write"))).value.address, b);
  t.equal(servers.dialled(a), 1);
});

t.test("a role that is not right asks the name servers again, whatever is cached", async (t) => {
  const servers = new ScriptedServers();
  servers.names.set("db", [a]);
  servers.manners.set(a, "primary");
  const finder = servers.finder();
  await servers.time.until(servers.find(finder, "db", "read-write"));
  servers.manners.set(a, "standby").set(b, "primary");
  servers.names.set("db", [b]);
  t.equal((await servers.time.until(servers.find(finder, "db", "read-write"))).value.address, b);
  t.equal(servers.dialled(a), 2);
});

t.test("name servers that are silent stop nobody who knows addresses from before", async (t) => {
  const servers = new ScriptedServers();
  servers.names.set("db", [a, b]);
  servers.manners.set(a, "primary").set(b, "standby");
  const finder = servers.finder();
  await servers.time.until(servers.find(finder, "db", "read-write"));
  servers.names.set("db", "silent");
  servers.manners.set(a, "black hole").set(b, "primary");
  await servers.time.pass(60_000);
  const since = servers.time.now();
  t.equal((await servers.time.until(servers.find(finder, "db", "read-write"))).value.address, b);
  t.ok(servers.time.now() - since < 400, "it waited for one stagger and no more");
});

t.test("names that fail and come back are found within the deadline", async (t) => {
  const servers = new ScriptedServers();
  servers.names.set("db", Object.assign(new Error("try again"), { code: "EAI_AGAIN" }));
  servers.manners.set(a, "primary");
  const search = servers.find(servers.finder(), "db", "read-write");
  await servers.time.pass(4000);
  servers.names.set("db", [a]);
  t.equal((await servers.time.until(search)).value.address, a);
});

for (const old of ["refused", "black hole", "standby", "starting"] as const) {
  t.test(`a flip is followed soon after the promotion; the old one: ${old}`, async (t) => {
    const servers = new ScriptedServers();
    servers.names.set("db", [a, b]);
    servers.manners.set(a, "primary").set(b, "standby");
    const finder = servers.finder();
    const clients = Array.from({ length: 20 }, () => servers.find(finder, "db", "read-write"));
    await servers.time.until(Promise.all(clients));
    servers.open.clear();
    servers.manners.set(a, old);
    const flipAt = servers.time.now();
    const again = Array.from({ length: 20 }, () => servers.find(finder, "db", "read-write"));
    await servers.time.pass(1500);
    t.equal(servers.open.size, 0);
    servers.manners.set(b, "primary");
    const promotedAt = servers.time.now();
    const sessions = await servers.time.until(Promise.all(again));
    t.ok(sessions.every(({ value }) => value.address === b));
    const tookMs = servers.time.now() - promotedAt;
    t.ok(tookMs < 100, `${tookMs} ms after the promotion`);
    t.ok(servers.dialled(a, flipAt) <= 20 + 100, "the old one is not stormed");
    t.ok(servers.dialled(b, flipAt) <= 20 + 100, "nor is the new one");
    t.equal(servers.time.waiting, 0);
    t.equal(servers.open.size, 20);
  });
}

t.test("many at once over dead addresses: one explores, the others follow", async (t) => {
  for (const [manner, most] of [
    ["refused", 1],
    ["black hole", 1],
  ] as const) {
    const servers = new ScriptedServers();
    const dead = [a, b, c];
    servers.names.set("db", [...dead, d]);
    for (const address of dead) servers.manners.set(address, manner);
    servers.manners.set(d, "primary");
    const finder = servers.finder();
    const clients = Array.from({ length: 20 }, () => servers.find(finder, "db", "read-write"));
    await servers.time.until(Promise.all(clients));
    for (const address of dead) t.ok(servers.dialled(address) <= most, `${manner} ${address}`);
    t.equal(servers.dialled(d), 20);
    t.equal(servers.open.size, 20);
    t.equal(servers.time.waiting, 0);
  }
});

t.test("many at once with nobody to find: rounds do not grow with their number", async (t) => {
  const dialsOf = async (count: number): Promise<number> => {
    const servers = new ScriptedServers();
    servers.names.set("db", [a, b]);
    servers.manners.set(a, "standby").set(b, "refused");
    const finder = servers.finder();
    const clients = Array.from({ length: count }, () => servers.find(finder, "db", "read-write"));
    const errors = await servers.time.until(Promise.all(clients.map((one) => failure(one))));
    for (const { attempts } of errors) t.equal(attempts.length, 2, "each tells of both");
    // A question that was put in the last moment ends by itself.
    await servers.time.pass(1);
    t.equal(servers.time.waiting, 0);
    return servers.dials.length;
  };
  const [alone, many] = [await dialsOf(1), await dialsOf(20)];
  t.ok(many <= alone * 1.1, `${many} dials of 20, ${alone} of one`);
});

t.test("a password that is wrong for all is tried once by each", async (t) => {
  const servers = new ScriptedServers();
  servers.names.set("db", [a, b]);
  servers.manners.set(a, "black hole").set(b, "authentication");
  const finder = servers.finder();
  const clients = Array.from({ length: 20 }, () => servers.find(finder, "db", "read-write"));
  const errors = await servers.time.until(Promise.all(clients.map((one) => failure(one))));
  t.ok(errors.every(({ code }) => code === "28P01"));
  t.equal(servers.dialled(b), 20);
  t.ok(servers.dialled(a) <= 1);
});

t.test("one that explores and gives up hands on to another", async (t) => {
  const servers = new ScriptedServers();
  servers.names.set("db", [a]);
  servers.manners.set(a, "standby");
  const finder = servers.finder();
  const first = new AbortController();
  const left = servers.find(finder, "db", "read-write", { signal: first.signal });
  const stays = servers.find(finder, "db", "read-write");
  await servers.time.pass(100);
  first.abort(new Error("the user went home"));
  await t.rejects(servers.time.until(left), { message: "the user went home" });
  servers.manners.set(a, "primary");
  t.equal((await servers.time.until(stays)).value.address, a);
  t.equal(servers.time.waiting, 0);
});

t.test("an abort leaves nothing behind, at whatever moment it comes", async (t) => {
  for (let ms = 0; ms <= 700; ms += 1) {
    const servers = new ScriptedServers();
    servers.names.set("db", [a, b, c]);
    servers.manners.set(a, "black hole").set(b, "standby").set(c, "primary");
    servers.delays.set(c, 300);
    const controller = new AbortController();
    const { signal } = controller;
    const search = servers.find(servers.finder(), "db", "read-write", { signal });
    const outcome = search.then(
      () => "found",
      (error: unknown) => error,
    );
    await servers.time.pass(ms);
    const reason = new Error("enough");
    controller.abort(reason);
    const ended = await servers.time.until(outcome);
    await servers.time.pass(1);
    const isFound = ended === "found";
    if (!isFound && ended !== reason) t.fail(`after ${ms} ms: ${String(ended)}`);
    if (servers.open.size !== (isFound ? 1 : 0))
      t.fail(`after ${ms} ms: ${servers.open.size} open`);
    if (servers.time.waiting > 0) t.fail(`after ${ms} ms: ${servers.time.waiting} timers left`);
  }
  t.pass("no moment did");
});

t.test("the losers are closed, and what comes late too", async (t) => {
  const servers = new ScriptedServers();
  servers.names.set("db", [a, b]);
  servers.manners.set(a, "primary").set(b, "primary");
  servers.delays.set(a, 600).set(b, 500);
  // It hears of no abort, and brings its session when it will.
  const deaf = new AbortController().signal;
  const finder = servers.finder();
  const sessions: string[] = [];
  const search = servers.find(finder, "db", "any", {
    attempt: async ({ address }) => {
      await servers.time.sleep(servers.delays.get(address) ?? 0, deaf);
      return { address, by: 0 };
    },
    discard: ({ address }) => void sessions.push(address),
  });
  const { value } = await servers.time.until(search);
  await servers.time.pass(2000);
  t.equal(value.address, a, "the first had its head start, and was not killed for the second");
  t.same(sessions, [b]);
});

t.test("servers that are slow to let in are asked two at a time", async (t) => {
  const servers = new ScriptedServers();
  const all = [a, b, c, d];
  servers.names.set("db", all);
  for (const address of all) {
    servers.manners.set(address, address === d ? "primary" : "standby");
    servers.delays.set(address, 1600);
  }
  await servers.time.until(servers.find(servers.finder(), "db", "read-write"));
  t.equal(servers.mostAuthenticating, 2);
  t.equal(servers.dialled(d), 1, "while one waits for its turn it is not dialled again");
});

t.test("a name that is late does not make its server forgotten", async (t) => {
  const servers = new ScriptedServers();
  servers.names.set("two", [b]);
  servers.manners.set(a, "standby").set(b, "primary");
  const finder = servers.finder();
  await servers.time.until(servers.find(finder, `${a},two`, "read-write"));
  await servers.time.pass(6000);
  servers.names.set("two", "silent");
  await servers.time.until(servers.find(finder, `${a},two`, "read-write"));
  t.equal(servers.dialled(a), 1, "the primary was gone to at once");
});

t.test("one that is far away is not passed over for being slow", async (t) => {
  const servers = new ScriptedServers();
  servers.names.set("db", [a, b]);
  servers.manners.set(a, "standby").set(b, "primary");
  servers.delays.set(b, 900);
  const finder = servers.finder();
  await servers.time.until(servers.find(finder, "db", "read-write"));
  const since = servers.time.now();
  const clients: Promise<unknown>[] = [];
  for (let n = 0; n < 20; n += 1) {
    clients.push(servers.find(finder, "db", "read-write"));
    await servers.time.pass(50);
  }
  await servers.time.until(Promise.all(clients));
  t.equal(servers.dialled(b, since), 20);
  t.equal(servers.dialled(a, since), 0);
});

t.test("a full server is not stormed, and lets in who waits when there is room", async (t) => {
  const servers = new ScriptedServers();
  servers.names.set("db", [a, b]);
  servers.manners.set(a, "primary").set(b, "standby");
  const finder = servers.finder();
  await servers.time.until(servers.find(finder, "db", "read-write"));
  servers.manners.set(a, "full");
  const since = servers.time.now();
  const clients = Array.from({ length: 20 }, () => servers.find(finder, "db", "read-write"));
  await servers.time.pass(2000);
  t.ok(servers.dialled(a, since) < 20 + 100, `${servers.dialled(a, since)} dials`);
  servers.manners.set(a, "primary");
  await servers.time.until(Promise.all(clients));
  t.equal(servers.open.size, 21);
});

t.test("load balancing spreads, and a single server is still found", async (t) => {
  const servers = new ScriptedServers();
  servers.names.set("db", [a, b, c]);
  servers.manners.set(a, "standby").set(b, "standby").set(c, "refused");
  let seed = 1;
  const random = (): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  const finder = servers.finder({ random });
  for (let n = 0; n < 100; n += 1) {
    await servers.time.until(servers.find(finder, "db", "standby", { loadBalance: true }));
  }
  const counts = [a, b].map((one) => [...servers.open].filter(({ address }) => address === one));
  for (const { length } of counts) t.ok(length >= 30, `${length} of 100`);
});
