/** The order of addresses: examples, and what holds for any. */
import t from "tap";
import { orderAddresses } from "../../client/search/order.ts";
import type { Ordered } from "../../client/search/order.ts";

const at = (address: string): Ordered => ({ address, family: address.includes(":") ? 6 : 4 });

interface Case {
  readonly name: string;
  readonly hosts: readonly (readonly string[])[];
  readonly known?: string;
  readonly penalised?: readonly string[];
  readonly want: readonly string[];
}

const cases: readonly Case[] = [
  { name: "nothing", hosts: [], want: [] },
  { name: "as the names give them", hosts: [["b", "a"], ["c"]], want: ["b", "a", "c"] },
  {
    name: "families take turns, from the first on",
    hosts: [["::1", "::2", "::3", "a", "b"]],
    want: ["::1", "a", "::2", "b", "::3"],
  },
  { name: "IPv4 may be first", hosts: [["a", "b", "::1"]], want: ["a", "::1", "b"] },
  { name: "the known one first", hosts: [["a", "b"], ["c"]], known: "c", want: ["c", "a", "b"] },
  {
    name: "what failed a moment ago last, in its order",
    hosts: [["a", "b", "c", "d"]],
    penalised: ["c", "a"],
    want: ["b", "d", "a", "c"],
  },
  {
    name: "what is not named is not dialled, known or not",
    hosts: [["a"]],
    known: "z",
    want: ["a"],
  },
];

for (const { name, hosts, known, penalised = [], want } of cases) {
  t.test(`order: ${name}`, (t) => {
    const ordered = orderAddresses(
      hosts.map((addresses) => addresses.map((one) => at(one))),
      {
        isKnown: ({ address }) => address === known,
        isPenalised: ({ address }) => penalised.includes(address),
        loadBalance: false,
        random: () => 0,
      },
    );
    t.same(
      ordered.map(({ address }) => address),
      want,
    );
    t.end();
  });
}

function seeded(start: number): () => number {
  let seed = start;
  return () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
}

t.test("order: nothing is lost or doubled, and the penalised stay last, shuffled or not", (t) => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = seeded(seed);
    const hosts = Array.from({ length: 1 + Math.floor(random() * 3) }, (_, host) =>
      Array.from({ length: Math.floor(random() * 5) }, (_, one) =>
        at(random() < 0.3 ? `${host}::${one}` : `${host}.${one}`),
      ),
    );
    const all = hosts.flat();
    const isPenalised = ({ address }: Ordered): boolean => address.endsWith("1");
    const known = all[Math.floor(random() * all.length)];
    const ordered = orderAddresses(hosts, {
      isKnown: (one) => one === known,
      isPenalised,
      loadBalance: seed % 2 === 0,
      random,
    });
    const isWhole = ordered.length === all.length && new Set(ordered).size === all.length;
    const marks = ordered.slice(1).map((one) => isPenalised(one));
    const isSorted = !marks.some((mark, index) => mark && marks[index + 1] === false);
    if (!isWhole || ordered[0] !== known || !isSorted) t.fail(`seed ${seed}`);
  }
  t.pass("for every seed");
  t.end();
});

t.test("order: load balancing puts each first as often as any other", (t) => {
  const random = seeded(7);
  const firsts = new Map<string, number>();
  for (let n = 0; n < 3000; n += 1) {
    const [first] = orderAddresses([[at("a"), at("b"), at("c")]], {
      isKnown: () => false,
      isPenalised: () => false,
      loadBalance: true,
      random,
    });
    firsts.set(first?.address ?? "", (firsts.get(first?.address ?? "") ?? 0) + 1);
  }
  for (const address of ["a", "b", "c"]) {
    const count = firsts.get(address) ?? 0;
    t.ok(Math.abs(count - 1000) < 150, `${address}: ${count} of 3000`);
  }
  t.end();
});
