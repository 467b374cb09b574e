/** Searches side by side and one after the other: who is dialled by whom, and how soon. */
import t from "tap";
import { Company } from "../../client/search/company.ts";
import { ScriptedServers } from "./scripted-servers.ts";

const [a, b] = ["10.0.0.1", "10.0.0.2"] as const;

/** `b` is a standby and is named first; `a` is the primary, and has been found. */
async function known(): Promise<{
  servers: ScriptedServers;
  finder: ReturnType<ScriptedServers["finder"]>;
  found: Awaited<ReturnType<ScriptedServers["find"]>>;
}> {
  const servers = new ScriptedServers();
  servers.names.set("db", [b, a]);
  servers.manners.set(a, "primary").set(b, "standby");
  const finder = servers.finder({ deadlineMs: 60_000 });
  const found = await servers.time.until(servers.find(finder, "db", "read-write"));
  return { servers, finder, found };
}

t.test("who searches while others do is not sent where somebody was once", async (t) => {
  const { servers, finder } = await known();
  const endless = servers.find(finder, "db", "read-write", {
    attempt: () => new Promise(() => undefined),
    deadlineMs: 10_000,
  });
  const { address } = await servers.time.until(servers.find(finder, "db", "read-write"));
  servers.manners.set(a, "black hole").set(b, "primary");
  finder.forget(address);
  // By now the endless one explores.
  await servers.time.pass(600);
  const from = servers.time.now();
  await servers.time.until(servers.find(finder, "db", "read-write"));
  t.ok(servers.time.now() - from < 3000, "who finds nobody does not explore for ever");
  const since = servers.time.now();
  await servers.time.until(servers.find(finder, "db", "read-write"));
  t.equal(servers.dialled(a, since), 0);
  await t.rejects(servers.time.until(endless), { name: "ConnectError" });
  t.equal(servers.time.waiting, 0);
});

t.test("nor where another search has just failed", async (t) => {
  const { servers, finder } = await known();
  const endless = servers.find(finder, "db", "read-write", {
    attempt: () => new Promise(() => undefined),
    deadlineMs: 2000,
  });
  await servers.time.until(servers.find(finder, "db", "read-write"));
  servers.manners.set(a, "refused");
  const first = servers.find(finder, "db", "read-write");
  await servers.time.pass(8);
  const second = servers.find(finder, "db", "read-write");
  const endAt = servers.time.now() + 300;
  await servers.time.pass(300);
  t.same(
    servers.dials.filter(({ by, at }) => by === 5 && at < endAt),
    [],
    "it waits for the one that explores",
  );
  servers.manners.set(a, "primary");
  await servers.time.until(Promise.all([first, second]));
  await t.rejects(servers.time.until(endless), { name: "ConnectError" });
});

t.test("nor where another search waits for an answer", async (t) => {
  const { servers, finder } = await known();
  servers.manners.set(a, "black hole");
  const first = servers.find(finder, "db", "read-write");
  await servers.time.pass(300);
  const second = servers.find(finder, "db", "read-write");
  await servers.time.pass(300);
  servers.manners.set(b, "primary");
  await servers.time.until(Promise.all([first, second]));
  t.same(
    servers.dials.filter(({ by }) => by === 3).map(({ address }) => address),
    [b],
  );
});

t.test("what refused is not dialled again at once", async (t) => {
  const { servers, finder } = await known();
  servers.names.set("alone", [a]);
  await servers.time.until(servers.find(finder, "alone", "read-write"));
  servers.manners.set(a, "refused");
  const since = servers.time.now();
  const search = servers.find(finder, "alone", "read-write");
  await servers.time.pass(8);
  t.equal(servers.dialled(a, since), 1);
  servers.manners.set(a, "primary");
  await servers.time.until(search);
});

t.test(
  "prefer-standby waits for a standby that is far, and not for ever for a dead one",
  async (t) => {
    const servers = new ScriptedServers();
    servers.names.set("db", [a, b]);
    servers.manners.set(a, "primary").set(b, "standby");
    servers.delays.set(b, 600);
    const finder = servers.finder();
    const { value } = await servers.time.until(servers.find(finder, "db", "prefer-standby"));
    t.equal(value.address, b);
    servers.manners.set(b, "black hole");
    const took: number[] = [];
    for (let n = 0; n < 3; n += 1) {
      const since = servers.time.now();
      await servers.time.until(servers.find(finder, "db", "prefer-standby"));
      took.push(servers.time.now() - since);
    }
    const [first = 0, last = 0] = [took[0], took.at(-1)];
    t.ok(last < first / 2, `${took.join(", ")} ms`);
  },
);

t.test("the error keeps how an attempt ended last, though the next has begun", async (t) => {
  const servers = new ScriptedServers();
  servers.manners.set(a, "standby");
  servers.delays.set(a, 200);
  for (const deadlineMs of [900, 950, 1000, 1050, 1100]) {
    const search = servers.find(servers.finder({ deadlineMs }), a, "read-write");
    const error = await servers.time.until(search.catch((thrown: unknown) => thrown));
    t.match(error, { name: "ConnectError", attempts: [{ reason: "role" }] });
  }
});

t.test("a slow name holds up no other, and one name is not waited for twice", async (t) => {
  const servers = new ScriptedServers();
  servers.names.set("one", [a]).set("slow", [b]);
  servers.nameDelays.set("slow", 400);
  servers.manners.set(a, "standby").set(b, "primary");
  const since = servers.time.now();
  const search = servers.find(servers.finder(), "one,slow", "read-write");
  await servers.time.pass(100);
  t.ok(servers.dialled(a) > 0, "the first is dialled while the second is asked for");
  t.equal((await servers.time.until(search)).value.address, b);
  t.ok(servers.time.now() - since < 450, "and the second as soon as it is known");
  const again = servers.time.now();
  servers.manners.set(a, "primary");
  await servers.time.until(servers.find(servers.finder(), "one", "read-write"));
  t.ok(servers.time.now() - again < 10);
});

t.test("what passes in the moment of an abort is closed", async (t) => {
  const servers = new ScriptedServers();
  const controller = new AbortController();
  const { signal } = controller;
  const reason = new Error("enough");
  const closed: string[] = [];
  const search = servers.find(servers.finder(), a, "any", {
    signal,
    attempt: async ({ address }) => {
      controller.abort(reason);
      return { address, by: 0 };
    },
    discard: ({ address }) => void closed.push(address),
  });
  await t.rejects(servers.time.until(search), reason);
  t.same(closed, [a]);
});

t.test("the wait between rounds grows with the outage, and a success ends it", async (t) => {
  const { time } = new ScriptedServers();
  const company = new Company(time, 250);
  company.rounds = 7;
  t.same([company.backoffMs(0), company.backoffMs(1)], [10, 20]);
  await time.pass(2000);
  t.equal(company.backoffMs(1), 50, "quick for as long as a flip takes");
  await time.pass(1000);
  t.equal(company.backoffMs(1), 200);
  await time.pass(60_000);
  t.equal(company.backoffMs(1), 1000);
  company.passed({ address: { host: a, address: a, family: 4, port: 1 }, pass: 0, ms: 1 });
  t.same([company.backoffMs(1), company.rounds], [20, 0]);
});

t.test(
  "a server without the wanted role is left in peace, by the next search as well",
  async (t) => {
    const servers = new ScriptedServers();
    servers.names.set("db", [a]);
    servers.manners.set(a, "primary");
    const finder = servers.finder({ deadlineMs: 10_000 });
    const dialled: number[] = [];
    for (let n = 0; n < 3; n += 1) {
      const since = servers.time.now();
      await t.rejects(servers.time.until(servers.find(finder, "db", "standby")));
      dialled.push(servers.dialled(a, since));
    }
    const [first = 0, second = 0, third = 0] = dialled;
    t.ok(first > 10, `${first} at first, so that a flip is followed`);
    t.ok(second <= 15 && third <= 15, `${second} and ${third} later: about one a second`);
    await servers.time.pass(10_001);
    const since = servers.time.now();
    await t.rejects(servers.time.until(servers.find(finder, "db", "standby")));
    t.ok(servers.dialled(a, since) > second, "another outage begins anew");
  },
);

t.test(
  "many who follow log in a few at a time, oldest first, also at a server that is far",
  async (t) => {
    for (const [delay, within] of [
      [20, 200],
      [600, 1200],
    ] as const) {
      const { servers, finder } = await known();
      servers.delays.set(a, delay);
      const since = servers.time.now();
      const order: number[] = [];
      const searches = Array.from({ length: 20 }, async (_, index) => {
        await servers.find(finder, "db", "read-write");
        order.push(index);
      });
      await servers.time.pass(1);
      t.equal(servers.dialled(a, since), 4);
      await servers.time.until(Promise.all(searches));
      t.ok(servers.time.now() - since <= within, `${servers.time.now() - since} ms`);
      t.same(
        order,
        [...order].sort((one, other) => one - other),
      );
      t.equal(servers.time.waiting, 0);
    }
  },
);

t.test("who waits for his turn at a server that fails goes elsewhere without a dial", async (t) => {
  const { servers, finder } = await known();
  servers.manners.set(a, "refused").set(b, "primary");
  const since = servers.time.now();
  const searches = Array.from({ length: 20 }, () => servers.find(finder, "db", "read-write"));
  await servers.time.until(Promise.all(searches));
  t.ok(servers.dialled(a, since) <= 5, `${servers.dialled(a, since)} dials`);
});

t.test("no round waits for a name whose addresses are known", async (t) => {
  const { servers, finder } = await known();
  servers.manners.set(a, "standby");
  servers.nameDelays.set("db", 45);
  const search = servers.find(finder, "db", "read-write");
  const since = servers.time.now();
  await servers.time.pass(400);
  const rounds = servers.dialled(a, since);
  t.ok(rounds > 12, `${rounds} rounds in 400 ms`);
  servers.names.set("db", ["10.0.0.3"]);
  servers.manners.set("10.0.0.3", "primary");
  const { value } = await servers.time.until(search);
  t.equal(value.address, "10.0.0.3", "and what is new is found");
});

t.test("the error says whose addresses are from before", async (t) => {
  const { servers, finder } = await known();
  const message = /; last known addresses of db\)/;
  servers.manners.set(a, "refused");
  await t.rejects(servers.time.until(servers.find(finder, "db", "read-write")), {
    message: /rounds\): /,
  });
  servers.names.set("db", new Error("no name server answers"));
  await t.rejects(servers.time.until(servers.find(finder, "db", "read-write")), { message });
});
