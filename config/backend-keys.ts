/**
 * The keys of `backends`: services that a router passes on to, whose servers are found by DNS. What
 * each means stands in docs/configuration.md; how the names are followed, in docs/backends.md.
 */
import { z } from "zod";
import { checkCount, checkTime, hour, listOf, mapping, minute, second } from "./shapes.ts";
import {
  choice,
  durationValue,
  ipAddressValue,
  nameValue,
  rootedHostValue,
  srvPrefixValue,
  checkUriValue,
  wholeNumber,
} from "./values.ts";

const portNumber = wholeNumber({ min: 1, max: 65_535 });
const week = 7 * 24 * hour;
const refreshTime = durationValue({ minMs: second, maxMs: hour });

const check = mapping({
  /** Without it a server is well when it takes a TCP connection. */
  uri: checkUriValue.optional(),
  inter: checkTime.default(second),
  /** Where they are not given, 500 ms and 1 s, or `inter` where that is less. */
  fastinter: checkTime.optional(),
  downinter: checkTime.optional(),
  rise: checkCount.default(2),
  fall: checkCount.default(3),
  timeout: checkTime.default(2 * second),
});

/** After how many answers in a row, or after how long, an address is given up. */
const dropAfter = mapping({
  times: wholeNumber({ min: 1, max: 1000 }).optional(),
  time: durationValue({ minMs: second, maxMs: week }).optional(),
});

const policy = z.union([choice(["keep", "drop"]), dropAfter], {
  error: "expected keep, drop or a mapping of keys",
});

/** A name that is asked for, and what its addresses get: the options of router/backends/target.ts. */
const target = mapping({
  hostname: rootedHostValue,
  /** Needed unless `srv` is given: then the records say it. */
  port: portNumber.optional(),
  weight: wholeNumber({ min: 1, max: 256 }).default(100),
  family: choice(["both", "ipv4", "ipv6"]).default("both"),
  srv: srvPrefixValue.optional(),
  servers: listOf(ipAddressValue, "name servers", { min: 0, max: 8 }).default([]),
  refresh: choice(["fixed", "ttl"]).default("fixed"),
  dnsRefresh: refreshTime.default(30 * second),
  minRefresh: refreshTime.default(second),
  maxRefresh: refreshTime.default(5 * minute),
  /** In per cent of a pause. */
  jitter: wholeNumber({ min: 0, max: 20 }).default(10),
  timeout: durationValue({ minMs: 100, maxMs: 30 * second }).default(5 * second),
  backoff: mapping({
    base: durationValue({ minMs: 100, maxMs: hour }).default(second),
    max: durationValue({ minMs: 100, maxMs: hour }).default(30 * second),
  }).prefault({}),
  onNxdomain: policy.default("keep"),
  trustNxdomain: choice(["any", "authoritative"]).default("any"),
  onEmpty: policy.default("keep"),
  onServfail: policy.default("keep"),
  onTimeout: policy.default("keep"),
  maxStale: durationValue({ minMs: 0, maxMs: week }).default(0),
  holdDown: dropAfter.prefault({}),
  /** In per cent of the addresses that stand. */
  minHealthy: wholeNumber({ min: 0, max: 100 }).default(0),
});

/** One service that every router listens for. */
export const backend = mapping({
  name: nameValue,
  port: portNumber,
  mode: choice(["tcp", "http"]).default("tcp"),
  balance: choice(["roundrobin", "leastconn", "random"]).default("roundrobin"),
  check: check.optional(),
  maxClients: wholeNumber({ min: 10, max: 100_000 }).default(250),
  maxConnections: wholeNumber({ min: 1, max: 100_000 }).optional(),
  drainGrace: durationValue({ minMs: 0, maxMs: 24 * hour }).default(30 * second),
  /** Of a backend with `check`. */
  keepUntilUp: durationValue({ minMs: 0, maxMs: hour }).default(10 * second),
  targets: listOf(target, "targets", { min: 1, max: 64 }),
});
