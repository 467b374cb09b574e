/** Which records can be published, field by field. */
import t from "tap";
import { canonicalDraft, checkDraft } from "../../registry/endpoints.ts";
import type { CheckedRecord } from "../../registry/endpoints.ts";

const zone = "temps.local";
const good: CheckedRecord = {
  fqdn: "db-1.db.temps.local",
  record_type: "A",
  target_ip: "10.0.0.1",
  target_port: 5432,
  ttl: 30,
  node_id: null,
};
const srv = {
  fqdn: "_postgresql._tcp.db.temps.local",
  record_type: "SRV",
  target_ip: "db-1.db.temps.local",
} as const;
const alias = {
  fqdn: "www.temps.local",
  record_type: "CNAME",
  target_ip: "example.com",
  target_port: null,
} as const;
const long = (length: number): string => "a".repeat(length);

const cases: readonly {
  readonly name: string;
  readonly given: Partial<CheckedRecord>;
  /** Part of what is wrong; null: nothing is. */
  readonly want: string | null;
}[] = [
  { name: "an address of a member", given: {}, want: null },
  { name: "the zone's own name", given: { fqdn: zone }, want: null },
  { name: "no port", given: { target_port: null }, want: null },
  { name: "the shortest TTL", given: { ttl: 1 }, want: null },
  { name: "the longest TTL", given: { ttl: 86_400 }, want: null },
  { name: "a label of 63", given: { fqdn: `${long(63)}.temps.local` }, want: null },
  { name: "a loopback address", given: { target_ip: "127.1.2.3" }, want: null },
  {
    name: "IPv6",
    given: { record_type: "AAAA", target_ip: "fd00::1" },
    want: null,
  },
  { name: "a service", given: srv, want: null },
  { name: "an alias that leads out of the zone", given: alias, want: null },
  { name: "no name", given: { fqdn: "" }, want: "fqdn" },
  { name: "a name outside the zone", given: { fqdn: "db.example.com" }, want: "outside the zone" },
  { name: "a zone that only ends alike", given: { fqdn: "xtemps.local" }, want: "outside" },
  { name: "a label of 64", given: { fqdn: `${long(64)}.temps.local` }, want: "fqdn" },
  { name: "an empty label", given: { fqdn: "a..temps.local" }, want: "fqdn" },
  { name: "a hyphen first", given: { fqdn: "-a.temps.local" }, want: "fqdn" },
  { name: "a hyphen last", given: { fqdn: "a-.temps.local" }, want: "fqdn" },
  { name: "a wildcard", given: { fqdn: "*.temps.local" }, want: "fqdn" },
  { name: "capitals", given: { fqdn: "A.temps.local" }, want: "small letters" },
  {
    name: "a name of 254",
    given: { fqdn: `${`${long(60)}.`.repeat(3)}${long(59)}.temps.local` },
    want: "fqdn",
  },
  { name: "TTL 0", given: { ttl: 0 }, want: "ttl" },
  { name: "a TTL over a day", given: { ttl: 86_401 }, want: "ttl" },
  { name: "half a TTL", given: { ttl: 0.5 }, want: "ttl" },
  { name: "no address", given: { target_ip: null }, want: "IPv4" },
  { name: "an octet of 256", given: { target_ip: "10.0.0.256" }, want: "IPv4" },
  { name: "a leading zero", given: { target_ip: "10.0.0.01" }, want: "IPv4" },
  { name: "three octets", given: { target_ip: "10.0.1" }, want: "IPv4" },
  { name: "any address", given: { target_ip: "0.0.0.0" }, want: "IPv4" },
  { name: "a group of hosts", given: { target_ip: "224.0.0.1" }, want: "IPv4" },
  { name: "everybody", given: { target_ip: "255.255.255.255" }, want: "IPv4" },
  { name: "IPv6 as A", given: { target_ip: "fd00::1" }, want: "IPv4" },
  { name: "IPv4 as AAAA", given: { record_type: "AAAA" }, want: "IPv6" },
  { name: "any IPv6", given: { record_type: "AAAA", target_ip: "::" }, want: "IPv6" },
  { name: "an IPv6 group", given: { record_type: "AAAA", target_ip: "ff02::1" }, want: "IPv6" },
  {
    name: "IPv4 in IPv6",
    given: { record_type: "AAAA", target_ip: "::ffff:10.0.0.1" },
    want: "IPv6",
  },
  {
    name: "an IPv6 zone",
    given: { record_type: "AAAA", target_ip: "fe80::1%eth0" },
    want: "IPv6",
  },
  { name: "port 0", given: { target_port: 0 }, want: "target_port" },
  { name: "port 65536", given: { target_port: 65_536 }, want: "target_port" },
  { name: "node 0", given: { node_id: 0 }, want: "node_id" },
  { name: "a service without a port", given: { ...srv, target_port: null }, want: "target_port" },
  { name: "a service of no service", given: { ...srv, fqdn: good.fqdn }, want: "no service" },
  { name: "a service at an address", given: { ...srv, target_ip: "10.0.0.1" }, want: "target_ip" },
  { name: "an alias of nothing", given: { ...alias, target_ip: "" }, want: "target_ip" },
  { name: "an alias of itself", given: { ...alias, target_ip: alias.fqdn }, want: "itself" },
  { name: "an alias with a port", given: { ...alias, target_port: 1 }, want: "target_port" },
];

t.test("a record that can be published, and what is wrong with others", async (t) => {
  for (const { name, given, want } of cases) {
    const fault = checkDraft(zone, { ...good, ...given });
    if (want === null) t.equal(fault, undefined, name);
    else t.match(fault, new RegExp(want), name);
  }
});

t.test("one thing has one form", async (t) => {
  const forms: readonly [Partial<CheckedRecord>, Partial<CheckedRecord>][] = [
    [{ fqdn: "DB.Temps.Local." }, { fqdn: "db.temps.local" }],
    [
      { record_type: "AAAA", target_ip: "FD00:0:0:0::0001" },
      { record_type: "AAAA", target_ip: "fd00::1" },
    ],
    [
      { ...alias, target_ip: "Example.COM." },
      { ...alias, target_ip: "example.com" },
    ],
    [
      { record_type: "AAAA", target_ip: "no address" },
      { record_type: "AAAA", target_ip: "no address" },
    ],
  ];
  for (const [given, want] of forms) {
    t.same(canonicalDraft({ ...good, ...given }), { ...good, ...want });
  }
});
