/** Who gets which client of a pool, over a lender that answers when it is told to. */
import t from "tap";
import { Checkouts } from "../../client/pool/checkouts.ts";
import type { Callback, Done, PoolClient } from "../../client/pool/checkouts.ts";
import { ConnectError } from "../../client/errors.ts";
import { nextTurn } from "../../kit/clock.ts";

interface Rig {
  readonly checkouts: Checkouts;
  /** The lender's open answers, oldest first. */
  readonly asked: Callback[];
  readonly stale: Set<PoolClient>;
  readonly idle: { count: number; waiting: number };
  client(): PoolClient;
  /** What each `done` of a client was called with. */
  readonly done: [PoolClient, unknown][];
  doneOf(client: PoolClient): Done;
}

function rig(): Rig {
  const asked: Callback[] = [];
  const stale = new Set<PoolClient>();
  const idle = { count: 0, waiting: 0 };
  const done: [PoolClient, unknown][] = [];
  const checkouts = new Checkouts({
    connect: (callback) => void asked.push(callback),
    idleCount: () => idle.count,
    waitingCount: () => idle.waiting,
    ending: () => false,
    isStale: (client) => stale.has(client as PoolClient),
  });
  const client = (): PoolClient =>
    ({ connection: { stream: { destroy: () => undefined } } }) as unknown as PoolClient;
  return {
    ...{ checkouts, asked, stale, idle, client, done },
    doneOf: (one) => (release) => void done.push([one, release]),
  };
}

function taker(): { callback: Callback; got: (PoolClient | Error | undefined)[] } {
  const got: (PoolClient | Error | undefined)[] = [];
  return { got, callback: (error, client) => void got.push(client ?? error) };
}

t.test("a stale client is ended, and another one asked for", (t) => {
  const { checkouts, asked, stale, client, done, doneOf } = rig();
  const { callback, got } = taker();
  const [old, fresh] = [client(), client()];
  stale.add(old);
  checkouts.take(callback);
  asked.shift()?.(undefined, old, doneOf(old));
  t.same(got, []);
  t.same(done, [[old, true]]);
  asked.shift()?.(undefined, fresh, doneOf(fresh));
  t.equal(got[0], fresh);
  t.equal(asked.length, 0);
  t.end();
});

t.test("one that became stale in use does not go back", (t) => {
  const { checkouts, asked, stale, client, done, doneOf } = rig();
  const [one, other] = [client(), client()];
  for (const each of [one, other]) {
    checkouts.take(taker().callback);
    asked.shift()?.(undefined, each, doneOf(each));
  }
  stale.add(one);
  one.release();
  const reason = new Error("the app's own");
  other.release(reason);
  t.same(done, [
    [one, true],
    [other, reason],
  ]);
  t.end();
});

t.test("who waits for a connection of his own gets one that comes free before", (t) => {
  const { checkouts, asked, idle, client, done, doneOf } = rig();
  const [first, second] = [taker(), taker()];
  const [one, late] = [client(), client()];
  checkouts.take(first.callback);
  checkouts.take(second.callback);
  const [ofFirst, ofSecond] = asked.splice(0);
  ofFirst?.(undefined, one, doneOf(one));
  idle.count = 1;
  one.release();
  t.same(done, [[one, undefined]], "it went back as pg-pool wants it");
  t.equal(asked.length, 1, "and is asked for anew");
  const other = taker();
  checkouts.take(other.callback);
  t.equal(asked.length, 2);
  idle.count = 0;
  asked.shift()?.(undefined, one, doneOf(one));
  t.equal(second.got[0], one);
  ofSecond?.(undefined, late, doneOf(late));
  t.same(second.got, [one], "served once");
  t.same(other.got, [late], "what was on its way for him is the next one's");
  const spare = client();
  asked.shift()?.(undefined, spare, doneOf(spare));
  t.same(other.got, [late]);
  t.same(done.at(-1), [spare, undefined], "and what nobody waits for is idle");
  t.end();
});

t.test("whoever has waited longest is served first, whoever's login is the quickest", (t) => {
  const { checkouts, asked, client, done, doneOf } = rig();
  const takers = [taker(), taker(), taker()];
  for (const { callback } of takers) checkouts.take(callback);
  const clients = takers.map(() => client());
  const youngestFirst = asked.splice(0).toReversed();
  youngestFirst.forEach((answer, at) => {
    const one = clients[at];
    if (one !== undefined) answer(undefined, one, doneOf(one));
  });
  t.same(
    takers.map(({ got }) => got),
    clients.map((one) => [one]),
  );
  t.same(done, []);
  t.end();
});

t.test(
  "whose login went to somebody else waits for his, and not only until that one's end",
  (t) => {
    const { checkouts, asked, client, doneOf } = rig();
    const [first, second] = [taker(), taker()];
    const [one, other] = [client(), client()];
    checkouts.take(first.callback);
    checkouts.take(second.callback);
    const [ofFirst, ofSecond] = asked.splice(0);
    ofSecond?.(undefined, one, doneOf(one));
    t.same([first.got, second.got], [[one], []]);
    ofFirst?.(new Error("its time is over"), undefined, () => undefined);
    t.same(second.got, [], "the time of the first was over, his is not");
    t.equal(asked.length, 1);
    asked.shift()?.(undefined, other, doneOf(other));
    t.same(second.got, [other]);
    const third = taker();
    checkouts.take(third.callback);
    asked.shift()?.(new Error("his own"), undefined, () => undefined);
    t.match(third.got, [{ message: "his own" }]);
    t.end();
  },
);

t.test("an error counts when nothing else is on its way", (t) => {
  const { checkouts, asked, idle, client, doneOf } = rig();
  const [first, second] = [taker(), taker()];
  const one = client();
  checkouts.take(first.callback);
  checkouts.take(second.callback);
  const [ofFirst, ofSecond] = asked.splice(0);
  ofFirst?.(undefined, one, doneOf(one));
  idle.count = 1;
  one.release();
  ofSecond?.(new Error("refused"), undefined, () => undefined);
  t.same(second.got, []);
  asked.shift()?.(undefined, one, doneOf(one));
  t.equal(second.got[0], one);

  const third = taker();
  checkouts.take(third.callback);
  const facts = { wanted: "any", targets: ["a:1"], attempts: [], rounds: 1, ms: 1 };
  const cause = new ConnectError(facts);
  const late = new Error("Connection terminated due to connection timeout", { cause });
  asked.shift()?.(late, undefined, () => undefined);
  t.equal(third.got[0], cause, "the one that names the addresses");
  t.end();
});

t.test("idle clients are looked through, and the good ones put back", async (t) => {
  const { checkouts, asked, stale, idle, client, done, doneOf } = rig();
  const [old, good] = [client(), client()];
  stale.add(old);
  Object.assign(idle, { count: 4, waiting: 1 });
  checkouts.dropIdle();
  checkouts.dropIdle();
  t.equal(asked.length, 0);
  // pg-pool hears of what was lost after us.
  idle.count = 3;
  await nextTurn();
  t.equal(asked.length, 2, "once, but for those that somebody is about to get");
  asked.shift()?.(undefined, old, doneOf(old));
  asked.shift()?.(undefined, good, doneOf(good));
  t.same(done, [
    [old, true],
    [good, undefined],
  ]);
});

t.test("a good idle one is for who waits for a login", async (t) => {
  const { checkouts, asked, idle, client, done, doneOf } = rig();
  const waiting = taker();
  const [good, late] = [client(), client()];
  checkouts.take(waiting.callback);
  idle.count = 1;
  checkouts.dropIdle();
  await nextTurn();
  const [login, dropped] = asked.splice(0);
  dropped?.(undefined, good, doneOf(good));
  t.same(waiting.got, [good]);
  login?.(undefined, late, doneOf(late));
  t.same(waiting.got, [good]);
  t.same(done, [[late, undefined]]);
});
