/** Rows N1 to N22 of the checklist: names and sections. `$` stands for the zone; both zones say the same. */
import type { Ask, Told } from "./message-kit.ts";

export interface AnswerCase {
  readonly name: string;
  readonly given: Ask & { readonly name: string };
  readonly want: Partial<Told>;
}

/** The serial is the generation, modulo 2^32. */
const soaData = "ns.$ hostmaster.$ 71 30 10 86400 5";
const negative = [`$ 5 SOA ${soaData}`];
const A = 1;
const AAAA = 28;
const none: readonly string[] = [];
const noData = { rcode: "NOERROR", flags: "aa rd", answer: none, authority: negative };
const noName = { rcode: "NXDOMAIN", flags: "aa rd", answer: none, authority: negative };

export const nameCases: readonly AnswerCase[] = [
  {
    name: "N1 one address, recursion desired",
    given: { name: "v4only.$", type: A },
    want: {
      rcode: "NOERROR",
      flags: "aa rd",
      answer: ["v4only.$ 30 A 10.2.3.4"],
      authority: none,
      additional: none,
      edns: undefined,
    },
  },
  {
    name: "N1 one address, recursion not desired",
    given: { name: "v4only.$", type: A, rd: false },
    want: { rcode: "NOERROR", flags: "aa", answer: ["v4only.$ 30 A 10.2.3.4"] },
  },
  {
    name: "N2 case does not matter, and the owner follows the question's",
    given: { name: "V4oNlY.$", type: A },
    want: { answer: ["V4oNlY.$ 30 A 10.2.3.4"] },
  },
  ...[
    ["AAAA", AAAA],
    ["HTTPS", 65],
    ["TXT", 16],
    ["65534", 65_534],
    ["0", 0],
    ["DS", 43],
  ].map(([type, number]) => ({
    name: `N3 no data of type ${type}`,
    given: { name: "v4only.$", type: Number(number) },
    want: noData,
  })),
  { name: "N4 no such name", given: { name: "nope.$", type: A }, want: noName },
  { name: "N5 between names, the upper", given: { name: "c.$", type: A }, want: noData },
  { name: "N5 between names, the lower", given: { name: "b.c.$", type: AAAA }, want: noData },
  {
    name: "N5 a service of which only a member has a name",
    given: { name: "lonely.$", type: A },
    want: noData,
  },
  {
    name: "N5 the primary of a service that has none",
    given: { name: "primary.lonely.$", type: A },
    want: noData,
  },
  {
    name: "N5 the standbys of a service that has none",
    given: { name: "replica.lonely.$", type: AAAA },
    want: noData,
  },
  { name: "N5 no other role", given: { name: "leader.lonely.$", type: A }, want: noName },
  { name: "N6 below a name", given: { name: "x.v4only.$", type: A }, want: noName },
  { name: "N6 below a CNAME", given: { name: "x.alias.$", type: A }, want: noName },
  {
    name: "N7 SOA of the zone",
    given: { name: "$", type: 6 },
    want: { rcode: "NOERROR", flags: "aa rd", answer: [`$ 30 SOA ${soaData}`], authority: none },
  },
  {
    name: "N7 SOA of a service, as PgBouncer asks for it",
    given: { name: "Db.$", type: 6 },
    want: { rcode: "NOERROR", answer: [`Db.$ 30 SOA ${soaData}`], authority: none },
  },
  { name: "N7 no SOA elsewhere", given: { name: "v4only.$", type: 6 }, want: noData },
  {
    name: "N7 NS of the zone, with glue",
    given: { name: "$", type: 2 },
    want: {
      answer: ["$ 30 NS ns.$"],
      additional: ["ns.$ 30 A 10.0.0.53", "ns.$ 30 AAAA fd00::53"],
    },
  },
  { name: "N7 addresses of the zone itself", given: { name: "$", type: A }, want: noData },
  {
    name: "N8 a CNAME and where it leads",
    given: { name: "alias.$", type: A },
    want: {
      rcode: "NOERROR",
      flags: "aa rd",
      answer: ["alias.$ 30 CNAME v4only.$", "v4only.$ 30 A 10.2.3.4"],
    },
  },
  {
    name: "N8 two CNAMEs, in order",
    given: { name: "alias2.$", type: A },
    want: {
      answer: ["alias2.$ 30 CNAME alias.$", "alias.$ 30 CNAME v4only.$", "v4only.$ 30 A 10.2.3.4"],
    },
  },
  {
    name: "N9 a CNAME to no data",
    given: { name: "alias.$", type: AAAA },
    want: { rcode: "NOERROR", answer: ["alias.$ 30 CNAME v4only.$"], authority: negative },
  },
  {
    name: "N10 the CNAME itself",
    given: { name: "alias2.$", type: 5 },
    want: { answer: ["alias2.$ 30 CNAME alias.$"], authority: none },
  },
  {
    name: "N11 a CNAME out of the zone, strictly authoritative",
    given: { name: "out2.$", type: A },
    want: {
      rcode: "NOERROR",
      flags: "aa rd",
      answer: ["out2.$ 30 CNAME out.$", "out.$ 30 CNAME www.example.com"],
      authority: none,
    },
  },
  {
    name: "N12 a CNAME to nothing",
    given: { name: "dangling.$", type: A },
    want: {
      rcode: "NXDOMAIN",
      flags: "aa rd",
      answer: ["dangling.$ 30 CNAME nope.$"],
      authority: negative,
    },
  },
  {
    name: "N13 CNAMEs in a circle",
    given: { name: "loop1.$", type: A },
    want: { rcode: "SERVFAIL", flags: "rd", answer: none, authority: none },
  },
  {
    name: "N15 ANY gets one set",
    given: { name: "dual.$", type: 255 },
    want: { rcode: "NOERROR", flags: "aa rd", answer: ["dual.$ 30 A 10.2.3.5"] },
  },
  {
    name: "N15 ANY of a CNAME gets that",
    given: { name: "alias2.$", type: 255 },
    want: { answer: ["alias2.$ 30 CNAME alias.$"] },
  },
  { name: "N15 ANY between names", given: { name: "b.c.$", type: 255 }, want: noData },
  {
    name: "N16 the primary comes first",
    given: { name: "db.$", type: A },
    want: { answer: ["db.$ 30 A 10.0.1.2", "db.$ 30 A 10.0.1.1", "db.$ 30 A 10.0.1.3"] },
  },
  {
    name: "N21 SRV of a service: the primary first, with addresses",
    given: { name: "_postgres._tcp.db.$", type: 33 },
    want: {
      answer: [
        "_postgres._tcp.db.$ 30 SRV 0 0 5432 db-1.db.$",
        "_postgres._tcp.db.$ 30 SRV 10 0 5432 db-0.db.$",
      ],
      additional: ["db-1.db.$ 30 A 10.0.1.2", "db-0.db.$ 30 A 10.0.1.1"],
    },
  },
  {
    name: "N21 SRV of the primary",
    given: { name: "_postgres._tcp.primary.db.$", type: 33 },
    want: {
      answer: ["_postgres._tcp.primary.db.$ 30 SRV 0 0 5432 db-1.db.$"],
      additional: ["db-1.db.$ 30 A 10.0.1.2"],
    },
  },
];

const reverseSoa = (apex: string): string[] => [
  `${apex} 5 SOA ${apex} nobody.invalid 71 30 10 86400 5`,
];
const reverse6 = (digits: string): string => digits.split("").toReversed().join(".");
const home = reverse6(`fd00${"0".repeat(27)}4`);

/** Names that are the same for every zone: addresses in reverse, and what is special (F15). */
export const otherCases: readonly AnswerCase[] = [
  {
    name: "N17 an address of the zone in reverse",
    given: { name: "4.3.2.10.in-addr.arpa", type: 12 },
    want: {
      rcode: "NOERROR",
      flags: "aa rd",
      answer: ["4.3.2.10.in-addr.arpa 30 PTR v4only.temps.local"],
    },
  },
  {
    name: "N17 of several names the member's comes first, the TTL is the least",
    given: { name: "2.1.0.10.in-addr.arpa", type: 12 },
    want: {
      answer: [
        "2.1.0.10.in-addr.arpa 5 PTR db-1.db.temps.local",
        "2.1.0.10.in-addr.arpa 5 PTR primary.db.temps.local",
        "2.1.0.10.in-addr.arpa 5 PTR db.temps.local",
      ],
    },
  },
  {
    name: "N17 a private address that is not the zone's is denied here",
    given: { name: "9.9.9.10.in-addr.arpa", type: 12 },
    want: { rcode: "NXDOMAIN", flags: "aa rd", authority: reverseSoa("10.in-addr.arpa") },
  },
  {
    name: "N17 between an address and its zone",
    given: { name: "3.2.10.in-addr.arpa", type: 12 },
    want: { rcode: "NOERROR", answer: none, authority: reverseSoa("10.in-addr.arpa") },
  },
  {
    name: "N17 an address of the zone that is not private",
    given: { name: "9.113.0.203.in-addr.arpa", type: 12 },
    want: { answer: ["9.113.0.203.in-addr.arpa 30 PTR lonely-0.lonely.temps.local"] },
  },
  {
    name: "N17 the neighbour of one that is not private is not ours",
    given: { name: "8.113.0.203.in-addr.arpa", type: 12 },
    want: { rcode: "REFUSED", flags: "rd" },
  },
  {
    name: "N18 an IPv6 address of the zone in reverse",
    given: { name: `${home}.ip6.arpa`, type: 12 },
    want: { answer: [`${home}.ip6.arpa 30 PTR v6only.temps.local`] },
  },
  {
    name: "N18 an IPv6 address that is not the zone's",
    given: { name: `${reverse6(`fe80${"0".repeat(27)}9`)}.ip6.arpa`, type: 12 },
    want: { rcode: "NXDOMAIN", authority: reverseSoa("8.e.f.ip6.arpa") },
  },
  ...["localhost", "x.localhost"].flatMap((name) => [
    {
      name: `F15 ${name} A`,
      given: { name, type: A },
      want: { rcode: "NOERROR", flags: "aa rd", answer: [`${name} 10800 A 127.0.0.1`] },
    },
    {
      name: `F15 ${name} AAAA`,
      given: { name, type: AAAA },
      want: { answer: [`${name} 10800 AAAA ::1`] },
    },
    {
      name: `F15 ${name} has nothing else`,
      given: { name, type: 6 },
      want: { rcode: "NOERROR", answer: none, authority: reverseSoa("localhost") },
    },
  ]),
  {
    name: "F15 localhost in reverse",
    given: { name: "1.0.0.127.in-addr.arpa", type: 12 },
    want: { answer: ["1.0.0.127.in-addr.arpa 10800 PTR localhost"] },
  },
  ...["local", "invalid", "test", "onion", "home.arpa"].map((zone) => ({
    name: `F15 nothing lies below ${zone}`,
    given: { name: `x.${zone}`, type: A },
    want: { rcode: "NXDOMAIN", flags: "aa rd", authority: reverseSoa(zone) },
  })),
  ...["168.192", "16.172", "31.172", "254.169", "127"].map((zone) => ({
    name: `F15 ${zone}.in-addr.arpa is answered here`,
    given: { name: `77.${zone}.in-addr.arpa`, type: 12 },
    want: { rcode: "NXDOMAIN", authority: reverseSoa(`${zone}.in-addr.arpa`) },
  })),
  {
    name: "H15 what is not the zone's, without forwarding",
    given: { name: "example.com", type: A },
    want: { rcode: "REFUSED", flags: "rd", answer: none, authority: none, additional: none },
  },
  {
    name: "H15 the root",
    given: { name: "", type: 2 },
    want: { rcode: "REFUSED", flags: "rd" },
  },
  {
    name: "H15 a name that only ends in the same letters",
    given: { name: "xtemps.local.example", type: A },
    want: { rcode: "REFUSED" },
  },
];
