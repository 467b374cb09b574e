/** What upstreams send, right and wrong, and what is to be made of it. */
import { wireName } from "./message-kit.ts";
import type { Ask } from "./message-kit.ts";
import { a, cname, opt, soa } from "./reply-kit.ts";
import type { ReplyWords, Rr } from "./reply-kit.ts";

export const name = "www.example.com";
/** The question that the rows are about. */
export const usual: Ask = { name, type: 1, edns: { size: 1232 } };

export const txt = (owner: Ask["name"], text: string): Rr => ({
  name: owner,
  type: 16,
  data: [text.length, ...Buffer.from(text)],
});

const head = [...Buffer.alloc(12)];
/** Messages with a name at `at`, and its key; undefined where there is none. */
export const nameRows: readonly {
  name: string;
  bytes: number[];
  at?: number;
  want: string | undefined;
}[] = [
  { name: "plain", bytes: [...head, 1, 0x41, 0], want: "\x01a\0" },
  {
    name: "pointer",
    bytes: [...head, 1, 0x61, 0, 1, 0x42, 0xc0, 12],
    at: 15,
    want: "\x01b\x01a\0",
  },
  { name: "to itself", bytes: [...head, 0xc0, 12], want: undefined },
  { name: "forward", bytes: [...head, 0xc0, 14, 0], want: undefined },
  { name: "in a circle", bytes: [...head, 1, 0x61, 0xc0, 12], at: 14, want: undefined },
  { name: "into the header", bytes: [...head, 0xc0, 4], want: undefined },
  { name: "cut pointer", bytes: [...head, 0xc0], want: undefined },
  { name: "cut label", bytes: [...head, 3, 0x61], want: undefined },
  { name: "no end", bytes: [...head, 1, 0x61], want: undefined },
  { name: "label type 0x40", bytes: [...head, 0x41, 0x61, 0], want: undefined },
  {
    name: "256 bytes",
    bytes: [...head, ...Array.from({ length: 127 }, () => [1, 0x61]).flat(), 1, 0x61, 0],
    want: undefined,
  },
  {
    name: "a thousand pointers",
    bytes: [
      ...head,
      0,
      ...Array.from({ length: 1000 }, (_, index) => {
        const target = index === 0 ? 12 : 13 + 2 * (index - 1);
        return [0xc0 | (target >> 8), target & 255];
      }).flat(),
    ],
    at: 13 + 2 * 999,
    want: undefined,
  },
];

const evil = a("bank.example.net", "203.0.113.66");
/** Replies with more in them than was asked for, and what is kept. */
export const chainRows: readonly {
  name: string;
  ask?: Ask;
  words: ReplyWords;
  answer: string[];
  authority?: string[];
}[] = [
  {
    name: "another owner before",
    words: { answer: [evil, a("@", "192.0.2.1")] },
    answer: ["www.example.com 300 A 192.0.2.1"],
  },
  {
    name: "another owner behind, and glue",
    words: {
      answer: [a("@", "192.0.2.1"), evil],
      authority: [{ name: "example.com", type: 2, data: wireName("bank.example.net") }],
      additional: [evil, opt()],
    },
    answer: ["www.example.com 300 A 192.0.2.1"],
  },
  {
    name: "a chain in any order",
    words: {
      answer: [
        a("c.example.net", "192.0.2.1"),
        cname("b.example.org", "c.example.net"),
        evil,
        cname("@", "B.example.org"),
      ],
    },
    answer: [
      "c.example.net 300 A 192.0.2.1",
      "b.example.org 300 CNAME c.example.net",
      "www.example.com 300 CNAME B.example.org",
    ],
  },
  {
    name: "another type and another class of the same owner",
    words: {
      answer: [txt("@", "no"), { ...a("@", "203.0.113.66"), class: 3 }, a("@", "192.0.2.1")],
    },
    answer: ["www.example.com 300 A 192.0.2.1"],
  },
  {
    name: "the alias itself",
    ask: { ...usual, type: 5 },
    words: { answer: [cname("@", "b.example.org"), a("b.example.org", "203.0.113.66")] },
    answer: ["www.example.com 300 CNAME b.example.org"],
  },
  {
    name: "the alias of a whole tree",
    words: {
      answer: [
        { name: "example.com", type: 39, data: wireName("example.org") },
        cname("@", "www.example.org"),
        a("www.example.org", "192.0.2.1"),
        { name: "example.net", type: 39, data: wireName("example.org") },
      ],
    },
    answer: [
      "example.com 300 DNAME example.org",
      "www.example.com 300 CNAME www.example.org",
      "www.example.org 300 A 192.0.2.1",
    ],
  },
  {
    name: "the SOA of another zone",
    words: { authority: [soa("example.net", 60, 60), soa("example.com", 60, 50)] },
    answer: [],
    authority: ["example.com 50 SOA ns.example.com root.example.com 1 7200 900 86400 50"],
  },
  {
    name: "a circle of aliases",
    words: { answer: [cname("@", "b.example.org"), cname("b.example.org", name)] },
    answer: ["www.example.com 300 CNAME b.example.org", "b.example.org 300 CNAME www.example.com"],
  },
];

const answer = [cname("@", "b.example.org", 20)];
/** Replies that there is nothing, and for how many seconds that holds. */
export const negativeRows: readonly { name: string; words: ReplyWords; ttl: number }[] = [
  { name: "the SOA's TTL", words: { authority: [soa("example.com", 30, 60)] }, ttl: 30 },
  { name: "its MINIMUM", words: { authority: [soa("example.com", 60, 30)] }, ttl: 30 },
  { name: "no such name", words: { rcode: 3, authority: [soa("com", 60, 30)] }, ttl: 30 },
  { name: "an hour at most", words: { authority: [soa("example.com", 9000, 8000)] }, ttl: 3600 },
  { name: "a MINIMUM with the highest bit", words: { authority: [soa("", 9, 2 ** 31)] }, ttl: 0 },
  { name: "no SOA", words: { rcode: 3 }, ttl: 0 },
  { name: "the SOA of another zone", words: { authority: [soa("example.net", 9, 9)] }, ttl: 0 },
  { name: "an alias to nothing", words: { answer, authority: [soa("org", 60, 60)] }, ttl: 20 },
  { name: "an alias and no SOA", words: { answer }, ttl: 0 },
  { name: "a wrong no", words: { rcode: 3, answer: [a("@", "192.0.2.1")] }, ttl: 0 },
];

const record = a("@", "192.0.2.1");
/** Replies that cannot be read (RFC 9267). */
export const lies: readonly { name: string; words: ReplyWords }[] = [
  { name: "data past the end", words: { answer: [{ ...record, length: 400 }] } },
  { name: "data too short", words: { answer: [{ ...record, length: 3 }] } },
  { name: "an A of five bytes", words: { answer: [{ ...record, data: [1, 2, 3, 4, 5] }] } },
  { name: "an AAAA of four", words: { answer: [{ ...record, type: 28 }] } },
  { name: "more records than there are", words: { answer: [record], counts: [2, 0, 0] } },
  { name: "65,535 of each", words: { counts: [65_535, 65_535, 65_535] } },
  { name: "an alias to itself", words: { answer: [{ name: "@", type: 5, data: [0xc0, 45] }] } },
  { name: "an alias to nothing", words: { answer: [{ name: "@", type: 5, data: [] }] } },
  { name: "an alias with a tail", words: { answer: [{ name: "@", type: 5, data: [0, 0] }] } },
  { name: "an SOA without numbers", words: { authority: [{ name: "", type: 6, data: [0, 0] }] } },
  { name: "an MX without a name", words: { answer: [{ name: "@", type: 15, data: [0, 1] }] } },
  { name: "OPT among the answers", words: { answer: [opt()] } },
];
