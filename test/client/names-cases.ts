/** Names and their cache, in virtual time. */
import t from "tap";
import { createNames } from "../../client/target/names.ts";
import type { Asked, NameAnswer, Names } from "../../client/target/names.ts";
import { VirtualTime } from "../support/virtual-time.ts";

type Said = readonly string[] | Error | "silent";

class NameWorld {
  readonly time = new VirtualTime();
  said: Said = ["10.0.0.1"];
  ttlMs = 5000;
  delayMs = 1;
  asked = 0;
  readonly names: Names = createNames({
    timing: this.time,
    timeoutMs: 2000,
    ask: async (): Promise<Asked> => {
      this.asked += 1;
      const { said, ttlMs } = this;
      await this.time.sleep(this.delayMs);
      if (said === "silent") return await new Promise(() => undefined);
      if (said instanceof Error) throw said;
      return { addresses: said.map((address) => ({ address, family: 4 as const })), ttlMs };
    },
  });

  addresses(fresh = false, signal?: AbortSignal): Promise<NameAnswer> {
    return this.time.until(this.names.addresses("db.temps.local", { fresh, signal }));
  }
}

const words = ({ addresses, stale }: NameAnswer): string[] => [
  ...addresses.map(({ address }) => address),
  ...(stale ? ["stale"] : []),
];

const failed = (code: string): Error => Object.assign(new Error(`failed with ${code}`), { code });

t.test("names: addresses and sockets are what they are, and nobody is asked", async (t) => {
  const world = new NameWorld();
  for (const [host, address, family] of [
    ["10.1.2.3", "10.1.2.3", 4],
    ["2001:db8::1", "2001:db8::1", 6],
    ["[::1]", "::1", 6],
    ["fe80::1%eth0", "fe80::1%eth0", 6],
    ["/var/run/postgresql", "/var/run/postgresql", 0],
  ] as const) {
    const answer = await world.names.addresses(host, { fresh: true });
    t.same(answer, { addresses: [{ address, family }], stale: false });
  }
  t.equal(world.asked, 0);
});

t.test("names: kept for the TTL, which is between 1 and 30 s", async (t) => {
  for (const [ttlMs, keptMs] of [
    [0, 1000],
    [5000, 5000],
    [3_600_000, 30_000],
  ] as const) {
    const world = new NameWorld();
    world.ttlMs = ttlMs;
    await world.addresses();
    world.said = ["10.0.0.2"];
    await world.time.pass(keptMs - 1);
    t.same(words(await world.addresses()), ["10.0.0.1"], `before ${keptMs}`);
    t.equal(world.asked, 1);
    await world.time.pass(1);
    t.same(words(await world.addresses()), ["10.0.0.2"], `after ${keptMs}`);
  }
});

t.test("names: what must be fresh is asked", async (t) => {
  const world = new NameWorld();
  await world.addresses();
  world.said = ["10.0.0.2"];
  t.same(words(await world.addresses(true)), ["10.0.0.2"]);
  t.same(words(await world.addresses()), ["10.0.0.2"], "and kept");
});

t.test("names: one question at a time, however many ask", async (t) => {
  const world = new NameWorld();
  const all = Array.from({ length: 20 }, () => world.names.addresses("db", { fresh: true }));
  const answers = await world.time.until(Promise.all(all));
  t.equal(world.asked, 1);
  t.ok(answers.every((one) => words(one)[0] === "10.0.0.1"));
});

t.test("names: a server that fails leaves what was known, for as long as it fails", async (t) => {
  const world = new NameWorld();
  await world.addresses();
  for (const code of ["ESERVFAIL", "ETIMEOUT", "EAI_AGAIN", "ECONNREFUSED"]) {
    world.said = failed(code);
    await world.time.pass(3_600_000);
    t.same(words(await world.addresses()), ["10.0.0.1", "stale"], code);
  }
  world.said = ["10.0.0.3"];
  t.same(words(await world.addresses()), ["10.0.0.3"]);
});

t.test("names: a name that is gone is known for half a minute more", async (t) => {
  for (const code of ["ENOTFOUND", "ENODATA"]) {
    const world = new NameWorld();
    await world.addresses();
    world.said = failed(code);
    await world.time.pass(20_000);
    t.same(words(await world.addresses()), ["10.0.0.1", "stale"]);
    await world.time.pass(20_000);
    await t.rejects(world.addresses(), { name: "AttemptError", reason: "dns", code });
  }
});

t.test(
  "names: silence holds up nobody who knows addresses, and others for the limit",
  async (t) => {
    const world = new NameWorld();
    await world.addresses();
    world.said = "silent";
    await world.time.pass(60_000);
    const from = world.time.now();
    t.same(words(await world.addresses()), ["10.0.0.1", "stale"]);
    t.equal(world.time.now() - from, 50);
    t.same(words(await world.addresses(true)), ["10.0.0.1", "stale"]);
    t.equal(world.time.now() - from, 50, "the second waits for the same question no more");
    t.equal(world.asked, 2, "and puts none beside it");
    const late = world.time.until(world.names.addresses("other", { fresh: false }));
    await t.rejects(late, {
      reason: "dns",
      code: "ETIMEOUT",
      message: "no name server answered for other within 2000 ms",
    });
    t.equal(world.time.waiting, 0);
  },
);

t.test("names: nothing known and a failure is a failure", async (t) => {
  const world = new NameWorld();
  world.said = failed("EAI_AGAIN");
  await t.rejects(world.addresses(), { reason: "dns", code: "EAI_AGAIN", stops: false });
  world.said = ["10.0.0.1"];
  t.same(words(await world.addresses()), ["10.0.0.1"], "and is not kept");
});

t.test("names: an abort ends the wait and leaves no timer", async (t) => {
  const world = new NameWorld();
  world.said = "silent";
  const controller = new AbortController();
  const reason = new Error("enough");
  const waits = world.names.addresses("db", { fresh: false, signal: controller.signal });
  await world.time.pass(10);
  controller.abort(reason);
  await t.rejects(world.time.until(waits), reason);
  await t.rejects(world.addresses(false, controller.signal), reason);
  t.equal(world.time.waiting, 0);
});
