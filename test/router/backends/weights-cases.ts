/** How a weight is shared out, and which texts are one address. */
import type { Test } from "tap";
import { compareIps, readIp } from "../../../router/backends/lookup/ip.ts";
import { merged, mostAddresses } from "../../../router/backends/lookup/merge.ts";
import { splitWeight } from "../../../router/backends/membership/weights.ts";
import { chanceOf } from "../../sim/random.ts";

const seeds = 300;

const shares: readonly {
  readonly name: string;
  readonly total: number;
  readonly ask: Readonly<Record<string, number>>;
  readonly want: Readonly<Record<string, number>>;
}[] = [
  { name: "one has all", total: 100, ask: { "10.0.0.1": 1 }, want: { "10.0.0.1": 100 } },
  {
    name: "what is left over goes to the lower addresses, by number and not by letter",
    total: 100,
    ask: { "10.0.0.10": 1, "10.0.0.9": 1, "10.0.0.2": 1 },
    want: { "10.0.0.2": 34, "10.0.0.9": 33, "10.0.0.10": 33 },
  },
  {
    name: "fewer than addresses: each has 1",
    total: 2,
    ask: { "10.0.0.1": 1, "10.0.0.2": 1, "10.0.0.3": 1 },
    want: { "10.0.0.1": 1, "10.0.0.2": 1, "10.0.0.3": 1 },
  },
  {
    name: "by the shares asked for",
    total: 100,
    ask: { "10.0.0.1": 3, "10.0.0.2": 1 },
    want: { "10.0.0.1": 75, "10.0.0.2": 25 },
  },
  {
    name: "a share of nothing beside others has 1",
    total: 100,
    ask: { "10.0.0.1": 10, "10.0.0.2": 0 },
    want: { "10.0.0.1": 99, "10.0.0.2": 1 },
  },
  {
    name: "nobody asks for any: alike",
    total: 10,
    ask: { "10.0.0.1": 0, "10.0.0.2": 0 },
    want: { "10.0.0.1": 5, "10.0.0.2": 5 },
  },
];

const texts: readonly { readonly given: string; readonly want: string | undefined }[] = [
  { given: "10.0.0.1", want: "10.0.0.1" },
  { given: "::ffff:10.0.0.1", want: "10.0.0.1" },
  { given: "0:0:0:0:0:FFFF:0a00:0001", want: "10.0.0.1" },
  { given: "::10.0.0.1", want: "::a00:1" },
  { given: "2001:DB8:0:0:1:0:0:1", want: "2001:db8::1:0:0:1" },
  { given: "2001:db8:0:1:1:1:1:1", want: "2001:db8:0:1:1:1:1:1" },
  { given: "::", want: "::" },
  { given: "fe80::1%eth0", want: undefined },
  { given: "10.0.0", want: undefined },
  { given: "", want: undefined },
];

export async function weightsCases(t: Test): Promise<void> {
  for (const { name, total, ask, want } of shares) {
    const asked = Object.entries(ask).map(([ip, share]) => ({ ip, port: 1, share }));
    const got = splitWeight(total, asked).map(({ address, weight }) => [address.ip, weight]);
    t.same(got, Object.entries(want), name);
  }
  await t.test("the sum is the whole, none has less than 1, whatever the order", (t) => {
    for (let seed = 0; seed < seeds; seed += 1) {
      const chance = chanceOf(seed);
      const count = chance.between(1, 40);
      const total = chance.between(1, 300);
      const isAlike = chance.hit(0.5);
      const asked = Array.from({ length: count }, (_, at) => ({
        ip: `10.0.${chance.between(0, 199)}.${at}`,
        port: chance.between(1, 9),
        share: isAlike ? 1 : chance.between(0, 99),
      }));
      const got = splitWeight(total, asked);
      const weights = got.map(({ weight }) => weight);
      const sum = weights.reduce((all, weight) => all + weight, 0);
      if (sum !== Math.max(total, count)) t.fail(`seed ${seed}: sum ${sum} of ${total}`);
      if (Math.min(...weights) < 1) t.fail(`seed ${seed}: less than 1`);
      if (!weights.every(Number.isInteger)) t.fail(`seed ${seed}: parts`);
      const spread = Math.max(...weights) - Math.min(...weights);
      if (isAlike && spread > 1) t.fail(`seed ${seed}: alike, and ${spread} apart`);
      t.same(splitWeight(total, asked.toReversed()), got, `seed ${seed}`);
    }
    t.end();
  });
  await t.test("addresses are one text each", (t) => {
    for (const { given, want } of texts) t.equal(readIp(given)?.text, want, given || "nothing");
    const sorted = ["::1", "9.0.0.1", "10.0.0.1", "fd00::2"].toSorted(compareIps);
    t.same(sorted, ["9.0.0.1", "10.0.0.1", "::1", "fd00::2"], "IPv4 first, by number");
    t.end();
  });
  await t.test("duplicate addresses are merged, IPv4-mapped ones are IPv4", (t) => {
    const raw = ["10.0.0.2", "::ffff:10.0.0.2", "10.0.0.1", "10.0.0.2", "no address"];
    const got = merged(raw.map((ip) => ({ ip, port: undefined, share: 1 })));
    t.same(got, [
      { ip: "10.0.0.1", family: 4, port: undefined, share: 1 },
      { ip: "10.0.0.2", family: 4, port: undefined, share: 1 },
    ]);
    const two = ["10.0.0.1", "10.0.0.1"].map((ip) => ({ ip, port: 5432, share: 2 }));
    t.match(merged(two), [{ share: 4 }], "two SRV records for one address want twice as much");
    const many = Array.from({ length: 300 }, (_, at) => `10.0.${at >> 8}.${at & 255}`);
    const kept = merged(many.toReversed().map((ip) => ({ ip, port: undefined, share: 1 })));
    t.same(
      kept.map(({ ip }) => ip),
      many.slice(0, mostAddresses),
    );
    t.end();
  });
}
