/** Rows H1 to H14 and E1 to E11 of the checklist: headers, classes, wrong messages, and EDNS. */
import { askBytes, optBytes, wireName } from "./message-kit.ts";
import type { Ask, EdnsAsk, Told } from "./message-kit.ts";

/** `want` 0: no answer at all. `questions`: how many of them the answer repeats. */
export interface MessageCase {
  readonly name: string;
  readonly given: Uint8Array;
  readonly want: 0 | (Partial<Told> & { readonly opcode?: number; readonly questions?: number });
  readonly transport?: "tcp";
}

const usual: Ask = { name: "v4only.temps.local", type: 1 };
const good = { rcode: "NOERROR", flags: "aa rd", answer: ["v4only.temps.local 30 A 10.2.3.4"] };
const asked = (change: Partial<Ask>): Uint8Array => askBytes({ ...usual, ...change });
const edns = (change: Partial<EdnsAsk>): Uint8Array => asked({ edns: { size: 1232, ...change } });
const noCount = (bytes: Uint8Array, count: number): Uint8Array => {
  const changed = Uint8Array.from(bytes);
  changed[5] = count;
  return changed;
};
const bareError = { rcode: "FORMERR", questions: 0, answer: [], authority: [] };
const badName = (bytes: readonly number[]): Uint8Array => asked({ name: bytes });
const soaOfZone = ["temps.local 5 SOA ns.temps.local hostmaster.temps.local 71 30 10 86400 5"];
const chaos = (name: string): Uint8Array => asked({ name, type: 16, class: 3 });

export const headerCases: readonly MessageCase[] = [
  { name: "H1 an answer is no question", given: asked({ bits: 0x8000 }), want: 0 },
  { name: "H2 nothing", given: new Uint8Array(0), want: 0 },
  { name: "H2 less than a header", given: asked({}).slice(0, 11), want: 0 },
  { name: "H3 no question", given: noCount(asked({}), 0), want: bareError },
  { name: "H4 two questions", given: noCount(asked({}), 2), want: bareError },
  { name: "H5 a header alone", given: asked({}).slice(0, 12), want: bareError },
  { name: "H5 a name that is cut", given: asked({}).slice(0, 20), want: bareError },
  { name: "H5 no class", given: asked({}).slice(0, -1), want: bareError },
  { name: "H5 a label of 64", given: badName([64, ...Buffer.alloc(64, 97), 0]), want: bareError },
  { name: "H5 label type 0x80", given: badName([0x80, 1, 0]), want: bareError },
  { name: "H5 a pointer to itself", given: badName([0xc0, 12]), want: bareError },
  { name: "H5 a pointer forward", given: badName([0xc0, 20]), want: bareError },
  {
    name: "H5 a name of 256",
    given: badName(wireName([63, 63, 63, 62].map((size) => "a".repeat(size)).join("."))),
    want: bareError,
  },
  {
    name: "H5 a name of 255 is one",
    given: badName(wireName([63, 63, 63, 61].map((size) => "a".repeat(size)).join("."))),
    want: { rcode: "REFUSED", questions: 1 },
  },
  {
    name: "H6 a record in the answer section of a question",
    given: asked({ counts: [1, 0, 0], behind: [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4] }),
    want: good,
  },
  { name: "H7 junk behind the message", given: asked({ behind: [1, 2, 3] }), want: good },
  {
    name: "H7 a record that is not there",
    given: asked({ counts: [0, 0, 1] }),
    want: { rcode: "FORMERR" },
  },
  // TC AA Z AD, and an rcode. CD goes back only where something is forwarded.
  { name: "H8 bits of answers in a question", given: asked({ bits: 0x0677 }), want: good },
  ...[1, 2, 3, 4, 5, 6, 15].map((opcode) => ({
    name: `${opcode === 4 || opcode === 5 ? "H10" : "H9"} opcode ${opcode}`,
    given: asked({ opcode }),
    want: { rcode: "NOTIMP", opcode, answer: [] },
  })),
  ...["version.bind", "VERSION.server"].map((name) => ({
    name: `H11 ${name}`,
    given: chaos(name),
    want: { rcode: "NOERROR", answer: [`${name} 0 TXT switchyard dns-resolver`] },
  })),
  ...["hostname.bind", "id.server", "temps.local"].map((name) => ({
    name: `H11 ${name} is not told`,
    given: chaos(name),
    want: { rcode: "REFUSED", answer: [], authority: [] },
  })),
  ...[4, 254, 255, 9].map((number) => ({
    name: `H12 class ${number}`,
    given: asked({ class: number }),
    want: { rcode: "REFUSED", flags: "rd", answer: [] },
  })),
  ...[251, 252].flatMap((type) => [
    {
      name: `H13 a transfer over UDP (${type})`,
      given: asked({ name: "temps.local", type }),
      want: { rcode: "NOTIMP", answer: [] },
    },
    {
      name: `H13 a transfer over TCP (${type})`,
      given: asked({ name: "temps.local", type }),
      want: { rcode: "REFUSED", answer: [] },
      transport: "tcp" as const,
    },
  ]),
  ...[41, 249, 250].map((type) => ({
    name: `H14 type ${type}`,
    given: asked({ type }),
    want: { rcode: "FORMERR", answer: [] },
  })),
];

const option = (code: number, data: readonly number[]): number[] => [
  0,
  code,
  0,
  data.length,
  ...data,
];
const twoOpts = asked({
  counts: [0, 0, 2],
  behind: [...optBytes({ size: 1232 }), ...optBytes({ size: 1232 })],
});

export const ednsCases: readonly MessageCase[] = [
  { name: "E1 without EDNS", given: asked({}), want: { ...good, edns: undefined } },
  { name: "E2 with EDNS", given: edns({}), want: { ...good, edns: "1232" } },
  {
    name: "E3 version 1",
    given: edns({ version: 1 }),
    want: { rcode: "BADVERS", flags: "rd", answer: [], authority: [] },
  },
  ...[
    ["an unknown option", option(60_000 & 255, [1, 2, 3])],
    ["NSID", option(3, [])],
    ["a client's subnet", option(8, [0, 1, 24, 0, 10, 0, 0])],
    ["padding", option(12, [0, 0, 0, 0])],
  ].map(([what, options]) => ({
    name: `E4 ${String(what)} is not repeated`,
    given: edns({ options: options as number[] }),
    want: { ...good, edns: "1232" },
  })),
  { name: "E5 DO", given: edns({ z: 0x8000 }), want: { ...good, edns: "1232 do" } },
  { name: "E6 other flags", given: edns({ z: 0x7fff }), want: { ...good, edns: "1232" } },
  {
    name: "E7 a size below 512 is 512, and OPT stands in what is cut",
    given: asked({ name: "big.temps.local", edns: { size: 100 } }),
    want: { flags: "aa tc rd", edns: "1232" },
  },
  { name: "E9 two OPT records", given: twoOpts, want: { rcode: "FORMERR", answer: [] } },
  {
    name: "E9 an OPT record with an owner",
    given: asked({ counts: [0, 0, 1], behind: [1, 97, ...optBytes({ size: 1232 })] }),
    want: { rcode: "FORMERR", answer: [] },
  },
  {
    name: "E9 an OPT record that ends behind the message",
    given: edns({ options: [0, 3, 0, 0] }).slice(0, -1),
    want: { rcode: "FORMERR", answer: [] },
  },
  {
    name: "E9 an option that ends behind its record",
    given: edns({ options: [0, 3, 0, 9] }),
    want: { rcode: "FORMERR", answer: [] },
  },
  {
    name: "E10 a cookie is not repeated",
    given: edns({ options: option(10, [1, 2, 3, 4, 5, 6, 7, 8]) }),
    want: { ...good, edns: "1232" },
  },
  {
    name: "E11 NXDOMAIN with OPT",
    given: asked({ name: "nope.temps.local", edns: { size: 4096 } }),
    want: { rcode: "NXDOMAIN", authority: soaOfZone, edns: "1232" },
  },
  {
    name: "E11 REFUSED says that it is not authoritative",
    given: asked({ name: "example.com", edns: { size: 4096 } }),
    want: { rcode: "REFUSED", edns: "1232 ede 20" },
  },
  {
    name: "E11 SERVFAIL with OPT",
    given: asked({ name: "loop1.temps.local", edns: { size: 4096 } }),
    want: { rcode: "SERVFAIL", edns: "1232" },
  },
  {
    name: "E11 FORMERR with OPT",
    given: asked({ type: 250, edns: { size: 4096 } }),
    want: { rcode: "FORMERR", edns: "1232" },
  },
];
