/** Which connections of a pool are still good, and which errors say that they are not. */
import t from "tap";
import { Epochs } from "../../client/pool/epochs.ts";
import { codeOf, meaningOf } from "../../client/session/staleness.ts";
import "./checkouts-cases.ts";

const coded = (code: unknown, severity = "FATAL"): Error =>
  Object.assign(new Error("it failed"), { code, severity });

t.test("what an error says of its server", (t) => {
  const rows = [
    { name: "a refused write", given: coded("25006", "ERROR"), want: "read-only" },
    { name: "fast shutdown", given: coded("57P01"), want: "shutdown" },
    { name: "a crash", given: coded("57P02", "PANIC"), want: "shutdown" },
    { name: "a start", given: coded("57P03"), want: "shutdown" },
    { name: "the shutdown of a foreign server", given: coded("57P01", "ERROR"), want: undefined },
    { name: "a dropped database", given: coded("57P04"), want: undefined },
    { name: "an idle session's end", given: coded("57P05"), want: "session" },
    { name: "a transaction's that idled", given: coded("25P03"), want: "session" },
    { name: "a long transaction's", given: coded("25P04"), want: "session" },
    { name: "no way to a foreign server", given: coded("08001", "ERROR"), want: undefined },
    { name: "dblink without a connection", given: coded("08003", "ERROR"), want: undefined },
    { name: "a foreign server's failure", given: coded("08006", "ERROR"), want: undefined },
    { name: "a duplicate key", given: coded("23505", "ERROR"), want: undefined },
    { name: "a cancelled statement", given: coded("57014", "ERROR"), want: undefined },
    { name: "a code that holds one", given: coded("X57P01"), want: undefined },
    { name: "a number", given: coded(25006), want: undefined },
    { name: "no code", given: new Error("no code"), want: undefined },
    { name: "nothing", given: undefined, want: undefined },
  ];
  for (const { name, given, want } of rows) t.equal(meaningOf(given, false), want, name);
  const broken = [
    { name: "a reset", given: coded("ECONNRESET", ""), want: "lost" },
    { name: "no word at all", given: new Error("terminated"), want: "lost" },
    { name: "a shutdown in another language", given: coded("57P01", "ВАЖНО"), want: "shutdown" },
  ];
  for (const { name, given, want } of broken) t.equal(meaningOf(given, true), want, name);
  t.equal(codeOf(coded("25006")), "25006");
  t.end();
});

const nothing = { staleness: undefined, suspect: undefined };

interface Connection {
  readonly name: string;
}

function start(single = true): {
  epochs: Epochs<Connection, string>;
  at: (address: string) => Connection;
  pass: (ms: number) => void;
} {
  let now = 0;
  let made = 0;
  const epochs = new Epochs<Connection, string>({
    single,
    isSame: (one, other) => one === other,
    now: () => now,
  });
  const at = (address: string): Connection => {
    const connection = { name: `${(made += 1)}` };
    epochs.add(connection);
    epochs.met(connection, address, now);
    return connection;
  };
  return { epochs, at, pass: (ms) => void (now += ms) };
}

t.test("sessions lost together leave the server once", (t) => {
  const { epochs, at } = start();
  const [one, two, three] = [at("a"), at("a"), at("a")];
  const coming: Connection = { name: "coming" };
  epochs.add(coming);
  t.same(epochs.failed(one, coded("57P01")), { staleness: undefined, suspect: "a" });
  t.same(epochs.failed(two, coded("57P01")), {
    staleness: { epoch: 1, reason: "shutdown", code: "57P01", address: "a" },
    suspect: undefined,
  });
  t.same(
    [one, two, three, coming].map((each) => epochs.isStale(each)),
    [true, true, true, false],
    "what was on its way then is judged when it arrives",
  );
  t.same(epochs.failed(three, coded("57P01")), nothing, "nothing new");
  t.same(epochs.failed(one, new Error("gone"), true), nothing);
  t.equal(epochs.epoch, 1);
  const fresh: Connection = { name: "fresh" };
  epochs.add(fresh);
  t.notOk(epochs.isStale(fresh));
  t.same(epochs.met(fresh, "b", 0).change, { from: "a", to: "b" });
  t.equal(epochs.epoch, 1, "the change was no news to anybody who is left");
  t.equal(epochs.primary, "b");
  t.end();
});

t.test("the end of one session is no end of its server", (t) => {
  const { epochs, at, pass } = start();
  const [one, two, three, four, five] = [at("a"), at("a"), at("a"), at("a"), at("a")];
  t.same(epochs.failed(one, coded("57P05")), nothing, "its own time was over");
  t.same(epochs.failed(one, coded("57P05"), true), nothing);
  t.same(epochs.failed(two, coded("25P03")), nothing);
  t.ok(epochs.isStale(one) && epochs.isStale(two));
  t.same(epochs.failed(three, new Error("gone"), true), { staleness: undefined, suspect: "a" });
  pass(1001);
  t.same(epochs.failed(four, new Error("gone"), true), { staleness: undefined, suspect: "a" });
  t.notOk(epochs.isStale(five));
  t.equal(epochs.epoch, 0);
  t.end();
});

t.test("a server that loses sessions in pairs, and is well, is not left each time", (t) => {
  const { epochs, at, pass } = start();
  const lose = (): void => {
    const [one, two] = [at("a"), at("a")];
    epochs.failed(one, new Error("gone"), true);
    epochs.failed(two, new Error("gone"), true);
  };
  lose();
  lose();
  t.equal(epochs.epoch, 1);
  pass(10_001);
  lose();
  t.equal(epochs.epoch, 2, "believed again after a while");
  t.end();
});

t.test("what was on its way to a server that was left is stale, unless it began later", (t) => {
  const { epochs, at, pass } = start();
  const first = at("a");
  const [early, elsewhere, later] = [{ name: "early" }, { name: "other" }, { name: "later" }];
  for (const one of [early, elsewhere, later]) epochs.add(one);
  pass(5);
  epochs.failed(first, coded("25006"));
  pass(5);
  t.same(epochs.met(early, "a", 4), { staleness: undefined, change: undefined });
  t.ok(epochs.isStale(early), "it had begun there before that server was left");
  t.same(epochs.met(elsewhere, "b", 4).change, { from: "a", to: "b" });
  t.notOk(epochs.isStale(elsewhere), "it has nothing to do with that server");
  t.same(epochs.met(later, "a", 6).change, { from: "b", to: "a" });
  t.notOk(epochs.isStale(later), "that server is back");
  t.ok(epochs.isStale(elsewhere));
  t.end();
});

t.test("another primary makes stale what is connected elsewhere, and nothing on its way", (t) => {
  const { epochs, at } = start();
  const old = at("a");
  const [coming, found] = [{ name: "coming" }, { name: "found" }];
  epochs.add(coming);
  epochs.add(found);
  const { staleness, change } = epochs.met(found, "b", 0);
  t.same(staleness, { epoch: 1, reason: "moved", code: undefined, address: "a" });
  t.same(change, { from: "a", to: "b" });
  t.ok(epochs.isStale(old));
  t.notOk(epochs.isStale(coming));
  t.notOk(epochs.isStale(found));
  t.same(
    epochs.met(old, "a", 0),
    { staleness: undefined, change: undefined },
    "it does not go back",
  );
  t.equal(epochs.primary, "b");
  t.same(epochs.met(coming, "b", 0), { staleness: undefined, change: undefined });
  t.end();
});

t.test("an app's own READ ONLY does not empty the pool each time", (t) => {
  const { epochs, at, pass } = start();
  const refused = (connection: Connection) => epochs.failed(connection, coded("25006")).staleness;
  t.ok(refused(at("a")), "believed at first");
  const [next, other] = [at("a"), at("a")];
  t.equal(refused(next), undefined, "the same server again: not believed");
  t.ok(epochs.isStale(next), "but that one connection goes");
  t.notOk(epochs.isStale(other));
  pass(10_000);
  t.ok(refused(other), "believed again after a while");
  const third = at("a");
  pass(19_999);
  t.equal(refused(third), undefined, "which is longer each time");
  t.equal(epochs.epoch, 2);
  const [one, two] = [at("a"), at("a")];
  epochs.failed(one, coded("57P01"));
  t.ok(epochs.failed(two, coded("57P01")).staleness, "other errors are believed at once");
  t.end();
});

t.test("after a real change the next refused write is believed at once", (t) => {
  const { epochs, at } = start();
  t.ok(epochs.failed(at("a"), coded("25006")).staleness);
  const fresh = at("b");
  t.ok(epochs.failed(fresh, coded("25006")).staleness);
  t.equal(epochs.epoch, 2);
  t.end();
});

t.test("where many servers may pass, each is left alone", (t) => {
  const { epochs, at } = start(false);
  const [a, b] = [at("a"), at("b")];
  t.equal(epochs.primary, undefined);
  t.notOk(epochs.isStale(a), "another address is no change");
  t.same(epochs.failed(a, coded("25006")), nothing, "nor is a refused write");
  t.notOk(epochs.isStale(a));
  epochs.failed(a, new Error("gone"), true);
  epochs.failed(at("a"), new Error("gone"), true);
  t.equal(epochs.epoch, 1);
  t.ok(epochs.isStale(a));
  t.notOk(epochs.isStale(b));
  t.same(epochs.at("b"), [b]);
  t.end();
});

t.test("a connection that has ended is of no use, and tells nothing", (t) => {
  const { epochs, at } = start();
  const gone = at("a");
  epochs.remove(gone);
  t.ok(epochs.isStale(gone));
  t.same(epochs.failed(gone, coded("57P01")), nothing);
  t.same(epochs.at("a"), []);
  t.end();
});
